//! The Wan video autoencoders: pixels to latents of 4 times fewer frames and 8 (Wan 2.1) or 16 (Wan 2.2)
//! times fewer rows and columns, and back. [`Vae`] finds out which one a file holds.
//!
//! Follows `WanVAE_` of Wan2.1 (`wan/modules/vae.py`) and of Wan2.2 (`wan/modules/vae2_2.py`); blocks are
//! named as in their checkpoints. Both are lists of the same blocks ([`Config`]); the later one folds
//! 2 x 2 pixels into channels first and adds a parameter-free shortcut around each stage. Time is
//! causal: each convolution sees two frames back and none ahead, so a clip goes through in pieces of
//! any number of frames, and what a piece needs of its past is the last two input frames of each
//! convolution ([`past`]). The result does not depend on the pieces.
//!
//! - Latents are raw, `[C, T, h, w]` with C 16 or 48; [`LatentFormat`] takes them to and from the
//!   sampler's scale.
//! - Videos are `[F, H, W, 3]` in -1..1, `F = 1 + 4 (T - 1)`. Inside, all is channels last.
//! - Everything is `f32`, whatever the weights are stored as. On a card the stream is `f32` too; convolutions multiply
//!   what norms give as `f16` and all else as `bf16`, and add up in `f32`.
//! - [`Decoder`] and [`Encoder`] are loaded apart: most jobs need one of them.

mod autoencoder;
mod blocks;
mod chain;
mod config;
mod decoder;
mod encoder;
mod frames;
mod input;
mod latent;
mod past;
mod plan;
mod shortcut;
mod tile;
mod trace;

use std::ops::ControlFlow;

use vita_tensor::Tensor;

pub use autoencoder::{Error, Vae};
pub use config::{BlockConfig, Config};
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use input::InputError;
pub use latent::{LatentFormat, WAN21, WAN22};
pub use plan::{Cost, decode_cost, encode_cost};
pub use shortcut::ShortcutConfig;
pub use tile::Tile;

pub use vita_weights::VaeGeneration;

/// How a clip is cut up on its way through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// About how many bytes the tensors of one piece of frames may take at any one stage. Larger pieces
    /// are a little faster; a single frame is the least. See [`Options::within`].
    pub piece_bytes: usize,
    /// Squares to cut the picture into, blended where they overlap: much less memory, results that
    /// differ a little near the seams.
    pub tile: Option<Tile>,
}

impl Options {
    /// The whole clip in one piece: fastest, and the least memory for short clips.
    pub const WHOLE: Self = Self { piece_bytes: usize::MAX, tile: None };

    /// The largest pieces, without tiles, whose cost stays within `memory_bytes`; `None` where even
    /// single frames take more. `cost` is [`decode_cost`] or [`encode_cost`] of the clip at hand.
    pub fn within(memory_bytes: usize, cost: impl Fn(Self) -> Cost) -> Option<Self> {
        let halved = (1..8).map(|shift| memory_bytes >> shift);
        std::iter::once(usize::MAX)
            .chain(halved)
            .chain([0])
            .map(|piece_bytes| Self { piece_bytes, tile: None })
            .find(|&options| cost(options).peak_bytes <= memory_bytes)
    }
}

/// Where a decode or an encode is.
#[derive(Debug)]
pub struct Progress {
    /// Share of the arithmetic that is done, 0..=1.
    pub fraction: f64,
    /// The next results, if there are new ones: frames `[F, H, W, 3]` in -1..1 of a decode, latent
    /// frames `[T, h, w, C]` of an encode. With tiles, all come at the end.
    pub frames: Option<Tensor>,
}

/// Hears of progress every block of the network, and may stop the work there.
pub type Watch<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;
