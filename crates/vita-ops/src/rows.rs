//! Tensors as rows: the shape most kernels work on.

use rayon::prelude::*;
use vita_tensor::Tensor;

/// A tensor whose last axis is contiguous and whose other axes are one axis of rows.
pub(crate) struct Rows {
    tensor: Tensor,
    /// Number of rows.
    pub count: usize,
    /// Elements of a row.
    pub width: usize,
    /// Elements from one row's start to the next one's.
    pub stride: usize,
}

impl Rows {
    /// A view where the strides allow it (a slice of wider rows does), else a contiguous copy.
    pub fn of(x: &Tensor) -> Self {
        let width = *x.dims().last().expect("a tensor of rows has an axis");
        let count = x.element_count().checked_div(width).unwrap_or(0);
        match row_stride(x) {
            Some(stride) if x.try_f32s().is_some() => Self { tensor: x.clone(), count, width, stride },
            _ => Self { tensor: crate::to_f32(x), count, width, stride: width },
        }
    }

    /// Values from the first row's start on; row `i` is `[i * stride..][..width]`.
    pub fn values(&self) -> &[f32] {
        self.tensor.f32s()
    }

    /// One row.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values()[index * self.stride..][..self.width]
    }
}

/// The single step between rows, if there is one.
pub(crate) fn row_stride(x: &Tensor) -> Option<usize> {
    let (dims, strides) = (x.dims(), x.strides());
    let last = dims.len() - 1;
    if dims[last] != 1 && strides[last] != 1 {
        return None;
    }
    let mut stride = None;
    // What the next axis outwards must step by, for the rows to go on evenly.
    let mut want = None;
    for axis in (0..last).rev().filter(|&axis| dims[axis] != 1) {
        if want.is_some_and(|want| want != strides[axis]) {
            return None;
        }
        stride = stride.or(Some(strides[axis]));
        want = Some(strides[axis] * dims[axis]);
    }
    // A single row may take any step; its width is the tidy one.
    Some(stride.unwrap_or(dims[last]))
}

/// Calls `work(first_row, rows)` for runs of whole rows of a contiguous buffer, in parallel.
///
/// A run has about `RUN_VALUES` values: small enough to share out evenly, large enough to be worth a task.
pub(crate) fn for_each_run(values: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    const RUN_VALUES: usize = 16 << 10;
    if values.is_empty() {
        return;
    }
    let rows_per_run = RUN_VALUES.div_ceil(width);
    if values.len() <= rows_per_run * width {
        return work(0, values);
    }
    values.par_chunks_mut(rows_per_run * width).enumerate().for_each(|(run, values)| work(run * rows_per_run, values));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_wide_rows_are_views_and_permuted_axes_are_copied() {
        let x = Tensor::from_vec((0..60).map(|i| i as f32).collect(), [3, 4, 5]);
        let sliced = x.narrow(2, 1, 3);
        let rows = Rows::of(&sliced);
        assert_eq!((rows.count, rows.width, rows.stride), (12, 3, 5));
        assert_eq!(rows.row(7), [36., 37., 38.]);
        let rows = Rows::of(&x.narrow(1, 0, 2));
        assert_eq!((rows.count, rows.stride), (6, 5), "uneven rows are copied");
        assert_eq!(rows.row(2), [20., 21., 22., 23., 24.]);
        let rows = Rows::of(&x.permute(&[0, 2, 1]));
        assert_eq!(rows.row(1), [1., 6., 11., 16.]);
    }
}
