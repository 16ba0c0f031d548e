//! Frames put after one another on a card.

use std::sync::Arc;

use vita_cuda::Card;
use vita_tensor::{DType, Failure, Tensor};

use crate::card::empty;
use crate::copies::{brought, put};

/// That of the first part which is on a card.
pub fn dtype(parts: &[&Tensor]) -> DType {
    parts.iter().find(|part| !part.is_on_host()).map_or(DType::F32, |part| part.dtype())
}

pub fn concat(card: &Arc<Card>, parts: &[&Tensor], dtype: DType, dims: [usize; 4]) -> Result<Tensor, Failure> {
    let whole = empty(card, dtype, dims)?;
    let mut start = 0;
    for part in parts {
        let count = part.dims()[0];
        put(card, &brought(card, part)?, &whole.narrow(0, start, count))?;
        start += count;
    }
    Ok(whole)
}

pub fn with_doubled(
    card: &Arc<Card>,
    first: Option<&Tensor>,
    pairs: &Tensor,
    dims: [usize; 4],
) -> Result<Tensor, Failure> {
    let whole = empty(card, pairs.dtype(), dims)?;
    let before = first.map_or(0, |first| first.dims()[0]);
    if let Some(first) = first {
        put(card, &brought(card, first)?, &whole.narrow(0, 0, before))?;
    }
    let [count, height, width, both] = pairs.sizes();
    let halves = brought(card, pairs)?.reshape([count, height * width, 2, both / 2]).permute(&[0, 2, 1, 3]);
    put(card, &halves, &whole.narrow(0, before, 2 * count))?;
    Ok(whole)
}
