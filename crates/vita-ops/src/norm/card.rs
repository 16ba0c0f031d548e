//! Norms on a card. What they yield is bf16: it goes into products.

use std::sync::Arc;

use vita_cuda::Card;
use vita_cuda::ops::{Affine as CardAffine, LayerNorm, RmsRope, rms_rope};
use vita_tensor::{DType, Failure, Tensor};

use super::Affine;
use crate::card::{Groups, Operand, empty, failed, whole_rows};

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
