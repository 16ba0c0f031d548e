//! Chores for NVIDIA cards.

pub mod compile;
