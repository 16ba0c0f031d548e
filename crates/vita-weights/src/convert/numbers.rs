//! Numbers into bytes and back: each element type's nearest to an `f32`, ties to even.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use vita_tensor::DType;

/// The largest number of e4m3.
pub const F8E4M3_MAX: f32 = 448.0;
/// The largest number of half precision.
pub const F16_MAX: f32 = 65504.0;

/// Appends the numbers of whole elements or blocks.
pub fn widen(dtype: DType, bytes: &[u8], out: &mut Vec<f32>) {
    match dtype {
        DType::F32 => out.extend(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes))),
        DType::F16 => {
            let halves: Vec<f16> = bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes)).collect();
            let start = out.len();
            out.resize(start + halves.len(), 0.0);
            halves.convert_to_f32_slice(&mut out[start..]);
        }
        DType::BF16 => out.extend(bytes.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f32())),
        _ => match (dtype.f8_table(), dtype.block()) {
            (Some(table), _) => out.extend(bytes.iter().map(|&code| table[usize::from(code)])),
            (None, Some(block)) => {
                for bytes in bytes.chunks_exact(block.bytes) {
                    let start = out.len();
                    out.resize(start + block.len, 0.0);
                    dtype.widen_block(bytes, &mut out[start..]);
                }
            }
            (None, None) => {
                out.extend(bytes.chunks_exact(dtype.size_bytes()).map(|bytes| dtype.decode(bytes) as f32));
            }
        },
    }
}

/// Appends the nearest of a type to each number, which must be in its range.
///
/// # Panics
/// If the type is none that is written, or blocks are not whole.
pub fn narrow(dtype: DType, values: &[f32], out: &mut Vec<u8>) {
    match dtype {
        DType::F32 => out.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        DType::F16 => {
            let mut halves = vec![f16::ZERO; values.len()];
            halves.convert_from_f32_slice(values);
            out.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
        }
        DType::BF16 => out.extend(values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes())),
        DType::F8E4M3 => out.extend(values.iter().map(|&value| f8e4m3(value))),
        DType::Q8_0 => {
            let (blocks, rest) = values.as_chunks::<32>();
            assert!(rest.is_empty(), "whole blocks");
            blocks.iter().for_each(|block| q8_0(block, out));
        }
        other => panic!("{other} is read, and never written"),
    }
}

/// The code of the nearest e4m3 number; beyond the largest it is the largest.
fn f8e4m3(value: f32) -> u8 {
    let sign = (value.to_bits() >> 24) as u8 & 0x80;
    let magnitude = value.abs();
    if magnitude.is_nan() {
        return sign | 0x7f;
    }
    // Below 2^-6 the steps are 2^-9; above, a step is the eighth part of the power of two.
    let code = if magnitude < 1.0 / 64.0 {
        (magnitude * 512.0).round_ties_even() as u32
    } else {
        let bits = magnitude.min(F8E4M3_MAX).to_bits();
        let rounded = bits + 0x7_ffff + (bits >> 20 & 1);
        (rounded >> 20) - (120 << 3)
    };
    sign | code.min(0x7e) as u8
}

/// A scale in half precision, the largest magnitude over 127, then the numbers in its steps.
fn q8_0(block: &[f32; 32], out: &mut Vec<u8>) {
    let largest = block.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let scale = f16::from_f32(largest / 127.0);
    out.extend(scale.to_le_bytes());
    // The steps are those of the scale as it is stored, so that its rounding does not count twice.
    let scale = scale.to_f32();
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    out.extend(block.iter().map(|value| (value * inverse).round_ties_even().clamp(-127.0, 127.0) as i8 as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrowed(dtype: DType, values: &[f32]) -> Vec<f32> {
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        narrow(dtype, values, &mut bytes);
        widen(dtype, &bytes, &mut back);
        back
    }

    #[test]
    fn e4m3_is_the_nearest_of_all_codes() {
        let table = DType::F8E4M3.f8_table().unwrap();
        for (code, &value) in table.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            assert_eq!(f8e4m3(value), code as u8, "{value} is code {code:#x} itself");
        }
        // Between neighbours, at the middle, and a hair to both sides of it.
        for code in 0..0x7eu8 {
            let (low, high) = (table[usize::from(code)], table[usize::from(code) + 1]);
            let middle = (low + high) / 2.0;
            let even = if code % 2 == 0 { code } else { code + 1 };
            assert_eq!(f8e4m3(middle), even, "{middle}");
            assert_eq!(f8e4m3(middle.next_down()), code, "below {middle}");
            assert_eq!(f8e4m3(middle.next_up()), code + 1, "above {middle}");
            assert_eq!(f8e4m3(-middle.next_up()), 0x80 | (code + 1), "above {middle}, negative");
        }
        assert_eq!([f8e4m3(1e9), f8e4m3(-449.0), f8e4m3(-0.0)], [0x7e, 0xfe, 0x80]);
        assert!(table[usize::from(f8e4m3(f32::NAN))].is_nan());
    }

    #[test]
    fn q8_0_is_within_half_a_step() {
        let values: Vec<f32> = (0..320).map(|i| ((i * 37 % 101) as f32 - 50.0) * 1.7f32.powi(i / 32 - 5)).collect();
        let back = narrowed(DType::Q8_0, &values);
        for (block, back) in values.chunks(32).zip(back.chunks(32)) {
            let largest = block.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            let step = largest / 127.0 * 1.001;
            for (value, back) in block.iter().zip(back) {
                assert!((value - back).abs() <= 0.51 * step, "{value} {back} {step}");
            }
        }
        assert_eq!(narrowed(DType::Q8_0, &[0.0; 32]), [0.0; 32]);
        // So small that the scale has no half: nothing is left, and nothing is infinite.
        assert_eq!(narrowed(DType::Q8_0, &[1e-30; 32]), [0.0; 32]);
    }

    #[test]
    fn other_types_are_the_nearest() {
        let values = [1.0, -2.5, 1.0 + 1.0 / 256.0, 3.140_625, 65504.0, 1e-8];
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let bits = match dtype {
                DType::F32 => 24,
                DType::F16 => 11,
                _ => 8,
            };
            for (value, back) in values.iter().zip(narrowed(dtype, &values)) {
                let bound = (value.abs() * 0.5f32.powi(bits)).max(if dtype == DType::F16 { 3e-8 } else { 0.0 });
                assert!((value - back).abs() <= bound, "{dtype} {value} {back}");
            }
        }
        let mut doubles = Vec::new();
        widen(DType::F64, &[1.5f64.to_le_bytes(), (-2.0f64).to_le_bytes()].concat(), &mut doubles);
        assert_eq!(doubles, [1.5, -2.0]);
    }
}
