//! Sums on a card; x keeps its type.

use std::sync::Arc;

use vita_cuda::Card;
use vita_cuda::ops::{Float, GatedAdd, Rows, multiply};
use vita_tensor::{DType, Failure, Tensor};

use crate::card::{Groups, Operand, Site, contiguous, empty, failed, over_or_beside, whole_rows};

/// `x + y * gate`, or `x + y`.
pub fn gated_add(card: &Arc<Card>, x: Tensor, y: &Tensor, gate: Option<&Tensor>) -> Result<Tensor, Failure> {
    let x = brought(card, x)?;
    let sum = over_or_beside(card, &x)?;
    if gate.is_none() && !x.dims().last().is_some_and(|width| width.is_multiple_of(8)) {
        let y = Operand::of(card, y)?.into_contiguous(card)?;
        vita_cuda::ops::combine(card.machine(), [1.0, 1.0], whole_rows(&x), whole_rows(&y), whole_rows(&sum))
            .map_err(failed)?;
        return Ok(sum);
    }
    let (y, gate) = (Operand::of(card, y)?, gate.map(|gate| Groups::of(card, gate)).transpose()?);
    let call =
        GatedAdd { x: whole_rows(&x), y: y.rows(), gate: gate.as_ref().map(Groups::rows), sum: whole_rows(&sum) };
    vita_cuda::ops::gated_add(card.machine(), call).map_err(failed)?;
    Ok(sum)
}

/// `x + row` for each row of x.
pub fn add_row(card: &Arc<Card>, x: Tensor, row: &Tensor) -> Result<Tensor, Failure> {
    let x = brought(card, x)?;
    let sum = over_or_beside(card, &x)?;
    let row = Groups::of(card, row)?;
    let rows = whole_rows(&x);
    let y = Rows::repeated(row.rows().data, Float::F32, rows.rows, rows.width);
    let call = GatedAdd { x: rows, y, gate: None, sum: whole_rows(&sum) };
    vita_cuda::ops::gated_add(card.machine(), call).map_err(failed)?;
    Ok(sum)
}

/// `x y`
pub fn mul(card: &Arc<Card>, x: Tensor, y: &Tensor) -> Result<Tensor, Failure> {
    let x = brought(card, x)?;
    let product = over_or_beside(card, &x)?;
    let y = Operand::of(card, y)?.into_contiguous(card)?;
    multiply(card.machine(), whole_rows(&x), whole_rows(&y), whole_rows(&product)).map_err(failed)?;
    Ok(product)
}

/// The tensor on the card, without gaps; itself where it is so already.
fn brought(card: &Arc<Card>, x: Tensor) -> Result<Tensor, Failure> {
    if !x.is_on_host() && x.is_contiguous() {
        return Ok(x);
    }
    Operand::of(card, &x)?.into_contiguous(card)
}

/// `a x + b y` as f32.
pub fn combine(card: &Arc<Card>, factors: [f32; 2], x: &Tensor, y: &Tensor) -> Result<Tensor, Failure> {
    let sum = empty(card, DType::F32, x.dims())?;
    let [x, y] = [x, y].map(|x| Operand::of(card, x)?.into_contiguous(card));
    let (x, y) = (x?, y?);
    vita_cuda::ops::combine(card.machine(), factors, whole_rows(&x), whole_rows(&y), whole_rows(&sum))
        .map_err(failed)?;
    Ok(sum)
}

/// `x * factor`, of x's type.
pub fn scale(card: &Arc<Card>, x: &Tensor, factor: f32) -> Result<Tensor, Failure> {
    let x = Operand::of(card, x)?.into_contiguous(card)?;
    let y = empty(card, x.dtype(), x.dims())?;
    vita_cuda::ops::cast(card.machine(), whole_rows(&x), whole_rows(&y), factor).map_err(failed)?;
    Ok(y)
}

/// The sum of all terms, in their order.
pub fn sum(card: &Arc<Card>, terms: &[(f32, &Tensor)]) -> Result<Tensor, Failure> {
    match *terms {
        [] => panic!("a sum of no tensors"),
        [(factor, term)] => scale(card, &contiguous_f32(card, term)?, factor),
        [(a, x), (b, y), ref rest @ ..] => {
            let mut sum = combine(card, [a, b], x, y)?;
            for &(factor, term) in rest {
                sum = combine(card, [1.0, factor], &sum, term)?;
            }
            Ok(sum)
        }
    }
}

/// Copies rows to where they belong in a contiguous tensor on the card, as its type.
pub fn put_rows(card: &Arc<Card>, whole: &Tensor, start: usize, rows: &Tensor) -> Result<Tensor, Failure> {
    let whole = whole.clone();
    let place = whole.narrow(0, start, rows.dims()[0]);
    crate::copies::put(card, &crate::copies::brought(card, rows)?, &place)?;
    Ok(whole)
}

/// A contiguous f32 tensor of the same values as one on a card.
pub fn to_f32(x: &Tensor) -> Tensor {
    let made = Site::of([x]).make(DType::F32, x.dims(), |card| contiguous(card, x, DType::F32));
    made.expect("a tensor on a card")
}

fn contiguous_f32(card: &Arc<Card>, x: &Tensor) -> Result<Tensor, Failure> {
    contiguous(card, Operand::of(card, x)?.tensor(), DType::F32)
}
