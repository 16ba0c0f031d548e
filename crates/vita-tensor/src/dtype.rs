//! Element types, and how one element is read.

use std::fmt;
use std::sync::LazyLock;

use float8::{F8E4M3, F8E5M2};
use half::{bf16, f16};

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE single precision: every activation on the CPU.
    F32,
    /// IEEE half precision.
    F16,
    /// Truncated single precision.
    BF16,
    /// 8-bit float, 4 exponent bits, no infinity, largest 448.
    F8E4M3,
    /// 8-bit float, 5 exponent bits, largest 57344.
    F8E5M2,
    /// IEEE double precision; only ever read.
    F64,
    /// Bytes: embedded files, JSON.
    U8,
    /// Token ids and masks of other programs; only ever read.
    I32,
    /// Token ids and masks of other programs; only ever read.
    I64,
    /// GGUF: 4 bits, a scale every 32.
    Q4_0,
    /// GGUF: 4 bits, a scale and a minimum every 32.
    Q4_1,
    /// GGUF: 5 bits, a scale every 32.
    Q5_0,
    /// GGUF: 5 bits, a scale and a minimum every 32.
    Q5_1,
    /// GGUF: 8 bits, a scale every 32.
    Q8_0,
    /// GGUF: 2 bits, scales and minima every 16 under those of 256.
    Q2K,
    /// GGUF: 3 bits, scales every 16 under that of 256.
    Q3K,
    /// GGUF: 4 bits, scales and minima every 32 under those of 256.
    Q4K,
    /// GGUF: 5 bits, scales and minima every 32 under those of 256.
    Q5K,
    /// GGUF: 6 bits, scales every 16 under that of 256.
    Q6K,
}

impl DType {
    /// The dtypes that come in blocks ([`Self::block`]).
    pub const QUANTISED: [Self; 10] = [
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// Bytes of a number of elements; `None` if they are no whole blocks or the bytes are beyond `usize`.
    pub const fn bytes_of(self, elements: usize) -> Option<usize> {
        match self.block() {
            Some(block) if elements.is_multiple_of(block.len) => (elements / block.len).checked_mul(block.bytes),
            Some(_) => None,
            None => elements.checked_mul(self.size_bytes()),
        }
    }

    /// Bytes of one element.
    ///
    /// # Panics
    /// If elements come in blocks.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::F8E4M3 | Self::F8E5M2 | Self::U8 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => panic!("elements in blocks"),
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => panic!("elements in blocks"),
        }
    }

    /// Whether the elements are floating-point numbers.
    pub const fn is_float(self) -> bool {
        !matches!(self, Self::U8 | Self::I32 | Self::I64)
    }

    /// Decodes one element of exactly [`Self::size_bytes`] little-endian bytes.
    pub fn decode(self, bytes: &[u8]) -> f64 {
        match self {
            Self::F64 => f64::from_le_bytes(array(bytes)),
            Self::F32 => f64::from(f32::from_le_bytes(array(bytes))),
            Self::F16 => f16::from_le_bytes(array(bytes)).to_f64(),
            Self::BF16 => bf16::from_le_bytes(array(bytes)).to_f64(),
            Self::F8E4M3 => f64::from(f8e4m3_table()[usize::from(bytes[0])]),
            Self::F8E5M2 => f64::from(f8e5m2_table()[usize::from(bytes[0])]),
            Self::U8 => f64::from(bytes[0]),
            Self::I32 => f64::from(i32::from_le_bytes(array(bytes))),
            Self::I64 => i64::from_le_bytes(array(bytes)) as f64,
            other => panic!("one element of {other}, which comes in blocks"),
        }
    }

    /// Value of each of the 256 codes, for the 8-bit float types; `None` for the others.
    pub fn f8_table(self) -> Option<&'static [f32; 256]> {
        match self {
            Self::F8E4M3 => Some(f8e4m3_table()),
            Self::F8E5M2 => Some(f8e5m2_table()),
            _ => None,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::F8E4M3 => "fp8_e4m3fn",
            Self::F8E5M2 => "fp8_e5m2",
            Self::F64 => "f64",
            Self::U8 => "u8",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::Q4_0 => "q4_0",
            Self::Q4_1 => "q4_1",
            Self::Q5_0 => "q5_0",
            Self::Q5_1 => "q5_1",
            Self::Q8_0 => "q8_0",
            Self::Q2K => "q2_k",
            Self::Q3K => "q3_k",
            Self::Q4K => "q4_k",
            Self::Q5K => "q5_k",
            Self::Q6K => "q6_k",
        })
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("one element's bytes")
}

fn f8e4m3_table() -> &'static [f32; 256] {
    static TABLE: LazyLock<[f32; 256]> =
        LazyLock::new(|| std::array::from_fn(|code| F8E4M3::from_bits(code as u8).to_f32()));
    &TABLE
}

fn f8e5m2_table() -> &'static [f32; 256] {
    static TABLE: LazyLock<[f32; 256]> =
        LazyLock::new(|| std::array::from_fn(|code| F8E5M2::from_bits(code as u8).to_f32()));
    &TABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Independent of the float8 crate: the value from sign, exponent and mantissa bits.
    fn decode_f8(code: u8, exponent_bits: u32, bias: i32) -> f64 {
        let mantissa_bits = 7 - exponent_bits;
        let sign = if code >> 7 == 1 { -1.0 } else { 1.0 };
        let exponent = i32::from((code & 0x7f) >> mantissa_bits);
        let fraction = f64::from(code & ((1 << mantissa_bits) - 1)) / f64::from(1 << mantissa_bits);
        match exponent {
            0 => sign * fraction * 2f64.powi(1 - bias),
            _ => sign * (1.0 + fraction) * 2f64.powi(exponent - bias),
        }
    }

    #[test]
    fn every_finite_f8_code() {
        for code in 0..=255u8 {
            if code & 0x7f != 0x7f {
                assert_eq!(DType::F8E4M3.decode(&[code]), decode_f8(code, 4, 7), "e4m3 {code:#x}");
            }
            if code & 0x7c != 0x7c {
                assert_eq!(DType::F8E5M2.decode(&[code]), decode_f8(code, 5, 15), "e5m2 {code:#x}");
            }
        }
        assert!(DType::F8E4M3.decode(&[0x7f]).is_nan() && DType::F8E4M3.decode(&[0xff]).is_nan());
        assert_eq!(DType::F8E5M2.decode(&[0x7c]), f64::INFINITY);
        assert!(DType::F8E5M2.decode(&[0x7d]).is_nan());
    }
}
