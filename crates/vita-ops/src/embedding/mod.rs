//! Rows of a table, looked up by id.

use vita_tensor::Tensor;

use crate::gemm::widen_slice;
use crate::simd::Isa;

/// table: `[V, C]`, any float dtype, contiguous; ids below `V`. Returns `[ids, C]`.
///
/// # Panics
/// If an id is not in the table: ids are checked where text or a file enters.
pub fn embedding(table: &Tensor, ids: &[u32]) -> Tensor {
    let [_, width] = table.sizes();
    let mut y = Tensor::scratch([ids.len(), width]);
    for (&id, row) in ids.iter().zip(y.f32s_mut().chunks_exact_mut(width)) {
        let entry = table.select(0, id as usize);
        widen_slice(Isa::best(), table.dtype(), entry.bytes(), row);
    }
    y
}

#[cfg(test)]
mod tests {
    use vita_tensor::DType;

    use super::*;
    use crate::testing::Random;

    #[test]
    fn rows_are_those_of_the_table() {
        for dtype in [DType::F32, DType::BF16, DType::F8E4M3] {
            let table = Random::new(1).weight(&[9, 21], dtype);
            let got = embedding(&table, &[8, 0, 8, 3]);
            for (i, id) in [8, 0, 8, 3].into_iter().enumerate() {
                assert_eq!(got.select(0, i).to_vec(), table.select(0, id).to_vec());
            }
        }
    }
}
