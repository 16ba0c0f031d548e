//! The formats in plain loops, bit by bit as ggml's `ggml-common.h` lays them out.

use super::Format;
use crate::ops::Float;

/// Widens whole blocks.
pub fn widen(format: Format, bytes: &[u8], out: &mut Vec<f32>) {
    let (len, block_bytes) = format.block();
    for block in bytes.chunks_exact(block_bytes as usize) {
        out.extend((0..len as usize).map(|i| element(format, block, i)));
    }
}

/// Element `i` of a block.
fn element(format: Format, block: &[u8], i: usize) -> f32 {
    let half = |at: usize| Float::F16.decode(&block[at..at + 2]);
    let bits = |byte: usize, shift: usize, count: usize| f32::from(block[byte] >> shift & ((1 << count) - 1));
    // Of the blocks of 32: the low halves of sixteen bytes, then the high ones.
    let (low_byte, low_shift) = (i % 16, i / 16 * 4);
    let fifth = |start: usize| 16.0 * bits(start + i / 8, i % 8, 1);
    // Of the blocks of 256.
    let group = i / 16;
    match format {
        Format::Plain(float) => {
            let size = float.bytes() as usize;
            float.decode(&block[i * size..(i + 1) * size])
        }
        Format::Q4_0 => half(0) * (bits(2 + low_byte, low_shift, 4) - 8.0),
        Format::Q4_1 => half(0) * bits(4 + low_byte, low_shift, 4) + half(2),
        Format::Q5_0 => half(0) * (bits(6 + low_byte, low_shift, 4) + fifth(2) - 16.0),
        Format::Q5_1 => half(0) * (bits(8 + low_byte, low_shift, 4) + fifth(4)) + half(2),
        Format::Q8_0 => half(0) * f32::from(block[2 + i].cast_signed()),
        Format::Q2K => {
            let number = bits(16 + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2);
            half(80) * bits(group, 0, 4) * number - half(82) * bits(group, 4, 4)
        }
        Format::Q3K => {
            let scale = bits(96 + group % 8, group / 8 * 4, 4) + 16.0 * bits(104 + group % 4, group / 4 * 2, 2);
            let number = bits(32 + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2) + 4.0 * bits(i % 32, i / 32, 1);
            half(108) * (scale - 32.0) * (number - 4.0)
        }
        Format::Q4K | Format::Q5K => {
            let (scale, minimum) = match i / 32 {
                j @ 0..4 => (bits(4 + j, 0, 6), bits(8 + j, 0, 6)),
                j => {
                    let (low, high) = (bits(8 + j, 0, 4), bits(8 + j, 4, 4));
                    (low + 16.0 * bits(j, 6, 2), high + 16.0 * bits(4 + j, 6, 2))
                }
            };
            let start = if format == Format::Q4K { 16 } else { 48 };
            let mut number = bits(start + i / 64 * 32 + i % 32, i % 64 / 32 * 4, 4);
            if format == Format::Q5K {
                number += 16.0 * bits(16 + i % 32, i / 32, 1);
            }
            half(0) * scale * number - half(2) * minimum
        }
        Format::Q6K => {
            let low = bits(i / 128 * 64 + i % 64, i % 128 / 64 * 4, 4);
            let high = bits(128 + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2);
            half(208) * f32::from(block[192 + group].cast_signed()) * (low + 16.0 * high - 32.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use vita_tensor::DType;

    use super::super::random_weight;
    use super::*;
    use crate::selftest::Random;

    #[test]
    fn blocks_widen_as_elsewhere() {
        for (format, dtype) in Format::QUANTISED.into_iter().zip(DType::QUANTISED) {
            let size = dtype.block().unwrap();
            assert_eq!(format.block(), (size.len as u64, size.bytes as u64), "{format}");
            let bytes = random_weight(&mut Random::new(7), format, 8 * 256);
            let (mut got, mut want) = (Vec::new(), vec![0.0; 8 * 256]);
            widen(format, &bytes, &mut got);
            for (block, out) in bytes.chunks(size.bytes).zip(want.chunks_mut(size.len)) {
                dtype.widen_block(block, out);
            }
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                assert!((got - want).abs() <= 1e-6 * want.abs().max(1.0), "{format} {i}: {got}, {want}");
            }
        }
    }
}
