//! Chores for NVIDIA cards.

mod cards;
pub mod compile;
pub mod cudnn;
mod stand_ins;
