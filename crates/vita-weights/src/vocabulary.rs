//! A vocabulary as lists, and as the sentencepiece `ModelProto` that tokenizers read: from each to the other.
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

/// A vocabulary as lists.
pub struct Tables {
    pub pieces: Vec<String>,
    pub scores: Vec<f32>,
    pub kinds: Vec<i64>,
    pub rules: Rules,
}

/// The lists of a model; `None` if it is none of sentencepiece's.
pub fn tables(model: &[u8]) -> Option<Tables> {
    let rules = Rules { charsmap: Vec::new(), add_dummy_prefix: true, remove_extra_whitespaces: true };
    let mut tables = Tables { pieces: Vec::new(), scores: Vec::new(), kinds: Vec::new(), rules };
    each_field(model, |number, field| {
        match (number, field) {
            (1, Field::Bytes(message)) => {
                let (mut piece, mut score, mut kind) = (String::new(), 0.0, 1);
                each_field(message, |number, field| {
                    match (number, field) {
                        (1, Field::Bytes(text)) => piece = String::from_utf8(text.to_vec()).ok()?,
                        (2, Field::Fixed(bytes)) => score = f32::from_le_bytes(bytes),
                        (3, Field::Int(value)) => kind = i64::try_from(value).ok()?,
                        _ => {}
                    }
                    Some(())
                })?;
                tables.pieces.push(piece);
                tables.scores.push(score);
                tables.kinds.push(kind);
            }
            (3, Field::Bytes(message)) => each_field(message, |number, field| {
                match (number, field) {
                    (2, Field::Bytes(charsmap)) => tables.rules.charsmap = charsmap.to_vec(),
                    (3, Field::Int(value)) => tables.rules.add_dummy_prefix = value != 0,
                    (4, Field::Int(value)) => tables.rules.remove_extra_whitespaces = value != 0,
                    _ => {}
                }
                Some(())
            })?,
            _ => {}
        }
        Some(())
    })?;
    (!tables.pieces.is_empty()).then_some(tables)
}

/// A value of a protocol buffer.
enum Field<'a> {
    Int(u64),
    Fixed([u8; 4]),
    Bytes(&'a [u8]),
}

/// Visits the fields of a message; `None` if it is cut or the visitor says so.
fn each_field<'a>(mut bytes: &'a [u8], mut visit: impl FnMut(u64, Field<'a>) -> Option<()>) -> Option<()> {
    while !bytes.is_empty() {
        let tag = take_varint(&mut bytes)?;
        let field = match tag & 7 {
            0 => Field::Int(take_varint(&mut bytes)?),
            1 => {
                bytes = bytes.get(8..)?;
                continue;
            }
            2 => {
                let len = usize::try_from(take_varint(&mut bytes)?).ok()?;
                let (field, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                Field::Bytes(field)
            }
            5 => {
                let (field, rest) = bytes.split_first_chunk()?;
                bytes = rest;
                Field::Fixed(*field)
            }
            _ => return None,
        };
        visit(tag >> 3, field)?;
    }
    Some(())
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back() {
        let pieces = ["<pad>", "\u{2581}a", "汉"].map(str::to_owned);
        let rules = Rules { charsmap: vec![1, 2, 200], add_dummy_prefix: false, remove_extra_whitespaces: true };
        let model = sentencepiece_model(&pieces, &[0.0, -1.5, -300.25], &[3, 1, 4], &rules);
        let back = tables(&model).unwrap();
        assert_eq!((back.pieces, back.scores, back.kinds), (pieces.to_vec(), vec![0.0, -1.5, -300.25], vec![3, 1, 4]));
        assert_eq!(back.rules.charsmap, rules.charsmap);
        assert_eq!((back.rules.add_dummy_prefix, back.rules.remove_extra_whitespaces), (false, true));
        for cut in 1..model.len() {
            // Cut between fields it is a shorter vocabulary; anything else is none. Neither panics.
            let _ = tables(&model[..cut]);
        }
        assert!(tables(b"").is_none() && tables(&[0xff; 20]).is_none());
    }
}
