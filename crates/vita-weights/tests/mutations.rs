//! Damaged files: whatever the bytes are, the answer is a checkpoint or an error.

mod common;

use common::{f32s, file, of_layout, small, text, zeros};
use vita_weights::{Checkpoint, Role, identify};

const ROUNDS: u64 = 40_000;

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

#[test]
fn no_bytes_are_a_panic() {
    let mut random = Random(7);
    let seeds = seeds();
    let mut opened = 0;
    for _ in 0..ROUNDS {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(3) {
            mutate(&mut bytes, &mut random);
        }
        opened += u64::from(exercise(bytes));
    }
    // Both answers must occur often, or this tests nothing.
    assert!((ROUNDS / 20..ROUNDS * 19 / 20).contains(&opened), "{opened} of {ROUNDS} opened");
}

/// Uses all that a file can be asked; says whether it opened.
fn exercise(bytes: Vec<u8>) -> bool {
    let Ok(checkpoint) = Checkpoint::from_bytes(bytes, "damaged") else { return false };
    for (name, _) in checkpoint.tensors() {
        if let Ok(tensor) = checkpoint.tensor(name) {
            assert_eq!(tensor.bytes().len(), tensor.size_bytes());
        }
    }
    let identity = identify(&checkpoint);
    assert_eq!(identity.tensor_count, checkpoint.tensors().len());
    for role in Role::ALL {
        let Ok(weights) = checkpoint.weights(role) else { continue };
        let names: Vec<_> = weights.all().map(|(name, stored)| (name.to_owned(), stored.dims)).collect();
        for (name, dims) in names {
            let _ = weights.weight(&name, &dims);
        }
    }
    true
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const WORDS: [&str; 12] = [
        "18446744073709551615",
        "-1",
        "0",
        "[",
        "]",
        "{",
        "}",
        "\"F16\"",
        "\"F4\"",
        "\"__metadata__\"",
        "null",
        "1e999",
    ];
    let header_end =
        (8 + bytes.first_chunk().map_or(0, |len| u64::from_le_bytes(*len) as usize % 100_000)).min(bytes.len());
    // Mostly the header: the rest is only numbers.
    let at = if random.below(8) == 0 { random.below(bytes.len()) } else { random.below(header_end) };
    match random.below(5) {
        0 if !bytes.is_empty() => bytes[at] = random.next() as u8,
        1 => bytes.truncate(at),
        2 => {
            // A digit for a digit keeps the JSON whole and makes its numbers lie.
            let digits: Vec<usize> = (8.min(header_end)..header_end).filter(|&i| bytes[i].is_ascii_digit()).collect();
            if !digits.is_empty() {
                bytes[digits[random.below(digits.len())]] = b'0' + random.below(10) as u8;
            }
        }
        3 => {
            let word = WORDS[random.below(WORDS.len())].as_bytes();
            let end = (at + random.below(4)).min(bytes.len());
            bytes.splice(at..end, word.iter().copied());
            fix_length(bytes, word.len() as i64 - (end - at) as i64);
        }
        _ => {
            let end = (at + random.below(60)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            fix_length(bytes, copy.len() as i64);
            bytes.splice(at..at, copy);
        }
    }
}

/// Keeps the header's length right, so that damage reaches the JSON behind it.
fn fix_length(bytes: &mut [u8], grown: i64) {
    if let Some(length) = bytes.first_chunk_mut() {
        *length = u64::from_le_bytes(*length).wrapping_add_signed(grown).to_le_bytes();
    }
}

fn seeds() -> Vec<Vec<u8>> {
    // Few tensors: damage should hit what matters.
    let some = |puts: Vec<common::Put>, marks: &[&str]| {
        puts.into_iter().filter(|put| marks.iter().any(|mark| put.name.contains(mark))).collect::<Vec<_>>()
    };
    let facts = vita_weights::DitFacts { dim: 128, ffn_dim: 8, text_dim: 2, layer_count: 1, ..small::dit() };
    let mut dit = some(of_layout(&facts.layout(), "F8_E4M3", ""), &["head", "patch", "ffn.0", "norm_q", "g.0.weight"]);
    dit.push(text("blocks.0.ffn.0.comfy_quant", r#"{"format":"nvfp4"}"#));
    dit.push(f32s("head.head.scale_weight", &[], &[2.0]));
    let vae = some(of_layout(&small::vae().layout(), "F16", "model."), &["head", "middle.0", "conv1", "conv2"]);
    let umt5 = some(of_layout(&small::umt5().layout(), "BF16", ""), &["shared", "block.0"]);
    let table = r#"{"layers":{"blocks.0.ffn.0":{"format":"float8_e4m3fn"}}}"#;
    vec![
        file(&dit, &[("_quantization_metadata", table)]),
        file(&vae, &[("format", "pt")]),
        file(&umt5, &[]),
        file(&[zeros("a", "BOOL", &[3]), zeros("b", "F4", &[1]), zeros("c", "I64", &[2, 0])], &[]),
        file(&[], &[]),
    ]
}
