//! Ops on a card: tensors that lie there, and how an op finds out that it is to run there.
//!
//! An op runs on the card that any of its operands lies on, and brings the others there. The stream of a network is f32
//! as on the host; what norms, products and attentions yield is bf16. What fails on the way makes a tensor that says so
//! ([`vita_tensor::Failure`]).

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use half::bf16;
use vita_cuda::Card;
use vita_cuda::memory::{Buffer, Slice};
use vita_cuda::ops::{Float, Format, Modulation, Rows, View, permute};
use vita_tensor::{DType, DeviceMemory, Dims, Failure, Tensor};

use crate::rows::row_stride;

/// Memory of a card, as a tensor holds it.
struct Resident {
    card: Arc<Card>,
    buffer: Buffer,
}

impl DeviceMemory for Resident {
    fn read(&self, bytes: Range<usize>) -> Result<Vec<u8>, Failure> {
        let part = self.buffer.slice().part(bytes.start as u64, bytes.len() as u64);
        self.card.pool().download(part).map_err(failed)
    }
}

/// The same values on a card, contiguous and as f32: norms' weights, modulations, what a network starts from.
#[must_use]
pub fn to_card(card: &Arc<Card>, x: &Tensor) -> Tensor {
    upload(card, x).unwrap_or_else(|failure| Tensor::failed(failure, DType::F32, x.dims()))
}

/// A card's error as what a tensor fails of.
pub(crate) fn failed(error: vita_cuda::Error) -> Failure {
    if error.is_out_of_memory() { Failure::shortage(error) } else { Failure::new(error) }
}

/// Where the operands of an op are.
pub(crate) enum Site {
    Host,
    Card(Arc<Card>),
    Failed(Failure),
}

impl Site {
    pub fn of<'a>(operands: impl IntoIterator<Item = &'a Tensor>) -> Self {
        let mut site = Self::Host;
        for tensor in operands {
            if let Some(failure) = tensor.failure() {
                return Self::Failed(failure.clone());
            }
            if let Some(resident) = resident(tensor) {
                site = Self::Card(resident.card.clone());
            }
        }
        site
    }

    /// That of an op's own card, where no operand lies on one.
    pub fn or(self, card: &Arc<Card>) -> Self {
        match self {
            Self::Host => Self::Card(card.clone()),
            other => other,
        }
    }

    /// What an op yields on a card; `None` where it is to run on the host.
    pub fn make(
        self,
        dtype: DType,
        dims: impl Into<Dims>,
        work: impl FnOnce(&Arc<Card>) -> Result<Tensor, Failure>,
    ) -> Option<Tensor> {
        let made = match self {
            Self::Host => return None,
            Self::Card(card) => work(&card),
            Self::Failed(failure) => Err(failure),
        };
        Some(made.unwrap_or_else(|failure| Tensor::failed(failure, dtype, dims)))
    }
}

/// A tensor on a card as rows: its last axis, and all others as one.
#[derive(Clone)]
pub(crate) struct Operand {
    tensor: Tensor,
    count: usize,
    width: usize,
    stride: usize,
}

impl Operand {
    /// A view where kernels can walk it, else a contiguous copy of the same type.
    pub fn of(card: &Arc<Card>, x: &Tensor) -> Result<Self, Failure> {
        let width = *x.dims().last().expect("a tensor of rows has an axis");
        let count = x.element_count().checked_div(width).unwrap_or(0);
        let x = if x.is_on_host() { upload(card, x)? } else { x.clone() };
        Ok(match row_stride(&x).filter(|stride| *stride >= width && stride.is_multiple_of(8) && is_aligned(&x)) {
            Some(stride) => Self { tensor: x, count, width, stride },
            None => Self { tensor: contiguous(card, &x, x.dtype())?, count, width, stride: width },
        })
    }

    pub fn dtype(&self) -> DType {
        self.tensor.dtype()
    }

    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The tensor, without gaps.
    pub fn into_contiguous(self, card: &Arc<Card>) -> Result<Tensor, Failure> {
        if self.tensor.is_contiguous() {
            return Ok(self.tensor);
        }
        contiguous(card, &self.tensor, self.tensor.dtype())
    }

    pub fn rows(&self) -> Rows<'_> {
        Rows::strided(slice(&self.tensor), float(self.tensor.dtype()), self.count, self.width, self.stride)
    }
}

/// All of a contiguous tensor on a card as rows.
pub(crate) fn whole_rows(x: &Tensor) -> Rows<'_> {
    assert!(x.is_contiguous(), "rows of a strided tensor");
    let width = *x.dims().last().expect("a tensor of rows has an axis");
    Rows::new(slice(x), float(x.dtype()), x.element_count().checked_div(width).unwrap_or(0), width)
}

