//! Blocks of pixels on a card.

use std::sync::Arc;

use vita_cuda::Card;
use vita_cuda::ops::{PixelGroups as Kernel, Video};
use vita_tensor::{Failure, Tensor};

use super::PixelGroups;
use crate::card::{empty, failed, float, over_or_beside, slice};
use crate::copies::{brought, put};

pub fn mean(
    card: &Arc<Card>,
    groups: PixelGroups,
    large: &Tensor,
    blank: usize,
    dims: [usize; 4],
) -> Result<Tensor, Failure> {
    let (x, y) = (brought(card, large)?, empty(card, large.dtype(), dims)?);
    kernel(groups, blank).mean(card.machine(), video(&x), video(&y)).map_err(failed)?;
    Ok(y)
}

pub fn add_copies(
    card: &Arc<Card>,
    groups: PixelGroups,
    large: Tensor,
    small: &Tensor,
    skipped: usize,
) -> Result<Tensor, Failure> {
    let large = if large.is_on_host() { brought(card, &large)? } else { large };
    let sum = over_or_beside(card, &large)?;
    if !sum.is_same(&large) {
        put(card, &large, &sum)?;
    }
    let small = brought(card, small)?;
    kernel(groups, skipped).add(card.machine(), video(&small), video(&sum)).map_err(failed)?;
    Ok(sum)
}

fn kernel(PixelGroups { large, small, space, time }: PixelGroups, blank: usize) -> Kernel {
    Kernel { large, small, space, time, blank }
}

fn video(x: &Tensor) -> Video<'_> {
    let [frames, height, width, _] = x.sizes();
    Video { data: slice(x), float: float(x.dtype()), size: [frames, height, width] }
}
