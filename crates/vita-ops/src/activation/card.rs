//! Activations on a card.

use std::sync::Arc;

use vita_cuda::Card;
use vita_cuda::ops::{Function, activation};
use vita_tensor::{Failure, Tensor};

use super::Activation;
use crate::card::{Operand, failed, over_or_beside, whole_rows};

pub fn forward(card: &Arc<Card>, activation_of: Activation, x: Tensor) -> Result<Tensor, Failure> {
    let Some(function) = function(activation_of) else { return Ok(x) };
    let x = if x.is_contiguous() { x } else { Operand::of(card, &x)?.into_contiguous(card)? };
    let y = over_or_beside(card, &x)?;
    activation(card.machine(), function, whole_rows(&x), whole_rows(&y)).map_err(failed)?;
    Ok(y)
}

/// As the card's kernels know it.
pub(crate) fn function(activation: Activation) -> Option<Function> {
    match activation {
        Activation::None => None,
        Activation::GeluTanh => Some(Function::GeluTanh),
        Activation::GeluErf => Some(Function::GeluErf),
        Activation::Silu => Some(Function::Silu),
    }
}
