//! Seeded inputs, and the one measure that all ops are held to.

use vita_tensor::{Bytes, DType, Tensor};

/// A small fast generator (SplitMix64): tests need spread, not quality.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// About normal: the sum of four uniforms, of mean 0 and variance 1.
    pub fn normal(&mut self) -> f32 {
        let sum: f64 = (0..4).map(|_| (self.next() >> 11) as f64 / (1u64 << 53) as f64 - 0.5).sum();
        (sum * 3f64.sqrt()) as f32
    }

    pub fn tensor(&mut self, dims: &[usize]) -> Tensor {
        let count = dims.iter().product();
        Tensor::from_vec((0..count).map(|_| self.normal()).collect(), dims)
    }

    /// Random values rounded to a dtype, as bytes of a file would be.
    pub fn weight(&mut self, dims: &[usize], dtype: DType) -> Tensor {
        let count: usize = dims.iter().product();
        if let Some(block) = dtype.block() {
            let bytes = (0..count / block.len).flat_map(|_| self.block(dtype, block.bytes)).collect::<Vec<u8>>();
            return Tensor::from_bytes(Bytes::from(bytes), dtype, dims).expect("whole blocks");
        }
        let bytes: Vec<u8> = (0..count)
            .flat_map(|_| {
                let value = self.normal();
                match dtype {
                    DType::F32 => value.to_le_bytes().to_vec(),
                    DType::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
                    DType::BF16 => half::bf16::from_f32(value).to_le_bytes().to_vec(),
                    // Any finite code is as good as a rounded value: clear the top exponent bit.
                    DType::F8E4M3 | DType::F8E5M2 => vec![(self.next() & 0xbf) as u8],
                    other => panic!("no random weights of {other}"),
                }
            })
            .collect();
        Tensor::from_bytes(Bytes::from(bytes), dtype, dims).expect("as many bytes as elements")
    }
}

impl Random {
    /// Any bytes are a block, as long as its halves are finite.
    fn block(&mut self, dtype: DType, size_bytes: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..size_bytes).map(|_| self.next() as u8).collect();
        let halves: &[usize] = match dtype {
            DType::Q4_1 | DType::Q5_1 | DType::Q4K | DType::Q5K => &[0, 2],
            DType::Q2K => &[80, 82],
            DType::Q3K => &[108],
            DType::Q6K => &[208],
            _ => &[0],
        };
        for &at in halves {
            let half = half::f16::from_f32(self.normal() / 64.0);
            bytes[at..at + 2].copy_from_slice(&half.to_le_bytes());
        }
        bytes
    }
}

/// Norm of the difference over norm of the reference must not exceed `bound`.
#[track_caller]
pub fn assert_close(got: &Tensor, want: &Tensor, bound: f64, what: impl std::fmt::Display) {
    assert_eq!(got.dims(), want.dims(), "{what}: shape");
    let (got, want) = (got.to_vec(), want.to_vec());
    let (mut difference, mut norm) = (0.0, 0.0);
    for (&got, &want) in got.iter().zip(&want) {
        difference += (f64::from(got) - f64::from(want)).powi(2);
        norm += f64::from(want).powi(2);
    }
    let relative = difference.sqrt() / norm.sqrt().max(f64::MIN_POSITIVE);
    // Not `relative > bound`: that lets NaN pass.
    assert!(relative <= bound || difference == 0.0, "{what}: relative error {relative:.2e}, at most {bound:.0e}");
}
