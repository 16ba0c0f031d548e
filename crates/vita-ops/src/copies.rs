//! Plain copies on a card, whatever the widths: kernels take channels in eights, and not every network has them.

use std::sync::Arc;

use vita_cuda::Card;
use vita_cuda::ops::{View, pad, permute};
use vita_tensor::{DType, Failure, Tensor};

use crate::card::{contiguous, empty, failed, float, slice, upload, whole_rows};

/// A contiguous tensor on the card, of the type it has.
pub fn brought(card: &Arc<Card>, x: &Tensor) -> Result<Tensor, Failure> {
    match x.is_on_host() {
        true => upload(card, x),
        false if x.is_contiguous() => Ok(x.clone()),
        false => contiguous(card, x, x.dtype()),
    }
}

/// Writes a tensor over a contiguous one of as many elements, as its type; both on the card.
pub fn put(card: &Card, x: &Tensor, place: &Tensor) -> Result<(), Failure> {
    assert!(place.is_contiguous() && place.element_count() == x.element_count(), "{x:?} in {place:?}");
    let view = View { data: slice(x), float: float(x.dtype()), sizes: &x.dims(), strides: &x.strides() };
    permute(card.machine(), view, slice(place), float(place.dtype())).map_err(failed)
}

/// x with zeros behind its last axis, up to a width; contiguous.
pub fn padded(card: &Arc<Card>, x: &Tensor, width: usize, dtype: DType) -> Result<Tensor, Failure> {
    let x = brought(card, x)?;
    let mut dims = x.dims().to_vec();
    *dims.last_mut().expect("rows have an axis") = width;
    if x.dims() == dims[..].into() {
        return if x.dtype() == dtype { Ok(x) } else { contiguous(card, &x, dtype) };
    }
    let y = empty(card, dtype, &dims[..])?;
    pad(card.machine(), whole_rows(&x), whole_rows(&y)).map_err(failed)?;
    Ok(y)
}

/// The first entries of the last axis; contiguous.
pub fn cut(card: &Arc<Card>, x: Tensor, width: usize) -> Result<Tensor, Failure> {
    let last = x.dims().len() - 1;
    match x.dims()[last] == width {
        true => Ok(x),
        false => contiguous(card, &x.narrow(last, 0, width), x.dtype()),
    }
}
