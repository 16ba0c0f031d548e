//! A shape or a list of strides: a few numbers, held in place.

use std::fmt;
use std::ops::Deref;

/// Sizes of a tensor's axes, outermost first. Copyable; derefs to a slice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dims {
    len: u8,
    values: [usize; Dims::MAX],
}

impl Dims {
    /// The most axes a tensor has: `[B, F, H, W, p, C]` while patches are taken apart.
    pub const MAX: usize = 8;

    /// Copies a slice; `None` if it has more than [`Dims::MAX`] numbers.
    pub fn try_new(values: &[usize]) -> Option<Self> {
        let mut dims = Self { len: u8::try_from(values.len()).ok()?, values: [0; Self::MAX] };
        dims.values.get_mut(..values.len())?.copy_from_slice(values);
        Some(dims)
    }

    /// Product of all sizes; 1 for a scalar.
    pub fn element_count(&self) -> usize {
        self.iter().product()
    }

    /// Strides, in elements, of a contiguous tensor of this shape.
    pub fn contiguous_strides(&self) -> Self {
        let mut strides = *self;
        let mut step = 1;
        for axis in (0..self.len()).rev() {
            strides.values[axis] = step;
            step *= self.values[axis];
        }
        strides
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [usize] {
        &mut self.values[..usize::from(self.len)]
    }
}

impl Deref for Dims {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.values[..usize::from(self.len)]
    }
}

impl<const N: usize> From<[usize; N]> for Dims {
    fn from(values: [usize; N]) -> Self {
        Self::from(&values[..])
    }
}

impl From<&[usize]> for Dims {
    /// # Panics
    /// With more than [`Dims::MAX`] numbers; use [`Dims::try_new`] for shapes from files.
    fn from(values: &[usize]) -> Self {
        Self::try_new(values).unwrap_or_else(|| panic!("{} axes, at most {}", values.len(), Self::MAX))
    }
}

impl fmt::Display for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, size) in self.iter().enumerate() {
            write!(f, "{}{size}", if axis == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
