//! `probe dit`: one forward pass of the transformer.

use std::ops::ControlFlow;

use clap::Args;
use vita_base::Report;
use vita_models::wan::{HIDDEN_BYTES_MAX, LayoutOptions, Prompt, Wan};
use vita_weights::Role;

use super::files::{Files, stack};

/// One forward pass of the transformer.
///
/// Inputs: `x` [B, C, T, H, W], channels that are concatenated to the latent included; `timestep`
/// [B], or [B, T] for one a latent frame, 1000 sigma; `context` [B, S, text width], where rows of
/// zeros at the end are padding and take part; with an image branch also `clip_fea` [B, 257, width],
/// or [B, 514, width] for a first and a last image.
/// Result: the velocity, [B, C, T, H, W].
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    files: Files,
}

/// Runs each sample of the batch.
///
/// # Errors
/// If the checkpoint is no transformer, or an input does not fit it.
pub fn run(Arguments { files }: &Arguments) -> Result<(), Report> {
    let inputs = files.inputs()?;
    let x = inputs.tensor("x", &["B", "C", "T", "H", "W"])?;
    let [count, _, frames, rows, columns] = x.sizes();
    let timesteps = match inputs.optional("timestep", &["B"]) {
        Ok(Some(one)) => one.reshape([one.element_count(), 1]),
        _ => inputs.tensor("timestep", &["B", "T"])?,
    };
    let context = inputs.tensor("context", &["B", "S", "text width"])?;
    let clip = inputs.optional("clip_fea", &["B", "tokens", "width"])?;
    for (name, tensor) in [("timestep", Some(&timesteps)), ("context", Some(&context)), ("clip_fea", clip.as_ref())] {
        tensor.map_or(Ok(()), |tensor| inputs.check_batch(name, tensor, count))?;
    }

    let proceed = &mut |_, _| ControlFlow::Continue(());
    let wan = Wan::load(&files.weights(Role::DiffusionModel)?, proceed)?;
    let layout = wan.layout([frames, rows, columns], LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX })?;
    let mut out = Vec::with_capacity(count);
    for index in 0..count {
        let prompt = Prompt::from_padded(&context.select(0, index).to_contiguous_f32())?;
        let image = clip.as_ref().map(|clip| clip.select(0, index).to_contiguous_f32());
        let context = wan.context(&prompt, image.as_ref())?;
        let x = x.select(0, index).to_contiguous_f32();
        out.push(wan.forward(&x, &timesteps.select(0, index).to_vec(), &context, &layout, proceed)?);
    }
    files.outputs.write(&stack(&out))
}
