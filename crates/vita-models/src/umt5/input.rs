//! What can be wrong with token ids.

use vita_base::Hint;

/// Ids that the encoder cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// No ids at all.
    #[error("there are no token ids to encode")]
    Empty,
    /// An id that is no row of the table.
    #[error("token id {id} at place {index} is not below the vocabulary's size, {vocab_size}")]
    Id {
        /// The id.
        id: u32,
        /// Its place, from 0.
        index: usize,
        /// Rows of the table of embeddings.
        vocab_size: usize,
    },
    /// A mask of another length.
    #[error("{ids} token ids have a mask of {mask} values")]
    Mask {
        /// Number of ids.
        ids: usize,
        /// Number of mask values.
        mask: usize,
    },
}

impl Hint for InputError {
    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Empty => "an empty prompt is the end token alone (id 1)",
                Self::Id { .. } => "use the tokenizer that belongs to this text encoder",
                Self::Mask { .. } => "give one mask value for each id",
            }
            .into(),
        )
    }
}
