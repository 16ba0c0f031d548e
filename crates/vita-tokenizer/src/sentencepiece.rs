//! Reads a sentencepiece `ModelProto`: the fields that tokenising needs, straight from the wire.
//!
//! Field numbers are those of `sentencepiece_model.proto`; other fields are skipped.

use crate::Error;
use crate::charsmap::Charsmap;
use crate::vocabulary::{Piece, PieceKind, Roles, Rules, Vocabulary};

pub(crate) const FORMAT: &str = "sentencepiece model";

/// `TrainerSpec.model_type` of a unigram model.
const UNIGRAM: u64 = 1;

pub(crate) fn parse(bytes: &[u8]) -> Result<Vocabulary, Error> {
    let mut vocabulary =
        Vocabulary { pieces: Vec::new(), rules: Rules::default(), byte_fallback: false, roles: Roles::default() };
    let mut model_type = UNIGRAM;
    for field in Message::new(bytes, 0) {
        match field? {
            Field { number: 1, value: Value::Bytes(message), .. } => vocabulary.pieces.push(piece(message)?),
            Field { number: 2, value: Value::Bytes(message), .. } => {
                trainer_spec(message, &mut vocabulary, &mut model_type)?
            }
            Field { number: 3, value: Value::Bytes(message), .. } => normalizer_spec(message, &mut vocabulary.rules)?,
            _ => {}
        }
    }
    if model_type != UNIGRAM {
        let name = match model_type {
            2 => "byte-pair (BPE)".into(),
            3 => "word".into(),
            4 => "character".into(),
            other => format!("number {other}"),
        };
        return Err(Error::Unsupported { format: FORMAT, feature: format!("its type is {name}, expected unigram") });
    }
    Ok(vocabulary)
}

fn piece(message: Message) -> Result<Piece, Error> {
    let mut piece = Piece { text: Box::default(), score: 0.0, kind: PieceKind::Normal };
    for field in message {
        let field = field?;
        match (field.number, field.value) {
            (1, Value::Bytes(text)) => piece.text = text.rest.into(),
            (2, Value::Fixed32(bits)) => piece.score = f32::from_bits(bits),
            (3, Value::Varint(kind)) => {
                piece.kind = match kind {
                    1 => PieceKind::Normal,
                    2 => PieceKind::Unknown,
                    3 => PieceKind::Control,
                    4 => PieceKind::UserDefined,
                    5 => PieceKind::Unused,
                    6 => PieceKind::Byte,
                    other => return Err(damaged(field.offset, format!("a piece of the unknown type {other}"))),
                }
            }
            _ => {}
        }
    }
    Ok(piece)
}

fn trainer_spec(message: Message, vocabulary: &mut Vocabulary, model_type: &mut u64) -> Result<(), Error> {
    for field in message {
        let field = field?;
        match (field.number, field.value) {
            (3, Value::Varint(kind)) => *model_type = kind,
            (24, Value::Varint(flag)) => vocabulary.rules.treat_whitespace_as_suffix = flag != 0,
            (35, Value::Varint(flag)) => vocabulary.byte_fallback = flag != 0,
            // An empty name means the default one.
            (46, Value::Bytes(name)) if !name.rest.is_empty() => vocabulary.roles.bos = name.rest.into(),
            (47, Value::Bytes(name)) if !name.rest.is_empty() => vocabulary.roles.eos = name.rest.into(),
            (48, Value::Bytes(name)) if !name.rest.is_empty() => vocabulary.roles.pad = name.rest.into(),
            _ => {}
        }
    }
    Ok(())
}

fn normalizer_spec(message: Message, rules: &mut Rules) -> Result<(), Error> {
    for field in message {
        let field = field?;
        match (field.number, field.value) {
            (2, Value::Bytes(table)) if table.rest.is_empty() => rules.charsmap = None,
            (2, Value::Bytes(table)) => {
                let charsmap = Charsmap::parse(table.rest);
                rules.charsmap =
                    Some(charsmap.map_err(|problem| {
                        damaged(field.offset, format!("the character table is broken ({problem})"))
                    })?);
            }
            (3, Value::Varint(flag)) => rules.add_dummy_prefix = flag != 0,
            (4, Value::Varint(flag)) => rules.remove_extra_whitespaces = flag != 0,
            (5, Value::Varint(flag)) => rules.escape_whitespaces = flag != 0,
            _ => {}
        }
    }
    Ok(())
}

fn damaged(offset: usize, problem: impl Into<String>) -> Error {
    Error::Damaged { format: FORMAT, place: format!("byte {offset}"), problem: problem.into() }
}

/// The fields of one protobuf message, read one after the other without copying.
struct Message<'a> {
    rest: &'a [u8],
    /// Where `rest` starts in the whole file.
    offset: usize,
}

struct Field<'a> {
    number: u64,
    value: Value<'a>,
    /// Where the field starts in the whole file.
    offset: usize,
}

enum Value<'a> {
    Varint(u64),
    Fixed32(u32),
    Bytes(Message<'a>),
    /// Eight bytes that no field read here has.
    Fixed64,
}

impl<'a> Message<'a> {
    fn new(rest: &'a [u8], offset: usize) -> Self {
        Self { rest, offset }
    }

    fn field(&mut self) -> Result<Field<'a>, Error> {
        let offset = self.offset;
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed64)?,
            2 => {
                let length = self.varint()?;
                let start = self.offset;
                let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
                Value::Bytes(Message::new(bytes, start))
            }
            5 => {
                let bytes = self.take(4)?;
                Value::Fixed32(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            }
            _ => return Err(damaged(offset, format!("no field starts with the tag {tag:#x}"))),
        };
        if tag >> 3 == 0 {
            return Err(damaged(offset, "a field without a number"));
        }
        Ok(Field { number: tag >> 3, value, offset })
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged(self.offset, "a number of more than 64 bits"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            let problem = format!("{length} bytes are announced, {} are left", self.rest.len());
            return Err(damaged(self.offset, problem));
        };
        self.rest = rest;
        self.offset += length;
        Ok(taken)
    }
}

impl<'a> Iterator for Message<'a> {
    type Item = Result<Field<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}
