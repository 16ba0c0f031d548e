//! Validation and execution with toy nodes.

mod cache;
mod execution;
mod random;
mod toy;
mod validation;
