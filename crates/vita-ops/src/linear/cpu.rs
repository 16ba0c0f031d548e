//! The rows of a linear layer, for the product in `gemm`.

use std::ops::Range;

use crate::gemm::{RowSource, pack_rows};
use crate::rows::Rows;

impl RowSource for Rows {
    fn count(&self) -> usize {
        self.count
    }

    fn pack(&self, rows: Range<usize>, depth: Range<usize>, out: &mut [f32]) {
        let depth = depth.start..depth.end.min(self.width);
        pack_rows(rows.map(|row| &self.row(row)[depth.clone()]), depth.len(), out);
    }
}
