//! Weights of true size from a seed, in memory. What blocks have in common they share, so that a transformer of 28 GB
//! takes one block of the host's memory; on a card each block gets its own.
//!
//! Values have about the size that a trained network's have, so that nothing overflows: linear weights are of
//! `1 / sqrt(inputs)`, norms are 1, everything else is small.

use std::collections::HashMap;

use clap::ValueEnum;
use vita_tensor::{Bytes, DType, Dims};
use vita_weights::{Checkpoint, ElementType, Layout, Result, Stored};

/// How large weights are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Numbers {
    Bf16,
    /// Blocks' matrices as e4m3 with a scale each, the rest as bf16.
    Fp8,
}

/// What a tensor is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fill {
    /// e4m3 of random sign, 0.5 to 1.875.
    F8,
    /// bf16 of random sign and mantissa, of this exponent.
    Bf16 { exponent: i32 },
    /// bf16.
    Ones,
}

/// Root of the mean square of what [`Fill::F8`] gives, and of mantissas from 1 to 2.
const F8_RMS: f64 = 1.154;
const MANTISSA_RMS: f64 = 1.5275;

const EACH_BYTE: u64 = 0x0101_0101_0101_0101;
const EACH_HALF: u64 = 0x0001_0001_0001_0001;

/// A network's tensors. layout: canonical names and shapes.
///
/// # Errors
/// If a name comes twice.
pub fn checkpoint(name: &str, layout: &Layout, numbers: Numbers, seed: u64) -> Result<Checkpoint> {
    let mut known: HashMap<(Fill, usize), Bytes> = HashMap::new();
    let mut tensors = Vec::with_capacity(layout.len());
    for (key, dims) in layout {
        let fill = fill(key, dims, numbers);
        let count = dims.element_count();
        let bytes = known.entry((fill, count)).or_insert_with(|| fill.bytes(count, seed ^ count as u64)).clone();
        if fill == Fill::F8 {
            let scale = (1.0 / (F8_RMS * (dims[1] as f64).sqrt())) as f32;
            let bytes = Bytes::copy_from_slice(&scale.to_le_bytes());
            let key = format!("{}.scale_weight", key.trim_end_matches(".weight"));
            tensors.push((key, stored(DType::F32, Dims::from([1]), bytes)));
        }
        let dtype = if fill == Fill::F8 { DType::F8E4M3 } else { DType::BF16 };
        tensors.push((key.clone(), stored(dtype, *dims, bytes)));
    }
    if numbers == Numbers::Fp8 {
        // The mark of files whose 8-bit weights have scales.
        let mark = stored(DType::F8E4M3, Dims::from([2]), Bytes::from_static(&[0; 2]));
        tensors.push(("scaled_fp8".to_owned(), mark));
    }
    Checkpoint::from_tensors(name, tensors)
}

/// bf16 of random sign, spread over 0.5 to 2 evenly: bytes of so many.
pub fn bf16_bytes(count: usize, seed: u64) -> Bytes {
    Fill::Bf16 { exponent: -1 }.bytes(count, seed)
}

fn stored(dtype: DType, dims: Dims, bytes: Bytes) -> Stored {
    Stored { element_type: ElementType::Known(dtype), dims, bytes }
}

fn fill(name: &str, dims: &Dims, numbers: Numbers) -> Fill {
    let inputs: usize = dims.iter().skip(1).product();
    let in_block = name.contains("blocks.") || name.contains("encoder.block.");
    let is_matrix = dims.len() == 2 && !name.contains("relative_attention_bias");
    if name.ends_with("gamma") {
        return Fill::Ones;
    }
    match name.ends_with("weight") {
        true if dims.len() == 1 => Fill::Ones,
        true if numbers == Numbers::Fp8 && in_block && is_matrix => Fill::F8,
        true => Fill::Bf16 { exponent: (1.0 / (MANTISSA_RMS * (inputs as f64).sqrt())).log2().round() as i32 },
        false => Fill::Bf16 { exponent: -6 },
    }
}

impl Fill {
    fn bytes(self, count: usize, seed: u64) -> Bytes {
        let size = if self == Self::F8 { 1 } else { 2 };
        let mut state = seed;
        let mut bytes = vec![0; (count * size).next_multiple_of(8)];
        let (words, _) = bytes.as_chunks_mut::<8>();
        words.iter_mut().for_each(|word| *word = self.word(next(&mut state)).to_le_bytes());
        bytes.truncate(count * size);
        Bytes::from(bytes)
    }

    /// Eight bytes of elements from eight random ones.
    fn word(self, random: u64) -> u64 {
        match self {
            // Sign, the lowest bit of the exponent, and the mantissa; two bits of the exponent are set.
            Self::F8 => (random & (0x8f * EACH_BYTE)) | (0x30 * EACH_BYTE),
            Self::Bf16 { exponent } => {
                let exponent = ((exponent + 127) as u64) << 7;
                (random & (0x807f * EACH_HALF)) | (exponent * EACH_HALF)
            }
            Self::Ones => 0x3f80 * EACH_HALF,
        }
    }
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_have_the_size_of_trained_ones_and_blocks_share_them() {
        let layout: Layout = vec![
            ("blocks.0.ffn.0.weight".into(), Dims::from([300, 256])),
            ("blocks.1.ffn.0.weight".into(), Dims::from([300, 256])),
            ("blocks.0.norm3.weight".into(), Dims::from([256])),
            ("blocks.0.norm3.bias".into(), Dims::from([256])),
            ("decoder.head.0.gamma".into(), Dims::from([256, 1, 1, 1])),
        ];
        for (numbers, factor) in [(Numbers::Bf16, 1.0), (Numbers::Fp8, 1.0 / (F8_RMS * 16.0))] {
            let file = checkpoint("made up", &layout, numbers, 7).unwrap();
            let weight = file.tensor("blocks.0.ffn.0.weight").unwrap();
            let square = weight.to_vec().iter().map(|&value| (f64::from(value) * factor).powi(2)).sum::<f64>();
            let size = (square / weight.element_count() as f64).sqrt() * 16.0;
            assert!((0.7..1.42).contains(&size), "{numbers:?}: {size}");
            let [first, second] =
                ["blocks.0", "blocks.1"].map(|block| file.stored(&format!("{block}.ffn.0.weight")).unwrap());
            assert_eq!(first.bytes.as_ptr(), second.bytes.as_ptr(), "shared");
            for norm in ["blocks.0.norm3.weight", "decoder.head.0.gamma"] {
                assert_eq!(file.tensor(norm).unwrap().to_vec(), [1.0; 256], "{norm}");
            }
            assert!(file.tensor("blocks.0.norm3.bias").unwrap().to_vec().iter().all(|bias| bias.abs() < 0.05));
            assert_eq!(file.stored("blocks.1.ffn.0.scale_weight").is_some(), numbers == Numbers::Fp8);
        }
    }
}
