//! Weights in their stored dtype, turned and widened to `f32` a panel at a time.

use std::borrow::Cow;
use std::ops::Range;

use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use vita_tensor::{BLOCK_LEN_MAX, Block, DType, Tensor};

use super::{BLOCK, PANEL};
use crate::pages::read_ahead;
use crate::simd::Isa;

/// A weight `[N, K]` that is multiplied by in panels of [`PANEL`] of its rows, zeros beyond.
///
/// Only `f32` is packed: `[N / PANEL][K rounded up][PANEL]`. Everything else stays where it is, which for a mapped
/// file means that nothing of it is read before it is multiplied by; a panel is turned while it is widened.
pub(crate) struct Packed {
    data: Data,
    /// `N`.
    pub rows: usize,
    /// `K`.
    pub columns: usize,
    /// `K`, rounded up to [`BLOCK`].
    pub depth: usize,
}

enum Data {
    Panels(Vec<f32>),
    Rows(Tensor),
}

impl Packed {
    /// # Panics
    /// If the tensor is not a contiguous `[N, K]` of a float dtype, or of `f64`.
    pub fn new(weight: &Tensor) -> Self {
        let [rows, columns] = weight.sizes();
        assert!(weight.is_contiguous(), "a strided weight");
        let data = match weight.dtype() {
            DType::F32 => Data::Panels(pack(weight.bytes(), rows, columns)),
            DType::F16 | DType::BF16 | DType::F8E4M3 | DType::F8E5M2 => Data::Rows(weight.clone()),
            dtype if dtype.block().is_some() => Data::Rows(weight.clone()),
            other => panic!("weights of {other}"),
        };
        Self { data, rows, columns, depth: columns.next_multiple_of(BLOCK) }
    }

    /// Bytes held, whether they are this process's own or a mapped file's.
    pub fn size_bytes(&self) -> usize {
        match &self.data {
            Data::Panels(values) => size_of_val(&values[..]),
            Data::Rows(weight) => weight.size_bytes(),
        }
    }

    /// What it was made of, row after row.
    pub fn stored(&self) -> (DType, Cow<'_, [u8]>) {
        match &self.data {
            Data::Rows(weight) => (weight.dtype(), Cow::Borrowed(weight.bytes())),
            Data::Panels(values) => {
                let mut rows = Vec::with_capacity(self.rows * self.columns);
                for row in 0..self.rows {
                    let panel = &values[row / PANEL * self.depth * PANEL..];
                    rows.extend((0..self.columns).map(|column| panel[column * PANEL + row % PANEL]));
                }
                (DType::F32, Cow::Owned(bytemuck::cast_slice(&rows).to_vec()))
            }
        }
    }

    /// Asks for the pages of its file, where it lies in one.
    pub fn read_ahead(&self) {
        if let Data::Rows(weight) = &self.data {
            read_ahead(weight);
        }
    }

    /// The rows as they are stored, unless they are packed, or come in blocks.
    pub(super) fn stored_rows(&self) -> Option<StoredRows<'_>> {
        match &self.data {
            Data::Rows(weight) if weight.dtype().block().is_none() => Some(StoredRows {
                bytes: weight.bytes(),
                dtype: weight.dtype(),
                rows: self.rows,
                columns: weight.dims()[1],
            }),
            _ => None,
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
        match &self.data {
            Data::Panels(values) => &values[(panel * self.depth + start) * PANEL..][..len * PANEL],
            Data::Rows(weight) => {
                let rows = Rows { bytes: weight.bytes(), columns: weight.dims()[1], first: panel * PANEL };
                rows.widen(isa, weight.dtype(), start, len, self.rows, scratch)
            }
        }
    }
}

/// All rows of a weight as they are stored, of a dtype whose elements stand alone.
#[derive(Clone, Copy)]
pub(super) struct StoredRows<'a> {
    bytes: &'a [u8],
    pub dtype: DType,
    pub rows: usize,
    pub columns: usize,
}

impl<'a> StoredRows<'a> {
    /// Some elements of a row.
    pub fn run(&self, row: usize, start: usize, len: usize) -> &'a [u8] {
        let size = self.dtype.size_bytes();
        &self.bytes[(row * self.columns + start) * size..][..len * size]
    }
}

/// Rows of a weight as they are stored, from a panel's first on.
struct Rows<'a> {
    bytes: &'a [u8],
    columns: usize,
    first: usize,
}

