//! [`Tensor`]: a typed, strided view of a shared buffer.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::memory::Buffer;
use crate::{BLOCK_LEN_MAX, DType, DeviceMemory, Dims, Error, Failure};

/// A strided view of a shared buffer. Cloning and viewing copy no elements.
#[derive(Clone)]
pub struct Tensor {
    storage: Storage,
    dtype: DType,
    dims: Dims,
    /// In elements.
    strides: Dims,
    /// Of the first element, in elements.
    offset: usize,
}

#[derive(Clone)]
enum Storage {
    /// `f32` activations, writable while one tensor holds them.
    Pooled(Arc<Buffer>),
    /// Read-only bytes, often a range of a mapped file; not necessarily aligned.
    Bytes(Bytes),
    /// On a device.
    Device(Arc<dyn DeviceMemory>),
    /// Nowhere: it was to be on a device.
    Failed(Failure),
}

/// Making tensors.
impl Tensor {
    /// An `f32` tensor of unspecified content, for an op to fill.
    pub fn scratch(dims: impl Into<Dims>) -> Self {
        let dims = dims.into();
        Self::contiguous(Storage::Pooled(Arc::new(Buffer::scratch(dims.element_count()))), DType::F32, dims)
    }

    /// An `f32` tensor of zeros.
    pub fn zeros(dims: impl Into<Dims>) -> Self {
        let mut tensor = Self::scratch(dims);
        tensor.f32s_mut().fill(0.0);
        tensor
    }

    /// An `f32` tensor of the given values.
    ///
    /// # Panics
    /// If the number of values is not that of the shape.
    pub fn from_vec(values: Vec<f32>, dims: impl Into<Dims>) -> Self {
        let dims = dims.into();
        assert_eq!(values.len(), dims.element_count(), "values for {dims}");
        Self::contiguous(Storage::Pooled(Arc::new(Buffer::from_vec(values))), DType::F32, dims)
    }

    /// A read-only contiguous tensor over foreign bytes (little-endian, any alignment).
    ///
    /// # Errors
    /// If the bytes are not exactly as many as shape and dtype take.
    pub fn from_bytes(bytes: Bytes, dtype: DType, dims: &[usize]) -> Result<Self, Error> {
        let shape = Dims::try_new(dims).ok_or(Error::Shape(dims.len()))?;
        let elements = dims.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if let (Some(block), Some(&row)) = (dtype.block(), dims.last())
            && !row.is_multiple_of(block.len)
        {
            return Err(Error::Blocks { dims: shape, dtype, block_len: block.len });
        }
        let expected_bytes = elements.and_then(|elements| dtype.bytes_of(elements)).ok_or(Error::Shape(dims.len()))?;
        if bytes.len() != expected_bytes {
            return Err(Error::Length { dims: shape, dtype, expected_bytes, found_bytes: bytes.len() });
        }
        Ok(Self::contiguous(Storage::Bytes(bytes), dtype, shape))
    }

    /// A contiguous tensor that begins where the memory does.
    pub fn on_device(memory: Arc<dyn DeviceMemory>, dtype: DType, dims: impl Into<Dims>) -> Self {
        Self::contiguous(Storage::Device(memory), dtype, dims.into())
    }

    /// A tensor that was to be on a device and could not be made.
    pub fn failed(failure: Failure, dtype: DType, dims: impl Into<Dims>) -> Self {
        Self::contiguous(Storage::Failed(failure), dtype, dims.into())
    }

    fn contiguous(storage: Storage, dtype: DType, dims: Dims) -> Self {
        Self { storage, dtype, dims, strides: dims.contiguous_strides(), offset: 0 }
    }
}

/// What a tensor is.
impl Tensor {
    /// Sizes of the axes, outermost first.
    pub fn dims(&self) -> Dims {
        self.dims
    }

    /// Sizes of the axes as an array, for shapes whose rank is known.
    ///
    /// # Panics
    /// If the tensor has another number of axes.
    pub fn sizes<const N: usize>(&self) -> [usize; N] {
        (&*self.dims).try_into().unwrap_or_else(|_| panic!("expected {N} axes, the tensor is {}", self.dims))
    }

