//! The rotary embedding on a card.

use std::sync::Arc;

use vita_cuda::Card;
use vita_cuda::ops::{Rope, rope as turn};
use vita_tensor::{DType, Failure, Tensor};

use super::RopeTable;
use crate::card::{contiguous, failed, over_or_beside, slice, upload, whole_rows};

/// x: `[L, H, D]` of bf16.
pub fn rope(card: &Arc<Card>, x: Tensor, table: &RopeTable) -> Result<Tensor, Failure> {
    let [tokens, heads, width] = x.sizes();
    let y = over_or_beside(card, &x)?;
    let x = if x.is_contiguous() { x } else { contiguous(card, &x, x.dtype())? };
    let [cosines, sines] = match table.on_card.get() {
        Some(there) => there,
        None => {
            let dims = [table.token_count(), table.pairs];
            let bring = |values: &Vec<f32>| upload(card, &Tensor::from_vec(values.clone(), dims));
            let brought = [bring(&table.cos)?, bring(&table.sin)?];
            table.on_card.get_or_init(|| brought)
        }
    };
    let [from, to] = [&x, &y].map(|x| x.reshape([tokens, heads * width]));
    let angles = Rope { cosines: slice(cosines), sines: slice(sines), head: width };
    turn(card.machine(), whole_rows(&from), whole_rows(&to), angles).map_err(failed)?;
    debug_assert_eq!(y.dtype(), DType::BF16);
    Ok(y)
}
