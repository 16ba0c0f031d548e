//! Weights in their stored dtype, packed for the kernel, and widened to `f32` a panel at a time.

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use vita_tensor::{BLOCK_LEN_MAX, Block, DType, Tensor};

use super::{BLOCK, PANEL};
use crate::simd::Isa;

/// A weight `[N, K]` as panels of [`PANEL`] rows of it: `[N / PANEL][K rounded up][PANEL]`, zeros beyond.
pub(crate) struct Packed {
    data: Data,
    /// `N`.
    pub rows: usize,
    /// `K`, rounded up to [`BLOCK`].
    pub depth: usize,
}

enum Data {
    F32(Vec<f32>),
    F16(Vec<u16>),
    BF16(Vec<u16>),
    F8E4M3(Vec<u8>),
    F8E5M2(Vec<u8>),
    /// Quantised rows as they are stored; a panel is turned while it is widened.
    Blocks {
        bytes: Vec<u8>,
        dtype: DType,
        block: Block,
    },
}

impl Packed {
    /// # Panics
    /// If the tensor is not a contiguous `[N, K]` of a float dtype.
    pub fn new(weight: &Tensor) -> Self {
        let [rows, columns] = weight.sizes();
        let bytes = weight.bytes();
        let data = match weight.dtype() {
            DType::F32 => Data::F32(pack(bytes, rows, columns, f32::from_le_bytes)),
            DType::F16 => Data::F16(pack(bytes, rows, columns, u16::from_le_bytes)),
            DType::BF16 => Data::BF16(pack(bytes, rows, columns, u16::from_le_bytes)),
            DType::F8E4M3 => Data::F8E4M3(pack(bytes, rows, columns, |[byte]| byte)),
            DType::F8E5M2 => Data::F8E5M2(pack(bytes, rows, columns, |[byte]| byte)),
            dtype if dtype.block().is_some() => {
                let block = dtype.block().expect("just asked");
                Data::Blocks { bytes: bytes.to_vec(), dtype, block }
            }
            other => panic!("weights of {other}"),
        };
        Self { data, rows, depth: columns.next_multiple_of(BLOCK) }
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        match &self.data {
            Data::F32(values) => size_of_val(&values[..]),
            Data::F16(values) | Data::BF16(values) => size_of_val(&values[..]),
            Data::F8E4M3(values) | Data::F8E5M2(values) => size_of_val(&values[..]),
            Data::Blocks { bytes, .. } => bytes.len(),
        }
    }

    /// Rows `start..start + len` of one panel as `f32`, `[len, PANEL]`: a slice of the weights
    /// themselves, or widened into `scratch`.
    pub fn panel<'a>(
        &'a self,
        isa: Isa,
        panel: usize,
        start: usize,
        len: usize,
        scratch: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let range = (panel * self.depth + start) * PANEL..(panel * self.depth + start + len) * PANEL;
        if let Data::F32(values) = &self.data {
            return &values[range];
        }
        scratch.resize(len * PANEL, 0.0);
        match &self.data {
            Data::F32(_) => unreachable!("returned above"),
            Data::F16(values) => values[range].reinterpret_cast::<f16>().convert_to_f32_slice(scratch),
            Data::BF16(values) => isa.run(WidenBf16 { from: &values[range], to: scratch }),
            Data::F8E4M3(values) => isa.run(WidenF8::<4> { from: &values[range], to: scratch }),
            Data::F8E5M2(values) => isa.run(WidenF8::<5> { from: &values[range], to: scratch }),
            Data::Blocks { bytes, dtype, block } => {
                let rows = bytes.chunks_exact(bytes.len() / self.rows).skip(panel * PANEL).take(PANEL);
                scratch.fill(0.0);
                for (i, row) in rows.enumerate() {
                    widen_column(*dtype, *block, row, start, &mut scratch[i..]);
                }
            }
        }
        scratch
    }
}

/// Widens elements of a quantised row, from `start` on, to every [`PANEL`]-th place of `to`, as far as both go.
fn widen_column(dtype: DType, block: Block, row: &[u8], start: usize, to: &mut [f32]) {
    let mut values = [0.0; BLOCK_LEN_MAX];
    let mut places = to.iter_mut().step_by(PANEL);
    let mut skip = start % block.len;
    for bytes in row.chunks_exact(block.bytes).skip(start / block.len) {
        let values = &mut values[..block.len];
        dtype.widen_block(bytes, values);
        for value in &values[skip..] {
            let Some(place) = places.next() else { return };
            *place = *value;
        }
        skip = 0;
    }
}

