//! `probe clip-vision`: the image encoder.

use clap::{Args, ValueEnum};
use vita_base::Report;
use vita_models::clip_vision::{self, ClipVision};
use vita_weights::Role;

use super::files::{Files, stack};

/// The image encoder.
///
/// Input: `pixel_values` [B, 3, S, S], prepared; or `image` [B, H, W, 3] in 0..1, which is prepared
/// first. Result: the output of the last block but one, without the final norm, [B, 257, width].
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    files: Files,
    /// What becomes of an `image` that is not square.
    #[arg(long, value_enum, default_value_t = Crop::Center)]
    crop: Crop,
}

/// As `vita_models` has it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Crop {
    /// Its middle is taken.
    Center,
    /// All of it is taken, stretched to a square.
    None,
}

/// Encodes each sample of the batch.
///
/// # Errors
/// If the checkpoint is no such encoder, or an input does not fit it.
pub fn run(Arguments { files, crop }: &Arguments) -> Result<(), Report> {
    let inputs = files.inputs()?;
    let crop = match crop {
        Crop::Center => clip_vision::Crop::Center,
        Crop::None => clip_vision::Crop::None,
    };
    let images = inputs.optional("image", &["B", "H", "W", "3"])?;
    let batch = match &images {
        Some(images) => images.clone(),
        None => inputs.tensor("pixel_values", &["B", "3", "S", "S"])?,
    };
    let encoder = ClipVision::load(&files.weights(Role::ClipVision)?)?;
    let encode = |index| match &images {
        Some(images) => encoder.encode(&images.select(0, index), crop),
        None => encoder.forward(&batch.select(0, index)),
    };
    let out: Vec<_> = (0..batch.dims()[0]).map(encode).collect::<Result<_, _>>()?;
    files.outputs.write(&stack(&out))
}
