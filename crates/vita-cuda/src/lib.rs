//! NVIDIA cards, found at run time: nothing of CUDA is needed to build, and a machine without a
//! driver gets an ordinary [`Error`] that says so.
//!
//! - [`discover`]: the driver and its libraries, from the system, from `CUDA_HOME`, from pip's folders;
//!   [`report`] says what was found and what is missing.
//! - [`compile`]: kernels are CUDA C++ beside their ops, compiled by NVRTC for the card at first use and
//!   kept on disk.
//! - [`machine`]: a card behind a small trait, so that the same ops and the same [`selftest`] run on
//!   something that is no card.
//! - [`memory`]: one pool with a budget for each card; [`plan`] decides before a run what stays on
//!   the card and what streams to it.
//! - [`cublaslt`]: products by NVIDIA's own library; [`cudnn`]: attention by another, where that is faster.
//! - [`Card`]: all of that as a network uses it.
//! - [`ops`]: one folder an op: what it computes, its kernel, its slow reference, its cases.
//!
//! Paths arrive as arguments; nothing here reads the environment or the clock.

pub mod arch;
mod card;
pub mod compile;
pub mod cublaslt;
pub mod cudnn;
pub mod discover;
mod error;
pub mod machine;
pub mod memory;
pub mod ops;
pub mod plan;
pub mod report;
pub mod selftest;

pub use arch::Arch;
pub use card::{Bias, Card};
pub use error::{Error, Result};
