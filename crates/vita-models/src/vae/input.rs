//! What can be wrong with a clip that is handed in, or with the card that is to work on it.

use vita_base::Hint;
use vita_tensor::{Dims, Failure};

use super::Tile;

/// A clip or an option that the autoencoder cannot take, or a card that cannot work on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// A latent of another form.
    #[error("the latent is {found}, expected [{channels}, frames, height, width], none of them 0")]
    Latent {
        /// Its shape.
        found: Dims,
        /// Channels of this autoencoder's latents.
        channels: usize,
    },
    /// A video of another form.
    #[error("the video is {found}, expected [frames, height, width, {channels}], none of them 0")]
    Video {
        /// Its shape.
        found: Dims,
        /// Channels of this autoencoder's pictures.
        channels: usize,
    },
    /// A picture that is not cut into whole latent pixels.
    #[error("the video is {width}x{height} pixels, not multiples of {factor}")]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Pixels a side of a latent pixel.
        factor: usize,
    },
    /// Tiles that do not advance, or are smaller than a latent pixel.
    #[error("tiles of {} pixels that overlap by {} do not cover a picture", .tile.size, .tile.overlap)]
    Tile {
        /// The tiles asked for.
        tile: Tile,
        /// Pixels a side of a latent pixel.
        factor: usize,
    },
    /// The card has no room, or does not answer.
    #[error(transparent)]
    Card(#[from] Failure),
}

impl Hint for InputError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Latent { .. } | Self::Video { .. } => None,
            Self::Card(failure) => failure.hint(),
            Self::Size { width, height, factor } => {
                let nearest = |size: usize| ((size + factor / 2) / factor * factor).max(*factor);
                Some(format!("the nearest size that fits is {}x{}", nearest(*width), nearest(*height)))
            }
            Self::Tile { factor, .. } => {
                Some(format!("use tiles of at least {factor} pixels, and an overlap smaller than a tile"))
            }
        }
    }
}