    /// Steps between neighbours along each axis, in elements.
    pub fn strides(&self) -> Dims {
        self.strides
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Number of elements of the view.
    pub fn element_count(&self) -> usize {
        self.dims.element_count()
    }

    /// Bytes that the view's elements take.
    pub fn size_bytes(&self) -> usize {
        self.byte_count(self.element_count())
    }

    /// Bytes of a number of elements, which are whole blocks where the dtype has any.
    fn byte_count(&self, elements: usize) -> usize {
        self.dtype.bytes_of(elements).expect("whole blocks of a tensor in memory")
    }

    /// Whether the elements lie side by side in row-major order.
    pub fn is_contiguous(&self) -> bool {
        let want = self.dims.contiguous_strides();
        self.element_count() == 0 || (0..self.dims.len()).all(|i| self.dims[i] == 1 || self.strides[i] == want[i])
    }
}

/// Views.
impl Tensor {
    /// Whether both are the same view of the same memory.
    pub fn is_same(&self, other: &Self) -> bool {
        let place = |tensor: &Self| match &tensor.storage {
            Storage::Pooled(buffer) => Some(buffer.as_slice().as_ptr().addr()),
            Storage::Bytes(bytes) => Some(bytes.as_ptr().addr()),
            Storage::Device(memory) => Some(Arc::as_ptr(memory).addr()),
            Storage::Failed(_) => None,
        };
        let shape = |tensor: &Self| (tensor.dtype, tensor.dims, tensor.strides, tensor.offset);
        place(self).is_some() && place(self) == place(other) && shape(self) == shape(other)
    }

    /// `len` entries of an axis, from `start` on.
    ///
    /// # Panics
    /// If they are not all there.
    #[must_use]
    pub fn narrow(&self, axis: usize, start: usize, len: usize) -> Self {
        assert!(start + len <= self.dims[axis], "narrow {start}+{len} of axis {axis} of {}", self.dims);
        let mut view = self.clone();
        view.dims.as_mut_slice()[axis] = len;
        view.offset += start * self.strides[axis];
        view
    }

    /// One entry of an axis; the axis goes away.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn select(&self, axis: usize, index: usize) -> Self {
        let mut view = self.narrow(axis, index, 1);
        let without = |values: Dims| -> Dims {
            let kept: Vec<usize> = values.iter().enumerate().filter(|&(i, _)| i != axis).map(|(_, &v)| v).collect();
            Dims::from(&kept[..])
        };
        view.dims = without(view.dims);
        view.strides = without(view.strides);
        view
    }

    /// Axes in another order: `axes[i]` is the old place of new axis `i`.
    ///
    /// # Panics
    /// If `axes` is not a permutation.
    #[must_use]
    pub fn permute(&self, axes: &[usize]) -> Self {
        assert_eq!(axes.len(), self.dims.len(), "permutation of {}", self.dims);
        let mut seen = [false; Dims::MAX];
        let mut view = self.clone();
        for (to, &from) in axes.iter().enumerate() {
            assert!(!std::mem::replace(&mut seen[from], true), "axis {from} named twice");
            view.dims.as_mut_slice()[to] = self.dims[from];
            view.strides.as_mut_slice()[to] = self.strides[from];
        }
        view
    }

    /// The same elements in another shape, without a copy.
    ///
    /// # Panics
    /// If the element counts differ, or the strides do not allow it. A contiguous tensor always does;
    /// a strided one allows splitting axes, and dropping or adding axes of size 1.
    #[must_use]
    pub fn reshape(&self, dims: impl Into<Dims>) -> Self {
        let dims = dims.into();
        assert_eq!(dims.element_count(), self.element_count(), "reshape {} to {dims}", self.dims);
        let strides = if self.is_contiguous() {
            dims.contiguous_strides()
        } else {
            split_strides(&self.dims, &self.strides, &dims)
                .unwrap_or_else(|| panic!("{} with strides {} cannot be viewed as {dims}", self.dims, self.strides))
        };
        Self { dims, strides, ..self.clone() }
    }
}

