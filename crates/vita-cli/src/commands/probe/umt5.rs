//! `probe umt5`: the text encoder.

use clap::Args;
use vita_base::Report;
use vita_models::umt5::Umt5;
use vita_weights::Role;

use super::files::{Files, is_mask, stack};

/// The text encoder.
///
/// Inputs: `input_ids` [B, L]; `attention_mask` [B, L], 1 for tokens and 0 for padding, all ones if
/// not given. Result: [B, L, width], zeros where the mask is 0.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    files: Files,
}

/// Encodes each row of the batch.
///
/// # Errors
/// If the checkpoint is no text encoder, or an input does not fit it.
pub fn run(Arguments { files }: &Arguments) -> Result<(), Report> {
    const AXES: &[&str] = &["B", "L"];
    let inputs = files.inputs()?;
    let (batch, ids) = inputs.integers("input_ids", AXES)?;
    let [_, length] = batch.sizes();
    let mask = match inputs.optional("attention_mask", AXES)? {
        None => vec![1; ids.len()],
        Some(found) => {
            let (tensor, mask) = inputs.integers("attention_mask", AXES)?;
            if found.dims() != batch.dims() || !is_mask(&mask, tensor.dtype()) {
                let expected = format!("{} of 0 and 1", batch.dims());
                return Err(inputs.error(format!("`attention_mask` is {}, expected {expected}", found.dims())));
            }
            mask
        }
    };
    let mask: Vec<bool> = mask.iter().map(|&shown| shown == 1).collect();

    let encoder = Umt5::load(&files.weights(Role::TextEncoder)?)?;
    let rows = ids.chunks_exact(length).zip(mask.chunks_exact(length));
    let out: Vec<_> = rows.map(|(ids, mask)| encoder.encode_padded(ids, mask)).collect::<Result<_, _>>()?;
    files.outputs.write(&stack(&out))
}
