//! Quantised blocks of GGUF files: 32 or 256 elements that share scales, and how they are widened.
//!
//! The layouts are those of ggml's `ggml-common.h`. `d` and `m` are halves; `q` are small integers.

use half::f16;

use crate::DType;

/// Size of the blocks of a quantised dtype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Elements.
    pub len: usize,
    /// Bytes.
    pub bytes: usize,
}

/// Elements of the simple blocks.
const SMALL: usize = 32;

/// Elements of the "K" blocks.
const LARGE: usize = 256;

/// Most elements of any block.
pub const BLOCK_LEN_MAX: usize = LARGE;

impl DType {
    /// The blocks that elements come in; `None` for elements that stand alone.
    pub const fn block(self) -> Option<Block> {
        let (len, bytes) = match self {
            Self::Q4_0 => (SMALL, 18),
            Self::Q4_1 => (SMALL, 20),
            Self::Q5_0 => (SMALL, 22),
            Self::Q5_1 => (SMALL, 24),
            Self::Q8_0 => (SMALL, 34),
            Self::Q2K => (LARGE, 84),
            Self::Q3K => (LARGE, 110),
            Self::Q4K => (LARGE, 144),
            Self::Q5K => (LARGE, 176),
            Self::Q6K => (LARGE, 210),
            _ => return None,
        };
        Some(Block { len, bytes })
    }

    /// Widens one block.
    ///
    /// # Panics
    /// If the dtype has no blocks, or the slices are not one block's.
    pub fn widen_block(self, block: &[u8], out: &mut [f32]) {
        let size = self.block().expect("a quantised dtype");
        assert!(block.len() == size.bytes && out.len() == size.len, "one block of {self}");
        match self {
            Self::Q4_0 => small(block, 0, |low, high, _, _| (low - 8, high - 8), out),
            Self::Q4_1 => small(block, 2, |low, high, _, _| (low, high), out),
            Self::Q5_0 => small(
                block,
                4,
                |low, high, fifth, j| (fifth_bits(low, fifth, j) - 16, fifth_bits(high, fifth, j + 16) - 16),
                out,
            ),
            Self::Q5_1 => {
                small(block, 6, |low, high, fifth, j| (fifth_bits(low, fifth, j), fifth_bits(high, fifth, j + 16)), out)
            }
            Self::Q8_0 => {
                let d = half(block, 0);
                out.iter_mut().zip(&block[2..]).for_each(|(out, &q)| *out = d * f32::from(q as i8));
            }
            Self::Q2K => q2_k(block, out),
            Self::Q3K => q3_k(block, out),
            Self::Q4K => q4_or_5_k(block, &block[16..], None, out),
            Self::Q5K => q4_or_5_k(block, &block[48..], Some(&block[16..48]), out),
            Self::Q6K => q6_k(block, out),
            _ => unreachable!("has blocks"),
        }
    }
}

/// Blocks of 32 with 16 bytes of two 4-bit numbers each: the low halves first, then the high ones. `extra` bytes lie
/// between `d` and them: `m` (of the `_1` types), then the fifth bits.
fn small(block: &[u8], extra: usize, numbers: impl Fn(i32, i32, u32, usize) -> (i32, i32), out: &mut [f32]) {
    let d = half(block, 0);
    let has_minimum = extra % 4 == 2;
    let m = if has_minimum { half(block, 2) } else { 0.0 };
    let fifth = match extra {
        4 | 6 => u32::from_le_bytes(block[extra - 2..extra + 2].try_into().expect("four bytes")),
        _ => 0,
    };
    let (first, second) = out.split_at_mut(SMALL / 2);
    for (j, &byte) in block[2 + extra..].iter().enumerate() {
        let (low, high) = numbers(i32::from(byte & 15), i32::from(byte >> 4), fifth, j);
        first[j] = d * low as f32 + m;
        second[j] = d * high as f32 + m;
    }
}

fn fifth_bits(number: i32, fifth: u32, place: usize) -> i32 {
    number | (((fifth >> place) & 1) << 4) as i32
}

/// 16 bytes of scales and minima (4 bits each), 64 bytes of 2-bit numbers, d, d of the minima.
fn q2_k(block: &[u8], out: &mut [f32]) {
    let (d, minimum) = (half(block, 80), half(block, 82));
    for (group, out) in out.chunks_exact_mut(16).enumerate() {
        let scale = block[group];
        let (d, m) = (d * f32::from(scale & 15), minimum * f32::from(scale >> 4));
        // Groups of 16 run through 32 bytes twice a shift, four shifts a half.
        let (half, shift, side) = (group / 8, group % 8 / 2 * 2, group % 2);
        let numbers = &block[16 + half * 32 + side * 16..][..16];
        out.iter_mut().zip(numbers).for_each(|(out, &q)| *out = d * f32::from((q >> shift) & 3) - m);
    }
}

