//! What can be wrong with a picture that is handed in.

use vita_base::Hint;
use vita_tensor::Dims;

/// A picture that the encoder cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// An image of another form.
    #[error("the image is {found}, expected [height, width, 3], none of them 0")]
    Image {
        /// Its shape.
        found: Dims,
    },
    /// An image so narrow that its length does not fit in memory once it is enlarged.
    #[error("the image is {width}x{height}, too narrow to be enlarged")]
    Narrow {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// Preprocessed pixels of another form.
    #[error("the pixels are {found}, expected [3, {size}, {size}]")]
    Pixels {
        /// Their shape.
        found: Dims,
        /// Rows and columns that the encoder takes.
        size: usize,
    },
}

impl Hint for InputError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Image { .. } => None,
            Self::Narrow { .. } => Some("crop the image".into()),
            Self::Pixels { .. } => Some("let the image be preprocessed for this encoder".into()),
        }
    }
}
