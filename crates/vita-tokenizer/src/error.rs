//! What can be wrong with a vocabulary or a prompt.

/// A vocabulary that cannot be used, or a prompt that cannot be tokenised with it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not what their format allows.
    #[error("damaged {format}: {problem}, at {place}")]
    Damaged {
        /// "sentencepiece model" or "tokenizer.json".
        format: &'static str,
        /// Where: a byte offset, a piece, a field.
        place: String,
        /// What was found there.
        problem: String,
    },
    /// A well-formed vocabulary of a kind that this crate does not tokenise with.
    #[error("unsupported {format}: {feature}")]
    Unsupported {
        /// "sentencepiece model" or "tokenizer.json".
        format: &'static str,
        /// What is not supported.
        feature: String,
    },
    /// A prompt needs a special token that the vocabulary does not have.
    #[error("the vocabulary has no {role} token")]
    MissingSpecial {
        /// "end" or "padding".
        role: &'static str,
    },
    /// Parentheses nested deeper than any weight can mean.
    #[error("the prompt nests parentheses more than {depth_max} deep")]
    Nesting {
        /// The deepest nesting that is read.
        depth_max: usize,
    },
    /// A limit on the length of the result that leaves no room for the end token.
    #[error("a prompt cannot be cut to {0} tokens: the end token alone takes one")]
    Length(usize),
}

impl vita_base::Hint for Error {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Damaged { .. } => {
                "download the file again; a whole spiece.model or tokenizer.json of UMT5 works".into()
            }
            Self::Unsupported { .. } => {
                "use the spiece.model or tokenizer.json that belongs to the text encoder (for Wan: UMT5-XXL)".into()
            }
            Self::MissingSpecial { .. } => {
                "use the vocabulary of a T5-like text encoder; UMT5 has `<pad>` and `</s>`".into()
            }
            Self::Nesting { .. } => r"write \( and \) for parentheses that are not weights".into(),
            Self::Length(_) => "allow at least 1 token; the official limit is 512".into(),
        })
    }
}
