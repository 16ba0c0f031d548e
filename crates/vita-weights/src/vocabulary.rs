//! Writes a vocabulary that came as lists as the sentencepiece `ModelProto` that tokenizers read.
//!
//! Field numbers are those of `sentencepiece_model.proto`.

/// How text is normalised.
pub struct Rules {
    /// The compiled table of characters.
    pub charsmap: Vec<u8>,
    /// A space before the first word.
    pub add_dummy_prefix: bool,
    /// Runs of spaces count as one.
    pub remove_extra_whitespaces: bool,
}

/// The unigram model of pieces, their scores, and their types (sentencepiece's numbers: 1 normal, 2 unknown,
/// 3 control, 4 user-defined, 5 unused, 6 byte).
pub fn sentencepiece_model(pieces: &[String], scores: &[f32], kinds: &[i64], rules: &Rules) -> Vec<u8> {
    let mut model = Vec::new();
    for ((piece, score), kind) in pieces.iter().zip(scores).zip(kinds) {
        let mut message = Vec::new();
        bytes_field(&mut message, 1, piece.as_bytes());
        message.push(2 << 3 | 5);
        message.extend(score.to_le_bytes());
        int_field(&mut message, 3, *kind as u64);
        bytes_field(&mut model, 1, &message);
    }
    let mut trainer = Vec::new();
    int_field(&mut trainer, 3, 1);
    bytes_field(&mut model, 2, &trainer);
    let mut normalizer = Vec::new();
    bytes_field(&mut normalizer, 2, &rules.charsmap);
    int_field(&mut normalizer, 3, rules.add_dummy_prefix.into());
    int_field(&mut normalizer, 4, rules.remove_extra_whitespaces.into());
    int_field(&mut normalizer, 5, 1);
    bytes_field(&mut model, 3, &normalizer);
    model
}

fn bytes_field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn int_field(out: &mut Vec<u8>, number: u8, value: u64) {
    out.push(number << 3);
    varint(out, value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
