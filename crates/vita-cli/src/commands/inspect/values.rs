//! Values of a checkpoint that no computation survives.

use serde::Serialize;
use vita_tensor::DType;
use vita_weights::Checkpoint;

/// A tensor that holds some.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    tensor: String,
    /// How many of its values are infinite or not numbers.
    broken_count: usize,
    value_count: usize,
}

impl Broken {
    pub fn text(&self) -> String {
        let Self { tensor, broken_count, value_count } = self;
        format!("{broken_count} of {value_count} values of {tensor} are infinite or not numbers")
    }
}

/// Reads every floating-point tensor.
pub fn broken(checkpoint: &Checkpoint) -> Vec<Broken> {
    let found = checkpoint.tensors().filter_map(|(name, stored)| {
        let broken_count = broken_count(stored.element_type.dtype()?, &stored.bytes);
        let value_count = stored.dims.element_count();
        (broken_count > 0).then(|| Broken { tensor: name.to_owned(), broken_count, value_count })
    });
    found.collect()
}

fn broken_count(dtype: DType, bytes: &[u8]) -> usize {
    // Numbers that are none have all bits of the exponent set.
    let exponent_full = |bits: u64, exponent: u64| usize::from(bits & exponent == exponent);
    let halves =
        |exponent| bytes.as_chunks().0.iter().map(|&b| exponent_full(u16::from_le_bytes(b).into(), exponent)).sum();
    match dtype {
        DType::F64 => bytes.as_chunks().0.iter().map(|&b| exponent_full(u64::from_le_bytes(b), 0x7ff << 52)).sum(),
        DType::F32 => {
            bytes.as_chunks().0.iter().map(|&b| exponent_full(u32::from_le_bytes(b).into(), 0xff << 23)).sum()
        }
        DType::F16 => halves(0x1f << 10),
        DType::BF16 => halves(0xff << 7),
        // Has no infinity: its largest exponent holds numbers, but for one mantissa.
        DType::F8E4M3 => bytes.iter().map(|&b| exponent_full(b.into(), 0x7f)).sum(),
        DType::F8E5M2 => bytes.iter().map(|&b| exponent_full(b.into(), 0x1f << 2)).sum(),
        DType::U8 | DType::I32 | DType::I64 => 0,
        quantised => in_blocks(quantised, bytes),
    }
}

/// Of GGUF's blocks, whose scales may be none.
fn in_blocks(dtype: DType, bytes: &[u8]) -> usize {
    let Some(block) = dtype.block() else { return 0 };
    let mut values = vec![0.0; block.len];
    let broken = |bytes: &[u8]| {
        dtype.widen_block(bytes, &mut values);
        values.iter().filter(|value| !value.is_finite()).count()
    };
    bytes.chunks_exact(block.bytes).map(broken).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_values_are_broken_that_decode_to_none() {
        for dtype in [DType::F8E4M3, DType::F8E5M2, DType::F16, DType::BF16] {
            for code in 0..=u16::MAX >> (16 - 8 * dtype.size_bytes()) {
                let bytes = &code.to_le_bytes()[..dtype.size_bytes()];
                let want = usize::from(!dtype.decode(bytes).is_finite());
                assert_eq!(broken_count(dtype, bytes), want, "{dtype} {code:#x}");
            }
        }
        let floats = [1.0f32, f32::NAN, f32::MAX, -f32::INFINITY].map(f32::to_le_bytes).concat();
        assert_eq!(broken_count(DType::F32, &floats), 2);
        let doubles = [1.0f64, f64::NAN, f64::MAX].map(f64::to_le_bytes).concat();
        assert_eq!(broken_count(DType::F64, &doubles), 1);
        assert_eq!(broken_count(DType::I64, &[0xff; 8]), 0);
        // Two blocks, the scale of the second one infinite.
        let blocks = [vec![0; 34], vec![0, 0x7c], vec![1; 32]].concat();
        assert_eq!(broken_count(DType::Q8_0, &blocks), 32);
    }
}