/// 32 bytes of third bits, 64 of 2-bit numbers, 12 of sixteen 6-bit scales, d.
fn q3_k(block: &[u8], out: &mut [f32]) {
    let d = half(block, 108);
    let packed = &block[96..108];
    for (group, out) in out.chunks_exact_mut(16).enumerate() {
        // Four bits of a scale lie in the first eight bytes, two in the last four.
        let low = packed[group % 8] >> (group / 8 * 4) & 15;
        let high = packed[8 + group % 4] >> (group / 4 * 2) & 3;
        let d = d * (i32::from(low | high << 4) - 32) as f32;
        let (half, shift, side) = (group / 8, group % 8 / 2, group % 2);
        let numbers = &block[32 + half * 32 + side * 16..][..16];
        let thirds = &block[side * 16..][..16];
        let bit = half * 4 + shift;
        for ((out, &q), &third) in out.iter_mut().zip(numbers).zip(thirds) {
            let low = i32::from((q >> (shift * 2)) & 3);
            *out = d * (low - if third >> bit & 1 == 1 { 0 } else { 4 }) as f32;
        }
    }
}

/// d, d of the minima, 12 bytes of eight 6-bit scales and minima, then the fifth bits where there are any, then
/// 128 bytes of two 4-bit numbers.
fn q4_or_5_k(block: &[u8], numbers: &[u8], fifths: Option<&[u8]>, out: &mut [f32]) {
    let (d, minimum) = (half(block, 0), half(block, 2));
    let packed = &block[4..16];
    for (group, out) in out.chunks_exact_mut(SMALL).enumerate() {
        let (scale, m) = match group {
            0..4 => (packed[group] & 63, packed[group + 4] & 63),
            _ => {
                let both = packed[group + 4];
                (both & 15 | packed[group - 4] >> 6 << 4, both >> 4 | packed[group] >> 6 << 4)
            }
        };
        let (d, m) = (d * f32::from(scale), minimum * f32::from(m));
        let shift = group % 2 * 4;
        let numbers = &numbers[group / 2 * SMALL..][..SMALL];
        for (j, (out, &q)) in out.iter_mut().zip(numbers).enumerate() {
            let fifth = fifths.map_or(0, |fifths| (fifths[j] >> group & 1) << 4);
            *out = d * f32::from(q >> shift & 15 | fifth) - m;
        }
    }
}

/// 128 bytes of low four bits, 64 of high two, 16 scales, d.
fn q6_k(block: &[u8], out: &mut [f32]) {
    let d = half(block, 208);
    for (group, out) in out.chunks_exact_mut(16).enumerate() {
        let d = d * f32::from(block[192 + group] as i8);
        // A half of 128 elements is four rows of 32: the rows' low bits in two runs, their high bits in one.
        let (half, row, side) = (group / 8, group % 8 / 2, group % 2);
        let low = &block[half * 64 + row % 2 * 32 + side * 16..][..16];
        let high = &block[128 + half * 32 + side * 16..][..16];
        for ((out, &low), &high) in out.iter_mut().zip(low).zip(high) {
            let number = low >> (row / 2 * 4) & 15 | (high >> (row * 2) & 3) << 4;
            *out = d * (i32::from(number) - 32) as f32;
        }
    }
}

fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of the `gguf` package 0.x (`gguf.quants.dequantize`), as hexadecimal bytes and a few of their values.
    #[test]
    fn blocks_widen_as_ggml_does() {
        let text = include_str!("blocks_fixture.txt");
        let mut seen = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let [name, bytes, values] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let dtype = DType::QUANTISED.into_iter().find(|dtype| dtype.to_string() == name).unwrap();
            let bytes: Vec<u8> =
                (0..bytes.len()).step_by(2).map(|i| u8::from_str_radix(&bytes[i..i + 2], 16).unwrap()).collect();
            let want: Vec<f32> = values.split(',').map(|value| value.parse().unwrap()).collect();
            let mut got = vec![0.0; dtype.block().unwrap().len];
            dtype.widen_block(&bytes, &mut got);
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                assert!((got - want).abs() <= 1e-6 * want.abs().max(1.0), "{name} {i}: {got}, {want}");
            }
            assert_eq!(got.len(), want.len());
            seen += 1;
        }
        assert_eq!(seen, 2 * DType::QUANTISED.len());
    }
}