/// Widens contiguous little-endian elements of a float dtype.
///
/// # Panics
/// If the dtype is not a float, or the lengths do not match.
pub(crate) fn widen_slice(isa: Isa, dtype: DType, bytes: &[u8], to: &mut [f32]) {
    assert_eq!(Some(bytes.len()), dtype.bytes_of(to.len()));
    if let Some(block) = dtype.block() {
        let blocks = bytes.chunks_exact(block.bytes).zip(to.chunks_exact_mut(block.len));
        return blocks.for_each(|(bytes, to)| dtype.widen_block(bytes, to));
    }
    match dtype {
        DType::F8E4M3 => isa.run(WidenF8::<4> { from: bytes, to }),
        DType::F8E5M2 => isa.run(WidenF8::<5> { from: bytes, to }),
        DType::BF16 => widen_each(bytes, to, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        DType::F16 => widen_each(bytes, to, |bytes| f16::from_le_bytes(bytes).to_f32()),
        DType::F32 => widen_each(bytes, to, f32::from_le_bytes),
        DType::F64 => widen_each(bytes, to, |bytes| f64::from_le_bytes(bytes) as f32),
        other => panic!("widening {other}"),
    }
}

fn widen_each<const N: usize>(bytes: &[u8], to: &mut [f32], decode: impl Fn([u8; N]) -> f32) {
    for (to, from) in to.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *to = decode(*from);
    }
}

fn pack<T, const SIZE: usize>(bytes: &[u8], rows: usize, columns: usize, decode: fn([u8; SIZE]) -> T) -> Vec<T>
where
    T: Copy + Default + Send + bytemuck::Pod,
{
    let depth = columns.next_multiple_of(BLOCK);
    let mut packed = vec![T::default(); rows.div_ceil(PANEL) * depth * PANEL];
    packed.par_chunks_mut(depth * PANEL).enumerate().for_each(|(panel, out)| {
        let first = panel * PANEL;
        let count = PANEL.min(rows - first);
        let rows = &bytes[first * columns * SIZE..][..count * columns * SIZE];
        // Whole squares of eight bytes a row are turned in registers; what is left, element by element.
        let (turned_rows, turned_columns) = match cfg!(target_endian = "little") {
            true => (count / (8 / SIZE) * (8 / SIZE), columns / (8 / SIZE) * (8 / SIZE)),
            false => (0, 0),
        };
        turn_squares::<SIZE>(rows, columns, turned_rows, turned_columns, bytemuck::cast_slice_mut(out));
        let elements = rows.as_chunks::<SIZE>().0;
        for (i, row) in elements.chunks_exact(columns.max(1)).enumerate() {
            let from = if i < turned_rows { turned_columns } else { 0 };
            for k in from..columns {
                out[k * PANEL + i] = decode(row[k]);
            }
        }
    });
    packed
}

/// Writes the transpose of elements of `SIZE` bytes, in squares of `8 / SIZE`.
fn turn_squares<const SIZE: usize>(rows: &[u8], columns: usize, row_count: usize, column_count: usize, out: &mut [u8]) {
    let side = 8 / SIZE;
    // Pieces of a cache line a row, so that a line is read once.
    for start in (0..column_count).step_by(64 / SIZE) {
        let end = (start + 64 / SIZE).min(column_count);
        for i in (0..row_count).step_by(side) {
            for k in (start..end).step_by(side) {
                let mut square = [0u64; 8];
                for (j, word) in square[..side].iter_mut().enumerate() {
                    let at = ((i + j) * columns + k) * SIZE;
                    *word = u64::from_le_bytes(rows[at..at + 8].try_into().expect("eight bytes"));
                }
                turn_square::<SIZE>(&mut square);
                for (j, word) in square[..side].iter().enumerate() {
                    let at = ((k + j) * PANEL + i) * SIZE;
                    out[at..at + 8].copy_from_slice(&word.to_le_bytes());
                }
            }
        }
    }
}

/// Transposes `8 / SIZE` words of as many elements by swapping ever smaller corners.
#[inline(always)]
fn turn_square<const SIZE: usize>(square: &mut [u64; 8]) {
    let side = 8 / SIZE;
    let mut half = side / 2;
    while half > 0 {
        let bits = (half * SIZE * 8) as u32;
        // The low part of every pair of parts of `bits`.
        let low = u64::MAX / ((1u128 << bits) + 1) as u64;
        for i in (0..side).filter(|i| i & half == 0) {
            let swap = ((square[i] >> bits) ^ square[i + half]) & low;
            square[i + half] ^= swap;
            square[i] ^= swap << bits;
        }
        half /= 2;
    }
}