/// Where it is.
impl Tensor {
    /// Whether its elements can be read here.
    pub fn is_on_host(&self) -> bool {
        matches!(self.storage, Storage::Pooled(_) | Storage::Bytes(_))
    }

    /// The memory it lies in and its first element there, if it is on a device.
    pub fn device_memory(&self) -> Option<(&Arc<dyn DeviceMemory>, usize)> {
        match &self.storage {
            Storage::Device(memory) => Some((memory, self.offset)),
            _ => None,
        }
    }

    /// Whether no other tensor holds its memory, so that an op may work in place.
    pub fn is_unshared(&self) -> bool {
        match &self.storage {
            Storage::Pooled(buffer) => Arc::strong_count(buffer) == 1,
            Storage::Device(memory) => Arc::strong_count(memory) == 1,
            Storage::Bytes(_) | Storage::Failed(_) => false,
        }
    }

    /// Why it could not be made, if it could not.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.storage {
            Storage::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Itself, unless it could not be made.
    ///
    /// # Errors
    /// Why not.
    pub fn made(self) -> Result<Self, Failure> {
        match self.failure() {
            Some(failure) => Err(failure.clone()),
            None => Ok(self),
        }
    }

    /// The same elements where they can be read: itself, or a copy once the device has made it.
    ///
    /// # Errors
    /// If it could not be made, or the device does not answer.
    pub fn to_host(&self) -> Result<Self, Failure> {
        match &self.storage {
            Storage::Pooled(_) | Storage::Bytes(_) => Ok(self.clone()),
            Storage::Failed(failure) => Err(failure.clone()),
            Storage::Device(memory) => {
                let range = self.byte_count(self.offset)..self.byte_count(self.offset + self.span());
                let storage = Storage::Bytes(Bytes::from(memory.read(range)?));
                let copy = Self { storage, offset: 0, ..self.clone() };
                Ok(if self.dtype == DType::F32 { copy.to_contiguous_f32() } else { copy })
            }
        }
    }
}

/// Elements, of a tensor on the host.
impl Tensor {
    /// The buffer from the first element on, to be walked with [`Self::strides`]; for a contiguous
    /// tensor, exactly its elements.
    ///
    /// # Panics
    /// If the dtype is not `f32`, or the bytes of a file are not aligned for it: ops make an owned
    /// `f32` copy of such tensors first.
    pub fn f32s(&self) -> &[f32] {
        self.try_f32s().unwrap_or_else(|| panic!("f32 slice of a {} tensor", self.dtype))
    }

    /// [`Self::f32s`], or `None` where it would panic.
    pub fn try_f32s(&self) -> Option<&[f32]> {
        let all = match &self.storage {
            Storage::Pooled(buffer) => buffer.as_slice(),
            Storage::Bytes(bytes) if self.dtype == DType::F32 => bytemuck::try_cast_slice(bytes).ok()?,
            Storage::Bytes(_) | Storage::Device(_) | Storage::Failed(_) => return None,
        };
        Some(&all[self.offset..self.offset + self.span()])
    }

    /// [`Self::f32s`] for writing. Copies first if the buffer is shared or is a file's.
    ///
    /// # Panics
    /// If the dtype is not `f32`.
    pub fn f32s_mut(&mut self) -> &mut [f32] {
        assert_eq!(self.dtype, DType::F32, "writing a {} tensor", self.dtype);
        let writable = match &mut self.storage {
            Storage::Pooled(buffer) => Arc::get_mut(buffer).is_some(),
            _ => false,
        };
        if !writable {
            *self = self.to_contiguous_f32();
        }
        let span = self.span();
        let Storage::Pooled(buffer) = &mut self.storage else { unreachable!("made writable above") };
        let values = Arc::get_mut(buffer).expect("held by this tensor alone").as_mut_slice();
        &mut values[self.offset..self.offset + span]
    }

