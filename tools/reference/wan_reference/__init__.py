"""PyTorch truth for the Wan models: the modules, noise, schedules and solvers that our engine is compared with."""