impl Rows<'_> {
    /// Columns `start..start + len` of a panel's rows, out of `row_count` of the whole weight.
    fn widen(
        self,
        isa: Isa,
        dtype: DType,
        start: usize,
        len: usize,
        row_count: usize,
        scratch: &mut Vec<f32>,
    ) -> &[f32] {
        let count = PANEL.min(row_count - self.first);
        if let Some(block) = dtype.block() {
            scratch.clear();
            scratch.resize(len * PANEL, 0.0);
            let row_bytes = self.bytes.len() / row_count;
            for (i, row) in self.bytes[self.first * row_bytes..].chunks_exact(row_bytes).take(count).enumerate() {
                widen_column(dtype, block, row, start, &mut scratch[i..]);
            }
            return scratch;
        }
        // The turned elements lie behind the widened ones.
        let turned_len = len * PANEL * dtype.size_bytes() / size_of::<f32>();
        scratch.resize(len * PANEL + turned_len, 0.0);
        let (to, turned) = scratch.split_at_mut(len * PANEL);
        match dtype {
            DType::F16 => {
                let turned = self.turn::<2>(isa, start, len, count, turned);
                bytemuck::cast_slice::<_, u16>(turned).reinterpret_cast::<f16>().convert_to_f32_slice(to);
            }
            DType::BF16 => {
                let turned = self.turn::<2>(isa, start, len, count, turned);
                isa.run(WidenBf16 { from: turned.as_chunks().0, to });
            }
            DType::F8E4M3 => isa.run(WidenF8::<4> { from: self.turn::<1>(isa, start, len, count, turned), to }),
            DType::F8E5M2 => isa.run(WidenF8::<5> { from: self.turn::<1>(isa, start, len, count, turned), to }),
            other => panic!("weights of {other}"),
        }
        to
    }

    /// `[len, PANEL]` elements of `SIZE` bytes; zeros where there is nothing.
    fn turn<'t, const SIZE: usize>(
        &self,
        isa: Isa,
        start: usize,
        len: usize,
        count: usize,
        to: &'t mut [f32],
    ) -> &'t [u8] {
        let to: &mut [u8] = bytemuck::cast_slice_mut(to);
        let columns = start..(start + len).min(self.columns);
        if count < PANEL || columns.len() < len {
            to.fill(0);
        }
        let rows = &self.bytes[self.first * self.columns * SIZE..][..count * self.columns * SIZE];
        isa.run(Turn::<SIZE> { rows, row_len: self.columns, columns, to });
        to
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
        DType::BF16 => isa.run(WidenBf16 { from: bytes.as_chunks().0, to }),
        DType::F16 => match bytemuck::try_cast_slice::<u8, u16>(bytes) {
            Ok(values) => values.reinterpret_cast::<f16>().convert_to_f32_slice(to),
            // A file may have it at an odd place.
            Err(_) => widen_each(bytes, to, |bytes| f16::from_le_bytes(bytes).to_f32()),
        },
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

fn pack(bytes: &[u8], rows: usize, columns: usize) -> Vec<f32> {
    const SIZE: usize = size_of::<f32>();
    let isa = Isa::best();
    let depth = columns.next_multiple_of(BLOCK);
    let mut packed = vec![0.0; rows.div_ceil(PANEL) * depth * PANEL];
    packed.par_chunks_mut((depth * PANEL).max(1)).enumerate().for_each(|(panel, out)| {
        let first = panel * PANEL;
        let count = PANEL.min(rows - first);
        let rows = &bytes[first * columns * SIZE..][..count * columns * SIZE];
        isa.run(Turn::<SIZE> { rows, row_len: columns, columns: 0..columns, to: bytemuck::cast_slice_mut(out) });
    });
    packed
}

/// Turns columns of rows into rows of [`PANEL`] elements of `SIZE` bytes.
struct Turn<'a, const SIZE: usize> {
    rows: &'a [u8],
    row_len: usize,
    columns: Range<usize>,
    to: &'a mut [u8],
}

impl<const SIZE: usize> WithSimd for Turn<'_, SIZE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { rows, row_len, columns, to } = self;
        let side = 8 / SIZE;
        let row_count = rows.len() / (row_len * SIZE).max(1);
        // Whole squares of eight bytes a row are turned in registers; what is left, element by element.
        let (whole_rows, whole_columns) = (row_count / side * side, columns.len() / side * side);
        // Pieces of a cache line a row, so that a line is read once.
        for piece in (0..whole_columns).step_by(64 / SIZE) {
            let end = (piece + 64 / SIZE).min(whole_columns);
            for i in (0..whole_rows).step_by(side) {
                for k in (piece..end).step_by(side) {
                    let mut square = [0u64; 8];
                    for (j, word) in square[..side].iter_mut().enumerate() {
                        let at = ((i + j) * row_len + columns.start + k) * SIZE;
                        *word = u64::from_le_bytes(rows[at..at + 8].try_into().expect("eight bytes"));
                    }
                    turn_square::<SIZE>(&mut square);
                    for (j, word) in square[..side].iter().enumerate() {
                        let at = ((k + j) * PANEL + i) * SIZE;
                        to[at..at + 8].copy_from_slice(&word.to_le_bytes());
                    }
                }
            }
        }
        for i in 0..row_count {
            let from = if i < whole_rows { whole_columns } else { 0 };
            for k in from..columns.len() {
                let at = (i * row_len + columns.start + k) * SIZE;
                let element = &mut to[(k * PANEL + i) * SIZE..][..SIZE];
                element.copy_from_slice(&rows[at..at + SIZE]);
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
    from: &'a [[u8; 2]],
    to: &'a mut [f32],
}

impl WithSimd for WidenBf16<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // Left to the compiler, which vectorises it for the instruction set entered.
        for (to, &from) in self.to.iter_mut().zip(self.from) {
            *to = f32::from_bits(u32::from(u16::from_le_bytes(from)) << 16);
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
            // Only `f32` is packed, with what its panels have beyond the weight.
            let elements = if dtype == DType::F32 { 64 * 32 } else { 35 * 19 };
            assert_eq!((packed.depth, packed.size_bytes()), (32, elements * dtype.size_bytes()));
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