    /// The bytes of a contiguous tensor.
    ///
    /// # Panics
    /// If the tensor is not contiguous.
    pub fn bytes(&self) -> &[u8] {
        assert!(self.is_contiguous(), "bytes of a strided tensor");
        let all: &[u8] = match &self.storage {
            Storage::Pooled(buffer) => bytemuck::cast_slice(buffer.as_slice()),
            Storage::Bytes(bytes) => bytes,
            Storage::Device(_) | Storage::Failed(_) => panic!("bytes of {self:?}, which is not on the host"),
        };
        &all[self.byte_count(self.offset)..self.byte_count(self.offset + self.element_count())]
    }

    /// One element, whatever the dtype: for references and tests, not for loops over a video.
    ///
    /// # Panics
    /// If the index is outside.
    pub fn at(&self, index: &[usize]) -> f64 {
        assert_eq!(index.len(), self.dims.len(), "index into {}", self.dims);
        let mut element = self.offset;
        for (axis, &i) in index.iter().enumerate() {
            assert!(i < self.dims[axis], "index {i} on axis {axis} of {}", self.dims);
            element += i * self.strides[axis];
        }
        self.element(element)
    }

    /// All elements in row-major order of the view, as `f32`.
    pub fn to_vec(&self) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.element_count());
        self.for_each_row(|values| match values {
            Row::F32(values) => out.extend_from_slice(values),
            Row::Decoded(value) => out.push(value),
        });
        out
    }

    /// An owned contiguous `f32` copy, converting the dtype.
    #[must_use]
    pub fn to_contiguous_f32(&self) -> Self {
        let mut copy = Self::scratch(self.dims);
        let out = copy.f32s_mut();
        let mut at = 0;
        self.for_each_row(|values| match values {
            Row::F32(values) => {
                out[at..at + values.len()].copy_from_slice(values);
                at += values.len();
            }
            Row::Decoded(value) => {
                out[at] = value;
                at += 1;
            }
        });
        copy
    }

    /// Elements from the view's first to its last, gaps included.
    fn span(&self) -> usize {
        if self.element_count() == 0 {
            return 0;
        }
        1 + self.dims.iter().zip(self.strides.iter()).map(|(size, stride)| (size - 1) * stride).sum::<usize>()
    }

    fn element(&self, index: usize) -> f64 {
        match &self.storage {
            Storage::Pooled(buffer) => f64::from(buffer.as_slice()[index]),
            Storage::Bytes(bytes) if self.dtype.block().is_some() => {
                let block = self.dtype.block().expect("just asked");
                let mut values = [0.0; BLOCK_LEN_MAX];
                let bytes = &bytes[index / block.len * block.bytes..][..block.bytes];
                self.dtype.widen_block(bytes, &mut values[..block.len]);
                f64::from(values[index % block.len])
            }
            Storage::Bytes(bytes) => {
                let size = self.dtype.size_bytes();
                self.dtype.decode(&bytes[index * size..(index + 1) * size])
            }
            Storage::Device(_) | Storage::Failed(_) => panic!("an element of {self:?}, which is not on the host"),
        }
    }

    fn for_each_row(&self, mut visit: impl FnMut(Row<'_>)) {
        if self.element_count() == 0 {
            return;
        }
        if let (Some(block), true) = (self.dtype.block(), self.is_contiguous()) {
            // Whole blocks at once: an element alone would cost a block each time.
            let mut values = [0.0; BLOCK_LEN_MAX];
            for bytes in self.bytes().chunks_exact(block.bytes) {
                self.dtype.widen_block(bytes, &mut values[..block.len]);
                visit(Row::F32(&values[..block.len]));
            }
            return;
        }
        let Some((&row_len, outer)) = self.dims.split_last() else {
            return visit(Row::Decoded(self.element(self.offset) as f32));
        };
        let row_stride = self.strides[outer.len()];
        let mut index = [0; Dims::MAX];
        loop {
            let start = self.offset + (0..outer.len()).map(|axis| index[axis] * self.strides[axis]).sum::<usize>();
            match self.try_f32s() {
                Some(values) if row_stride == 1 || row_len == 1 => {
                    visit(Row::F32(&values[start - self.offset..start - self.offset + row_len]));
                }
                _ => (0..row_len).for_each(|i| visit(Row::Decoded(self.element(start + i * row_stride) as f32))),
            }
            // The odometer: step the innermost outer axis that has room.
            let Some(axis) = (0..outer.len()).rev().find(|&axis| index[axis] + 1 < outer[axis]) else { return };
            index[axis] += 1;
            index[axis + 1..outer.len()].fill(0);
        }
    }
}

