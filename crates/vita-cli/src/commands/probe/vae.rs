//! `probe vae-decode` and `probe vae-encode`: the autoencoder of either generation, either way.

use clap::Args;
use vita_base::Report;
use vita_models::vae::{Decoder, Encoder, Options, Tile};
use vita_weights::Role;

use super::files::{Files, stack};

/// Latent to pixels.
///
/// Input: `z` [B, C, T, H, W], a raw latent (not on the sampler's scale). Result: pixels in -1..1,
/// cut off there, [B, 3, 1 + 4 (T - 1), 8 H, 8 W]
/// (16 H, 16 W of Wan 2.2).
#[derive(Args, Debug)]
pub struct DecodeArguments {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    cut: Cut,
}

/// Pixels to latent.
///
/// Input: `x` [B, 3, F, H, W], pixels in -1..1. Result: the raw mean of the latent, [B, C, T, H, W]
/// (not on the sampler's scale).
#[derive(Args, Debug)]
pub struct EncodeArguments {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    cut: Cut,
}

/// How the clip is cut up.
#[derive(Args, Debug)]
struct Cut {
    /// Side of square tiles in pixels; whole pictures if not given.
    #[arg(long, value_name = "PIXELS")]
    tile: Option<usize>,
    /// How many pixels tiles overlap by; a quarter of their side if not given.
    #[arg(long, value_name = "PIXELS", requires = "tile")]
    overlap: Option<usize>,
    /// About how much the activations of a piece of frames may take; the whole clip is one piece
    /// if not given. The result does not depend on it.
    #[arg(long, value_name = "MiB")]
    piece: Option<usize>,
}

impl Cut {
    fn options(&self) -> Options {
        let tile = self.tile.map(|size| Tile { size, overlap: self.overlap.unwrap_or(size / 4) });
        Options { tile, piece_bytes: self.piece.map_or(usize::MAX, |mebibytes| mebibytes.saturating_mul(1 << 20)) }
    }
}

/// Decodes each sample of the batch.
///
/// # Errors
/// If the checkpoint has no decoder, or the latent does not fit it.
pub fn decode(DecodeArguments { files, cut }: &DecodeArguments) -> Result<(), Report> {
    let latents = files.inputs()?.tensor("z", &["B", "C", "T", "H", "W"])?;
    let decoder = Decoder::load(&files.weights(Role::Vae)?)?;
    let decode = |index| decoder.decode(&latents.select(0, index).to_contiguous_f32(), cut.options());
    let out: Vec<_> = (0..latents.dims()[0]).map(decode).collect::<Result<_, _>>()?;
    files.outputs.write(&stack(&out))
}

/// Encodes each sample of the batch.
///
/// # Errors
/// If the checkpoint has no encoder, or the video does not fit it.
pub fn encode(EncodeArguments { files, cut }: &EncodeArguments) -> Result<(), Report> {
    let videos = files.inputs()?.tensor("x", &["B", "3", "F", "H", "W"])?;
    let encoder = Encoder::load(&files.weights(Role::Vae)?)?;
    // The network's videos have their channels last.
    let video = |index| videos.select(0, index).permute(&[1, 2, 3, 0]).to_contiguous_f32();
    let out: Vec<_> =
        (0..videos.dims()[0]).map(|index| encoder.encode(&video(index), cut.options())).collect::<Result<_, _>>()?;
    files.outputs.write(&stack(&out))
}