struct WidenBf16<'a> {
    from: &'a [u16],
    to: &'a mut [f32],
}

impl WithSimd for WidenBf16<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // Left to the compiler, which vectorises it for the instruction set entered.
        for (to, &from) in self.to.iter_mut().zip(self.from) {
            *to = f32::from_bits(u32::from(from) << 16);
        }
    }
}

/// 8-bit floats of `EXPONENT` exponent bits.
struct WidenF8<'a, const EXPONENT: u32> {
    from: &'a [u8],
    to: &'a mut [f32],
}

impl<const EXPONENT: u32> WithSimd for WidenF8<'_, EXPONENT> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // The code's bits, moved to where f32 has exponent and mantissa, are the value times
        // 2^(its bias - 127): one multiplication puts that right, for subnormals too.
        let bias = (1u32 << (EXPONENT - 1)) - 1;
        let scale = f32::from_bits((127 + 127 - bias) << 23);
        for (to, &from) in self.to.iter_mut().zip(self.from) {
            let magnitude = u32::from(from & 0x7f);
            let value = f32::from_bits(magnitude << (23 - (7 - EXPONENT))) * scale;
            // Not numbers: 0x7f alone in e4m3; infinity 0x7c and everything above it in e5m2.
            let special = match EXPONENT {
                4 if magnitude == 0x7f => 0x7fc0_0000,
                5 if magnitude == 0x7c => 0x7f80_0000,
                5 if magnitude > 0x7c => 0x7fc0_0000,
                _ => value.to_bits(),
            };
            *to = f32::from_bits(special | u32::from(from & 0x80) << 24);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn every_f8_code_widens_as_its_table_says() {
        let codes: Vec<u8> = (0..=255).collect();
        for isa in Isa::available() {
            for dtype in [DType::F8E4M3, DType::F8E5M2] {
                let mut values = vec![0.0; 256];
                widen_slice(isa, dtype, &codes, &mut values);
                for (code, (got, want)) in values.iter().zip(dtype.f8_table().unwrap()).enumerate() {
                    assert!(got == want || got.is_nan() && want.is_nan(), "{isa}: {dtype} {code:#x}: {got}, {want}");
                }
            }
        }
    }

    #[test]
    fn panels_of_quantised_rows_are_turned_while_they_are_widened() {
        for dtype in DType::QUANTISED {
            let weight = Random::new(6).weight(&[35, 512], dtype);
            let packed = Packed::new(&weight);
            assert_eq!(packed.size_bytes(), weight.size_bytes());
            let mut scratch = vec![9.0; 7];
            for (panel, start, len) in [(0, 0, 192), (1, 192, 192), (1, 384, 128), (0, 30, 5)] {
                let values = packed.panel(Isa::best(), panel, start, len, &mut scratch);
                for (i, row) in values.chunks(PANEL).enumerate() {
                    for (j, &value) in row.iter().enumerate() {
                        let n = panel * PANEL + j;
                        let want = if n < 35 { weight.at(&[n, start + i]) } else { 0.0 };
                        assert_eq!(f64::from(value), want, "{dtype} at {n}, {}", start + i);
                    }
                }
            }
        }
    }

    #[test]
    fn panels_hold_the_transposed_rows_and_zeros_beyond() {
        for dtype in [DType::F32, DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2] {
            let weight = Random::new(5).weight(&[35, 19], dtype);
            let packed = Packed::new(&weight);
            assert_eq!((packed.depth, packed.size_bytes()), (32, 64 * 32 * dtype.size_bytes()));
            for isa in Isa::available() {
                let mut scratch = Vec::new();
                for panel in 0..2 {
                    let values = packed.panel(isa, panel, 3, 29, &mut scratch);
                    for (i, row) in values.chunks(PANEL).enumerate() {
                        for (j, &value) in row.iter().enumerate() {
                            let (n, k) = (panel * PANEL + j, 3 + i);
                            let want = if n < 35 && k < 19 { weight.at(&[n, k]) } else { 0.0 };
                            assert_eq!(f64::from(value), want, "{isa}: {dtype} at {n}, {k}");
                        }
                    }
                }
            }
        }
    }
}
