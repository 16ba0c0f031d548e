//! What ops work on: rows of numbers on a card.

use std::fmt;

use crate::memory::Slice;

/// Element type of an activation, or of a plain weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Float {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// Truncated single precision.
    Bf16,
    /// 8 bits, 4 of exponent, largest 448.
    E4m3,
    /// 8 bits, 5 of exponent, largest 57344; only read.
    E5m2,
}

impl Float {
    /// Bytes of an element.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::E4m3 | Self::E5m2 => 1,
        }
    }

    /// The bytes of a value, rounded to nearest even.
    pub fn encode(self, value: f32, out: &mut Vec<u8>) {
        match self {
            Self::F32 => out.extend(value.to_le_bytes()),
            Self::F16 => out.extend(f16_bits(value).to_le_bytes()),
            Self::Bf16 => out.extend(bf16_bits(value).to_le_bytes()),
            Self::E4m3 => out.push(small_bits(value, 4, 448.0)),
            Self::E5m2 => out.push(small_bits(value, 5, 57344.0)),
        }
    }

    /// The value of an element's bytes.
    pub fn decode(self, bytes: &[u8]) -> f32 {
        match self {
            Self::F32 => f32::from_le_bytes(bytes.try_into().expect("an element")),
            Self::F16 => f16_value(u16::from_le_bytes(bytes.try_into().expect("an element"))),
            Self::Bf16 => f32::from_bits(u32::from(u16::from_le_bytes(bytes.try_into().expect("an element"))) << 16),
            Self::E4m3 if bytes[0] & 0x7f == 0x7f => f32::NAN,
            Self::E4m3 => small_value(bytes[0], 4, 7),
            Self::E5m2 => f16_value(u16::from(bytes[0]) << 8),
        }
    }
}

impl fmt::Display for Float {
    /// As kernels call it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::E4m3 => "e4m3",
            Self::E5m2 => "e5m2",
        })
    }
}

/// Rows of elements: `[rows, width]`, the elements of a row side by side.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Where they lie.
    pub data: Slice<'a>,
    /// What they are.
    pub float: Float,
    /// How many rows.
    pub rows: usize,
    /// Elements of a row.
    pub width: usize,
    /// Elements from one row to the next, `width` or more.
    pub stride: usize,
}

impl<'a> Rows<'a> {
    /// Rows without gaps.
    ///
    /// # Panics
    /// If the data is too short.
    pub fn new(data: Slice<'a>, float: Float, rows: usize, width: usize) -> Self {
        Self::strided(data, float, rows, width, width)
    }

    /// Rows that are parts of longer ones: `stride` elements from one to the next.
    ///
    /// # Panics
    /// If the data is too short, or rows overlap.
    pub fn strided(data: Slice<'a>, float: Float, rows: usize, width: usize, stride: usize) -> Self {
        assert!(stride >= width, "rows of {width}, {stride} apart");
        let elements = if rows == 0 { 0 } else { (rows - 1) * stride + width };
        assert!(data.bytes() >= elements as u64 * float.bytes(), "{rows} rows of {width} {float}");
        Self { data, float, rows, width, stride }
    }

    /// One row as all of so many, for what is only read.
    ///
    /// # Panics
    /// If the data is too short.
    pub fn repeated(data: Slice<'a>, float: Float, rows: usize, width: usize) -> Self {
        assert!(data.bytes() >= width as u64 * float.bytes(), "a row of {width} {float}");
        Self { data, float, rows, width, stride: 0 }
    }

    /// `[rows, width]`.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.width]
    }

    /// All elements as one row, where no gaps lie between rows.
    ///
    /// # Panics
    /// If there are gaps.
    pub(super) fn element_count(&self) -> usize {
        assert!(self.stride == self.width || self.rows <= 1, "gaps between rows");
        self.rows * self.width
    }

    /// Kernels read eight elements at once: whole eights, 16-byte addresses.
    pub(crate) fn check_eights(&self, name: &str) {
        assert!(self.width.is_multiple_of(8) && self.stride.is_multiple_of(8), "{name}: width {}", self.width);
        let at_once = (8 * self.float.bytes()).min(16);
        assert!(self.data.pointer().0.is_multiple_of(at_once), "{name}: {:?}", self.data.pointer());
    }
}

/// Rows of f32 that serve runs of rows: `[groups, width]`, row `g` for the `g`-th equal share.
#[derive(Clone, Copy, Debug)]
pub struct Modulation<'a> {
    /// `groups * width` elements of f32.
    pub data: Slice<'a>,
    /// How many.
    pub groups: usize,
}

impl Modulation<'_> {
    /// Rows that one of its rows serves.
    ///
    /// # Panics
    /// If it does not fit.
    pub(super) fn rows_per_group(&self, [rows, width]: [usize; 2]) -> u32 {
        assert!(self.groups > 0 && rows.is_multiple_of(self.groups), "{} rows for {rows}", self.groups);
        assert!(self.data.bytes() >= (self.groups * width * 4) as u64, "{} rows of {width} f32", self.groups);
        (rows / self.groups).max(1) as u32
    }
}

fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

fn f16_bits(value: f32) -> u16 {
    let sign = (value.to_bits() >> 16 & 0x8000) as u16;
    let size = value.abs();
    if value.is_nan() {
        return sign | 0x7e00;
    }
    // The unit in the last place: 2^-24 below the normal numbers.
    let exponent = ((size.to_bits() >> 23) as i32 - 127).max(-14);
    let unit = 2f64.powi(exponent - 10);
    let rounded = (f64::from(size) / unit).round_ties_even() * unit;
    if rounded >= 65520.0 {
        return sign | 0x7c00;
    }
    let exponent = ((rounded as f32).to_bits() >> 23) as i32 - 127;
    match exponent {
        ..-14 => sign | (rounded * 2f64.powi(24)) as u16,
        _ => sign | ((exponent + 15) as u16) << 10 | ((rounded / 2f64.powi(exponent) - 1.0) * 1024.0) as u16,
    }
}

fn f16_value(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let fraction = f32::from(bits & 0x3ff) / 1024.0;
    match bits >> 10 & 31 {
        0 => sign * fraction * 2f32.powi(-14),
        31 if bits & 0x3ff == 0 => sign * f32::INFINITY,
        31 => f32::NAN,
        exponent => sign * (1.0 + fraction) * 2f32.powi(i32::from(exponent) - 15),
    }
}

fn small_value(code: u8, exponent_bits: u32, bias: i32) -> f32 {
    let mantissa_bits = 7 - exponent_bits;
    let sign = if code >> 7 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from((code & 0x7f) >> mantissa_bits);
    let fraction = f32::from(code & ((1 << mantissa_bits) - 1)) / f32::from(1u8 << mantissa_bits);
    match exponent {
        0 => sign * fraction * 2f32.powi(1 - bias),
        _ => sign * (1.0 + fraction) * 2f32.powi(exponent - bias),
    }
}

/// The nearest code by trying them all, the even one of two; never beyond the largest number.
fn small_bits(value: f32, exponent_bits: u32, largest: f32) -> u8 {
    let sign = (value.to_bits() >> 24 & 0x80) as u8;
    if value.is_nan() {
        return sign | 0x7f;
    }
    let size = value.abs().min(largest);
    let bias = (1 << (exponent_bits - 1)) - 1;
    let codes = (0..0x80u8).filter(|&code| small_value(code, exponent_bits, bias) <= largest);
    let distance = |code: u8| (small_value(code, exponent_bits, bias) - size).abs();
    let nearest = codes.min_by(|&a, &b| distance(a).total_cmp(&distance(b)).then((a & 1).cmp(&(b & 1))));
    sign | nearest.expect("there are codes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The 16-bit types against the crate the rest of the engine uses.
    #[test]
    fn numbers_are_encoded_as_elsewhere() {
        use vita_tensor::DType;
        for (float, dtype) in [
            (Float::F32, DType::F32),
            (Float::F16, DType::F16),
            (Float::Bf16, DType::BF16),
            (Float::E4m3, DType::F8E4M3),
            (Float::E5m2, DType::F8E5M2),
        ] {
            let count = 1u64 << (8 * float.bytes()).min(16);
            for code in 0..count {
                let bytes = match float {
                    Float::F32 => (code as u32 * 65_537).to_le_bytes().to_vec(),
                    _ => code.to_le_bytes()[..float.bytes() as usize].to_vec(),
                };
                let (got, want) = (float.decode(&bytes), dtype.decode(&bytes) as f32);
                assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{float} {code:#x}: {got}");
                if got.is_finite() {
                    let mut back = Vec::new();
                    float.encode(got, &mut back);
                    assert_eq!(back, bytes, "{float} {code:#x} ({got})");
                }
            }
        }
    }

    #[test]
    fn rounding_is_to_nearest_even_and_saturates_where_there_is_no_infinity() {
        for (float, value, want) in [
            (Float::Bf16, 1.0 + 1.0 / 256.0, 1.0),
            (Float::Bf16, 1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (Float::F16, 1.0 + 1.0 / 2048.0, 1.0),
            (Float::F16, 65519.0, 65504.0),
            (Float::F16, 65520.0, f32::INFINITY),
            (Float::F16, 3.0e-8, 5.9604645e-8),
            (Float::E4m3, 1e9, 448.0),
            (Float::E4m3, -17.0, -16.0),
            (Float::E4m3, 19.0, 20.0),
            (Float::E4m3, 0.001, 0.001953125),
        ] {
            let mut bytes = Vec::new();
            float.encode(value, &mut bytes);
            assert_eq!(float.decode(&bytes), want, "{float} {value}");
        }
    }
}
