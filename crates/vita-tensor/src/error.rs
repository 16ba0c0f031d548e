//! What can be wrong with a tensor made of foreign bytes.

use crate::{DType, Dims};

/// Bytes that cannot be the tensor they are said to be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The buffer's length is not shape times element size.
    #[error("{dims} of {dtype} takes {expected_bytes} bytes, found {found_bytes}")]
    Length {
        /// Shape that was asked for.
        dims: Dims,
        /// Element type that was asked for.
        dtype: DType,
        /// Bytes that such a tensor takes.
        expected_bytes: usize,
        /// Bytes that were given.
        found_bytes: usize,
    },
    /// Rows that are no whole blocks.
    #[error("{dims} of {dtype} has rows that are no whole blocks of {block_len}")]
    Blocks {
        /// Shape that was asked for.
        dims: Dims,
        /// Element type that was asked for.
        dtype: DType,
        /// Elements of a block.
        block_len: usize,
    },
    /// More axes than [`Dims::MAX`], or an element count beyond `usize`.
    #[error("a shape of {0} axes is not supported, or has too many elements")]
    Shape(usize),
}

impl vita_base::Hint for Error {}