/// A tensor `[C]` or `[T, C]` as the rows that groups of others are changed by.
pub(crate) struct Groups(Tensor);

impl Groups {
    pub fn of(card: &Arc<Card>, x: &Tensor) -> Result<Self, Failure> {
        let x = if x.is_on_host() { upload(card, x)? } else { x.clone() };
        let as_is = x.is_contiguous() && x.dtype() == DType::F32;
        Ok(Self(if as_is { x } else { contiguous(card, &x, DType::F32)? }))
    }

    pub fn rows(&self) -> Modulation<'_> {
        let groups = if self.0.dims().len() == 1 { 1 } else { self.0.dims()[0] };
        Modulation { data: slice(&self.0), groups }
    }
}

/// A tensor of unspecified content.
pub(crate) fn empty(card: &Arc<Card>, dtype: DType, dims: impl Into<Dims>) -> Result<Tensor, Failure> {
    let dims = dims.into();
    let bytes = dims.element_count() as u64 * float(dtype).bytes();
    let buffer = card.pool().allocate(bytes).map_err(failed)?;
    Ok(Tensor::on_device(Arc::new(Resident { card: card.clone(), buffer }), dtype, dims))
}

/// A tensor of zeros.
pub(crate) fn zeros(card: &Arc<Card>, dtype: DType, dims: impl Into<Dims>) -> Result<Tensor, Failure> {
    let y = empty(card, dtype, dims)?;
    card.pool().fill(slice(&y), 0).map_err(failed)?;
    Ok(y)
}

/// Where an op may write its result: over x if nobody else holds it, else in new memory.
pub(crate) fn over_or_beside(card: &Arc<Card>, x: &Tensor) -> Result<Tensor, Failure> {
    if x.is_unshared() && x.is_contiguous() {
        // The one that is given is gone when the op returns; until then both are this op's.
        return Ok(x.clone());
    }
    empty(card, x.dtype(), x.dims())
}

/// A contiguous copy as another type.
pub(crate) fn contiguous(card: &Arc<Card>, x: &Tensor, dtype: DType) -> Result<Tensor, Failure> {
    let y = empty(card, dtype, x.dims())?;
    let view = View { data: slice(x), float: float(x.dtype()), sizes: &x.dims(), strides: &x.strides() };
    permute(card.machine(), view, slice(&y), float(dtype)).map_err(failed)?;
    Ok(y)
}

/// From the first element of a tensor on a card to the end of its memory.
pub(crate) fn slice(x: &Tensor) -> Slice<'_> {
    let (_, offset) = x.device_memory().expect("a tensor on a card");
    let buffer = &resident(x).expect("a tensor on a card").buffer;
    let start = offset as u64 * float(x.dtype()).bytes();
    buffer.slice().part(start, buffer.bytes() - start)
}

/// The types of activations, and of weights that are plain numbers.
pub(crate) fn float(dtype: DType) -> Float {
    match dtype {
        DType::F32 => Float::F32,
        DType::F16 => Float::F16,
        DType::BF16 => Float::Bf16,
        DType::F8E4M3 => Float::E4m3,
        DType::F8E5M2 => Float::E5m2,
        other => panic!("{other} on a card"),
    }
}

/// How weights lie in memory.
pub(crate) fn format(dtype: DType) -> Format {
    match dtype {
        DType::Q4_0 => Format::Q4_0,
        DType::Q4_1 => Format::Q4_1,
        DType::Q5_0 => Format::Q5_0,
        DType::Q5_1 => Format::Q5_1,
        DType::Q8_0 => Format::Q8_0,
        DType::Q2K => Format::Q2K,
        DType::Q3K => Format::Q3K,
        DType::Q4K => Format::Q4K,
        DType::Q5K => Format::Q5K,
        DType::Q6K => Format::Q6K,
        plain => Format::Plain(float(plain)),
    }
}

/// Numbers as bf16, rounded to nearest even.
pub(crate) fn narrowed(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect()
}

pub(crate) fn upload(card: &Arc<Card>, x: &Tensor) -> Result<Tensor, Failure> {
    if let Some(failure) = x.failure() {
        return Err(failure.clone());
    }
    let values = crate::to_f32(x);
    let buffer = card.pool().upload(values.bytes()).map_err(failed)?;
    Ok(Tensor::on_device(Arc::new(Resident { card: card.clone(), buffer }), DType::F32, x.dims()))
}

fn resident(x: &Tensor) -> Option<&Resident> {
    let (memory, _) = x.device_memory()?;
    (&**memory as &dyn Any).downcast_ref()
}

/// Kernels load eight elements at once.
fn is_aligned(x: &Tensor) -> bool {
    let at_once = (8 * float(x.dtype()).bytes()).min(16);
    slice(x).pointer().0.is_multiple_of(at_once)
}