enum Row<'a> {
    F32(&'a [f32]),
    Decoded(f32),
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {})", self.dtype, self.dims)
    }
}

/// Strides of `to` over a strided `from`, where each old axis of size > 1 splits into whole new axes.
fn split_strides(from: &Dims, from_strides: &Dims, to: &Dims) -> Option<Dims> {
    let mut strides = to.contiguous_strides();
    let mut next = to.len();
    for axis in (0..from.len()).rev().filter(|&axis| from[axis] != 1) {
        let mut product = 1;
        while product < from[axis] {
            next = next.checked_sub(1)?;
            strides.as_mut_slice()[next] = from_strides[axis] * product;
            product *= to[next];
        }
        if product != from[axis] {
            return None;
        }
    }
    Some(strides)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(dims: &[usize]) -> Tensor {
        let count = Dims::from(dims).element_count();
        Tensor::from_vec((0..count).map(|i| i as f32).collect(), dims)
    }

    #[test]
    fn views_share_and_writes_copy() {
        let x = counting(&[2, 3, 4]);
        let view = x.narrow(1, 1, 2).permute(&[2, 0, 1]);
        assert_eq!(view.sizes(), [4, 2, 2]);
        assert_eq!(view.to_vec(), [4., 8., 16., 20., 5., 9., 17., 21., 6., 10., 18., 22., 7., 11., 19., 23.]);
        let mut copy = x.clone();
        copy.f32s_mut()[0] = 9.0;
        assert_eq!((x.at(&[0, 0, 0]), copy.at(&[0, 0, 0])), (0.0, 9.0));
        let address = copy.f32s().as_ptr();
        copy.f32s_mut()[1] = 9.0;
        assert_eq!(copy.f32s().as_ptr(), address, "an unshared buffer is written in place");
    }

    #[test]
    fn a_strided_tensor_splits_its_axes() {
        let heads = counting(&[5, 12]).narrow(1, 4, 4).reshape([5, 2, 2]);
        assert_eq!(heads.at(&[3, 1, 0]), 3.0 * 12.0 + 4.0 + 2.0);
        assert_eq!(heads.select(0, 1).to_vec(), [16., 17., 18., 19.]);
    }

    #[test]
    fn bytes_of_any_dtype_and_alignment() {
        let bytes = Bytes::from(vec![0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]);
        assert_eq!(Tensor::from_bytes(bytes.slice(..), DType::F32, &[2]).unwrap().to_vec(), [1.0, 2.0]);
        assert_eq!(Tensor::from_bytes(bytes.slice(2..4), DType::BF16, &[1]).unwrap().to_vec(), [1.0]);
        let odd = Bytes::from(vec![9, 0, 0, 0x80, 0x3f]).slice(1..);
        assert_eq!(Tensor::from_bytes(odd, DType::F32, &[1, 1]).unwrap().to_contiguous_f32().f32s(), [1.0]);
        let error = Tensor::from_bytes(bytes, DType::F16, &[3]).unwrap_err();
        assert_eq!(error.to_string(), "[3] of f16 takes 6 bytes, found 8");
    }

    #[test]
    fn empty_and_scalar() {
        assert!(counting(&[0, 3]).to_vec().is_empty());
        assert_eq!(counting(&[]).to_vec(), [0.0]);
    }
}
