//! vita-weights
