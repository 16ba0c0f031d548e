//! `probe umt5`: the text encoder.

use clap::Args;
use vita_base::Report;
use vita_models::umt5::Umt5;
use vita_tensor::Dims;
use vita_weights::Role;

use super::files::{Files, Inputs, stack};

const AXES: &[&str] = &["B", "L"];

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
    let inputs = files.inputs()?;
    let (batch, ids) = inputs.integers("input_ids", AXES)?;
    let [_, length] = batch.sizes();
    let mask = match inputs.optional("attention_mask", AXES)? {
        None => vec![true; ids.len()],
        Some(_) => mask(&inputs, batch.dims())?,
    };

    let encoder = Umt5::load(&files.weights(Role::TextEncoder)?)?;
    let rows = ids.chunks_exact(length).zip(mask.chunks_exact(length));
    let out: Vec<_> = rows.map(|(ids, mask)| encoder.encode_padded(ids, mask)).collect::<Result<_, _>>()?;
    files.outputs.write(&stack(&out))
}

/// `attention_mask`, of the shape of the ids.
fn mask(inputs: &Inputs, dims: Dims) -> Result<Vec<bool>, Report> {
    let (tensor, values) = inputs.integers("attention_mask", AXES)?;
    if tensor.dims() != dims || values.iter().any(|&value| value > 1) {
        let found = tensor.dims();
        return Err(inputs.error(format!("`attention_mask` is {found}, expected {dims} of 0 and 1")));
    }
    Ok(values.into_iter().map(|value| value == 1).collect())
}
