//! The rotary embedding on a card.

use std::sync::Arc;

use vita_cuda::Card;
use vita_cuda::ops::{RmsRope, Rope, rms_rope as norm_and_turn, rope as turn};
use vita_tensor::{DType, Failure, Tensor};

use super::RopeTable;
use crate::card::{Groups, Operand, contiguous, empty, failed, over_or_beside, slice, upload, whole_rows};

/// x: `[L, H, D]` of bf16.
pub fn rope(card: &Arc<Card>, x: Tensor, table: &RopeTable) -> Result<Tensor, Failure> {
    let [tokens, heads, width] = x.sizes();
    let y = over_or_beside(card, &x)?;
    let x = if x.is_contiguous() { x } else { contiguous(card, &x, x.dtype())? };
    let angles = there(card, table)?;
    let [from, to] = [&x, &y].map(|x| x.reshape([tokens, heads * width]));
    let angles = Rope { cosines: slice(&angles[0]), sines: slice(&angles[1]), head: width };
    turn(card.machine(), whole_rows(&from), whole_rows(&to), angles).map_err(failed)?;
    debug_assert_eq!(y.dtype(), DType::BF16);
    Ok(y)
}

/// x: `[l, C]`, weight: `[C]`, first: of the table's tokens.
pub fn rms_rope(
    card: &Arc<Card>,
    x: &Tensor,
    weight: &Tensor,
    epsilon: f32,
    (table, first): (&RopeTable, usize),
) -> Result<Tensor, Failure> {
    let y = empty(card, DType::BF16, x.dims())?;
    let (x, weight) = (Operand::of(card, x)?, Groups::of(card, weight)?);
    let angles = there(card, table)?;
    let [cosines, sines] = angles.each_ref().map(|angles| {
        let all = slice(angles);
        let start = (first * table.pairs * size_of::<f32>()) as u64;
        all.part(start, all.bytes() - start)
    });
    let rope = Some(Rope { cosines, sines, head: 2 * table.pairs });
    let call = RmsRope { x: x.rows(), y: whole_rows(&y), weight: weight.rows(), epsilon, rope };
    norm_and_turn(card.machine(), call).map_err(failed)?;
    Ok(y)
}

/// The table on the card.
fn there<'a>(card: &Arc<Card>, table: &'a RopeTable) -> Result<&'a [Tensor; 2], Failure> {
    if let Some(there) = table.on_card.get() {
        return Ok(there);
    }
    let dims = [table.token_count(), table.pairs];
    let bring = |values: &Vec<f32>| upload(card, &Tensor::from_vec(values.clone(), dims));
    let brought = [bring(&table.cos)?, bring(&table.sin)?];
    Ok(table.on_card.get_or_init(|| brought))
}
