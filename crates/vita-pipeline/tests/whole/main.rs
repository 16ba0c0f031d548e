//! Whole runs and single parts on the small models.
#![forbid(unsafe_code)]

mod bad_input;
mod comfy_runs;
mod extras;
mod loras;
mod parts;
mod support;
mod systems;
mod window_runs;
mod windows;
