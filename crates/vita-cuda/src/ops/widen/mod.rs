//! Weights of any format as plain elements.

mod host;

use std::fmt;

pub(super) use host::widen as reference;

use super::activation::element_blocks;
use super::{Float, Rows, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Shape};
use crate::memory::Slice;
use crate::selftest::{Case, Pair, Random};

/// How a weight lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Element beside element.
    Plain(Float),
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
    /// GGUF: 2 bits in blocks of 256.
    Q2K,
    /// GGUF: 3 bits in blocks of 256.
    Q3K,
    /// GGUF: 4 bits in blocks of 256.
    Q4K,
    /// GGUF: 5 bits in blocks of 256.
    Q5K,
    /// GGUF: 6 bits in blocks of 256.
    Q6K,
}

impl Format {
    /// The formats that come in blocks.
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

    /// Elements and bytes of a block; a row is whole blocks.
    pub fn block(self) -> (u64, u64) {
        match self {
            Self::Plain(float) => (8, 8 * float.bytes()),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q2K => (256, 84),
            Self::Q3K => (256, 110),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
        }
    }

    /// Bytes of elements.
    ///
    /// # Panics
    /// If they are no whole blocks.
    pub fn bytes_of(self, elements: u64) -> u64 {
        let (len, bytes) = self.block();
        assert!(elements.is_multiple_of(len), "{elements} elements of {self}");
        elements / len * bytes
    }
}

impl fmt::Display for Format {
    /// As kernels call it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(float) => return write!(f, "plain<{float}>"),
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

/// `y = x * factor` for every element of x. y: without gaps.
///
/// # Panics
/// If x is shorter than y asks, or y is e5m2.
///
/// # Errors
/// If the card does not answer.
pub fn widen(machine: &dyn Machine, x: Slice, format: Format, y: Rows, factor: f32) -> Result<()> {
    let count = y.element_count();
    assert!(x.bytes() >= format.bytes_of(count as u64), "{count} elements of {format} in {} bytes", x.bytes());
    assert!(y.float != Float::E5m2, "e5m2 is only read");
    if count == 0 {
        return Ok(());
    }
    let arguments = Arguments::new().with(x.pointer()).with(y.data.pointer()).with(count as u64).with(factor);
    let shape: Shape = element_blocks(machine, count);
    // SAFETY: the arguments are in the kernel's order; the counts were checked against the slices.
    unsafe { machine.launch(&source(format, y.float), shape, &arguments) }
}

fn source(format: Format, y: Float) -> Source {
    let text = concat!(include_str!("blocks.cuh"), include_str!("kernel.cu"));
    Source::new("widen_blocks", text).define("FORMAT", format).define("Y", y)
}

fn formats() -> impl Iterator<Item = Format> {
    let plain = [Float::E4m3, Float::E5m2, Float::Bf16, Float::F32].map(Format::Plain);
    Format::QUANTISED.into_iter().chain(plain)
}

pub(super) fn variants() -> Vec<Variant> {
    formats()
        .map(|format| Variant {
            source: source(format, Float::Bf16),
            functions: &["widen_blocks"],
            runs_on: everywhere,
        })
        .collect()
}

pub(super) fn cases() -> Vec<Case> {
    formats().map(case).collect()
}

fn case(format: Format) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let (len, _) = format.block();
        let count = 37 * len.max(32) as usize;
        let blocks = random_weight(&mut Random::new(len), format, count);
        let mut want = Vec::new();
        reference(format, &blocks, &mut want);
        let input = bench.pool.upload(&blocks)?;
        let output = bench.poisoned(Float::F32, count)?;
        widen(bench.machine(), input.slice(), format, Rows::new(output.slice(), Float::F32, 1, count), 1.0)?;
        let want = want.into_iter().map(f64::from).collect();
        Ok(vec![Pair { got: bench.read(&output, Float::F32)?, want }])
    };
    Case { op: "widen", title: format.to_string(), error_max: 1e-6, runs_on: everywhere, run: Box::new(run) }
}

/// Bytes of a weight with elements of about unit size.
pub(super) fn random_weight(random: &mut Random, format: Format, count: usize) -> Vec<u8> {
    if let Format::Plain(float) = format {
        let mut bytes = Vec::new();
        (0..count).for_each(|_| float.encode(random.normal(), &mut bytes));
        return bytes;
    }
    let mut bytes: Vec<u8> = (0..format.bytes_of(count as u64)).map(|_| random.bits() as u8).collect();
    // Any bits are a number but those of the scales, which must be small.
    let (_, block_bytes) = format.block();
    for block in bytes.chunks_mut(block_bytes as usize) {
        for &at in scale_offsets(format) {
            let mut half = Vec::new();
            Float::F16.encode(0.02 * (1.0 + random.uniform()), &mut half);
            block[at..at + 2].copy_from_slice(&half);
        }
    }
    bytes
}

/// Where the halves of a block lie.
fn scale_offsets(format: Format) -> &'static [usize] {
    match format {
        Format::Plain(_) => &[],
        Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => &[0],
        Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => &[0, 2],
        Format::Q2K => &[80, 82],
        Format::Q3K => &[108],
        Format::Q6K => &[208],
    }
}
