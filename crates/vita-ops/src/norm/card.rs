//! Norms on a card. What they yield goes into products: bf16, or f16 where its size is bounded.

use std::sync::Arc;

use vita_cuda::Card;
use vita_cuda::ops::{Affine as CardAffine, LayerNorm, RmsRope, cast, rms_rope};
use vita_tensor::{DType, Failure, Tensor};

use super::Affine;
use crate::Activation;
use crate::activation::function;
use crate::card::{Groups, Operand, empty, failed, whole_rows};
use crate::copies::{brought, cut, padded};

pub fn layer_norm(card: &Arc<Card>, x: &Tensor, affine: Affine, epsilon: f32) -> Result<Tensor, Failure> {
    let y = empty(card, DType::BF16, x.dims())?;
    let x = Operand::of(card, x)?;
    let groups =
        |factor: &Tensor, term: &Tensor| Ok::<_, Failure>([Groups::of(card, factor)?, Groups::of(card, term)?]);
    let parts = match affine {
        Affine::None => None,
        Affine::Weight { weight, bias } => Some(groups(weight, bias)?),
        Affine::Modulate { scale, shift } => Some(groups(scale, shift)?),
    };
    let affine = match (&parts, affine) {
        (Some([weight, bias]), Affine::Weight { .. }) => {
            CardAffine::Weight { weight: weight.rows(), bias: bias.rows() }
        }
        (Some([scale, shift]), _) => CardAffine::Modulate { scale: scale.rows(), shift: shift.rows() },
        (None, _) => CardAffine::None,
    };
    let call = LayerNorm { x: x.rows(), y: whole_rows(&y), affine, row_scale: None, epsilon };
    vita_cuda::ops::layer_norm(card.machine(), call).map_err(failed)?;
    Ok(y)
}

pub fn rms_norm(card: &Arc<Card>, x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor, Failure> {
    let y = empty(card, DType::BF16, x.dims())?;
    let (x, weight) = (Operand::of(card, x)?, Groups::of(card, weight)?);
    let call = RmsRope { x: x.rows(), y: whole_rows(&y), weight: weight.rows(), epsilon, rope: None };
    rms_rope(card.machine(), call).map_err(failed)?;
    Ok(y)
}

pub fn l2_norm(card: &Arc<Card>, x: &Tensor, gamma: &Tensor, then: Activation) -> Result<Tensor, Failure> {
    let width = gamma.element_count();
    let filled = width.next_multiple_of(8);
    // Zeros behind a row do not change its length; the kernel's factor of all channels' root does change.
    let x = padded(card, x, filled, if x.is_on_host() { DType::F32 } else { x.dtype() })?;
    let gamma = padded(card, &brought(card, gamma)?, filled, DType::F32)?;
    if filled != width {
        let rows = whole_rows(&gamma);
        cast(card.machine(), rows, rows, (width as f32 / filled as f32).sqrt()).map_err(failed)?;
    }
    let (y, gamma) = (empty(card, DType::F16, x.dims())?, Groups::of(card, &gamma)?);
    vita_cuda::ops::l2_norm(card.machine(), whole_rows(&x), gamma.rows(), function(then), whole_rows(&y))
        .map_err(failed)?;
    cut(card, y, width)
}
