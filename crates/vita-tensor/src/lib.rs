//! A tensor: shape, strides, dtype and a buffer. No arithmetic; that is `vita-ops`.
//!
//! - Activations are `f32` in buffers that come from, and go back to, one pool per process
//!   ([`memory`]): large buffers are reused, and the pool's counters are the measured peak that
//!   a run's estimate is held against.
//! - Weights are bytes of any [`DType`], usually a range of a mapped file, shared and read-only.
//! - Quantised weights keep their blocks ([`DType::block`]); only whole rows of them are viewed or widened.
//! - A [`Tensor`] is cheap to clone and to view (`narrow`, `permute`, `reshape`); writing copies
//!   the buffer first if anyone else holds it.
//! - A tensor may lie on a device ([`DeviceMemory`]); ops bring it back, and only [`Tensor::to_host`] reads it.
//!
//! A wrong shape or axis is a mistake in our code and panics; what comes from a file or a person
//! is checked before it becomes a tensor, and answered with an error.
#![forbid(unsafe_code)]

mod blocks;
mod device;
mod dims;
mod dtype;
mod error;
pub mod memory;
mod tensor;

pub use blocks::{BLOCK_LEN_MAX, Block};
pub use bytes::Bytes;
pub use device::{DeviceMemory, Failure};
pub use dims::Dims;
pub use dtype::DType;
pub use error::Error;
pub use tensor::Tensor;
