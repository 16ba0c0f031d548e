//! Validation and execution with toy nodes.

mod cache;
mod execution;
mod page;
mod random;
mod templates;
mod toy;
mod validation;
