//! A vocabulary as both file formats describe it, before it is indexed for use.

use crate::Error;
use crate::charsmap::Charsmap;

/// Longest piece that is accepted, in bytes; trained ones have at most a few dozen.
const PIECE_BYTES_MAX: usize = 4096;

/// Everything that a file says about how to tokenise.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// In order of their ids.
    pub pieces: Vec<Piece>,
    pub rules: Rules,
    /// Unknown characters become the pieces of their UTF-8 bytes.
    pub byte_fallback: bool,
    pub roles: Roles,
}

#[derive(Debug)]
pub(crate) struct Piece {
    pub text: Box<[u8]>,
    /// Logarithm of the piece's probability.
    pub score: f32,
    pub kind: PieceKind,
}

/// Numbered as in sentencepiece's `ModelProto.SentencePiece.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceKind {
    Normal = 1,
    Unknown = 2,
    /// Never found in text: `</s>` in a prompt is four ordinary characters.
    Control = 3,
    /// Taken whole wherever it stands, untouched by normalisation.
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
    /// An id that nothing is written with.
    Absent,
}

/// How text is normalised before it is cut into pieces.
#[derive(Debug)]
pub(crate) struct Rules {
    pub charsmap: Option<Charsmap>,
    pub add_dummy_prefix: bool,
    pub remove_extra_whitespaces: bool,
    pub escape_whitespaces: bool,
    pub treat_whitespace_as_suffix: bool,
}

/// Texts of the pieces that have a role.
#[derive(Debug)]
pub(crate) struct Roles {
    pub pad: Vec<u8>,
    pub eos: Vec<u8>,
    pub bos: Vec<u8>,
}

/// Ids of the special tokens, read from the vocabulary. UMT5: pad 0, eos 1, bos 2, unk 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialIds {
    /// Fills a sequence up; `None` where the vocabulary was made without.
    pub pad: Option<u32>,
    /// Ends a sequence.
    pub eos: Option<u32>,
    /// Begins a sequence; T5-like encoders do not use it.
    pub bos: Option<u32>,
    /// Stands for what the vocabulary cannot write.
    pub unk: u32,
}

impl Default for Rules {
    /// The defaults of sentencepiece's `NormalizerSpec` and `TrainerSpec`.
    fn default() -> Self {
        Self {
            charsmap: None,
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
            treat_whitespace_as_suffix: false,
        }
    }
}

impl Default for Roles {
    fn default() -> Self {
        Self { pad: b"<pad>".to_vec(), eos: b"</s>".to_vec(), bos: b"<s>".to_vec() }
    }
}

impl Vocabulary {
    /// Holds the pieces to the rules that both formats share and finds the special ones.
    pub fn special_ids(&self, format: &'static str) -> Result<SpecialIds, Error> {
        let damaged = |place: String, problem: &str| Error::Damaged { format, place, problem: problem.into() };
        if u32::try_from(self.pieces.len()).is_err() {
            return Err(damaged("the end".into(), "more than 2^32 pieces"));
        }

        let mut unk = None;
        for (id, piece) in self.pieces.iter().enumerate() {
            let place = || format!("piece {id}");
            if piece.text.is_empty() && piece.kind != PieceKind::Absent {
                return Err(damaged(place(), "an empty piece"));
            }
            if piece.text.len() > PIECE_BYTES_MAX {
                return Err(damaged(place(), "a piece of more than 4096 bytes"));
            }
            if piece.score.is_nan() {
                return Err(damaged(place(), "a score that is not a number"));
            }
            if piece.kind == PieceKind::Unknown && unk.replace(id as u32).is_some() {
                return Err(damaged(place(), "a second unknown piece"));
            }
        }

        Ok(SpecialIds {
            pad: self.control_id(&self.roles.pad),
            eos: self.control_id(&self.roles.eos),
            bos: self.control_id(&self.roles.bos),
            unk: unk.ok_or_else(|| damaged("the end".into(), "no unknown piece"))?,
        })
    }

    /// Ids of the pieces `<0x00>` to `<0xFF>`; `None` without byte fallback.
    pub fn byte_ids(&self, format: &'static str) -> Result<Option<Box<[u32; 256]>>, Error> {
        if !self.byte_fallback {
            return Ok(None);
        }
        let mut ids = Box::new([u32::MAX; 256]);
        for (id, piece) in self.pieces.iter().enumerate().filter(|(_, piece)| piece.kind == PieceKind::Byte) {
            let byte = byte_of(&piece.text).ok_or_else(|| Error::Damaged {
                format,
                place: format!("piece {id}"),
                problem: format!("`{}` stands for no byte", String::from_utf8_lossy(&piece.text)),
            })?;
            ids[usize::from(byte)] = id as u32;
        }
        match ids.iter().position(|&id| id == u32::MAX) {
            None => Ok(Some(ids)),
            Some(byte) => Err(Error::Damaged {
                format,
                place: "the end".into(),
                problem: format!(
                    "no piece for the byte <0x{byte:02X}>, although unknown characters are to become bytes"
                ),
            }),
        }
    }

    fn control_id(&self, text: &[u8]) -> Option<u32> {
        let id = self.pieces.iter().position(|piece| piece.kind == PieceKind::Control && *piece.text == *text)?;
        Some(id as u32)
    }
}

/// The byte that a piece such as `<0x4F>` stands for.
pub(crate) fn byte_of(piece: &[u8]) -> Option<u8> {
    let hex = piece.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let is_canonical = hex.len() == 2 && hex.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
    if !is_canonical {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
}
