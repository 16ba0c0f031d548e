//! A vocabulary in use: text in, ids out.

use std::borrow::Cow;

use crate::normalizer::normalize;
use crate::unigram::{PieceIndex, UnigramModel};
use crate::vocabulary::{PieceKind, Rules, Vocabulary};
use crate::{Error, SpecialIds, sentencepiece, tokenizer_json};

/// A sentencepiece unigram tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    /// By id.
    texts: Vec<Box<[u8]>>,
    rules: Rules,
    special: SpecialIds,
    user_defined: PieceIndex,
    unigram: UnigramModel,
    byte_ids: Option<Box<[u32; 256]>>,
}

impl Tokenizer {
    /// Reads a `spiece.model` or a `tokenizer.json`, whichever the bytes are.
    ///
    /// # Errors
    /// As [`from_sentencepiece`](Self::from_sentencepiece) and [`from_tokenizer_json`](Self::from_tokenizer_json).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        // A sentencepiece model starts with 0x0A, which JSON takes for white space, then a length
        // that no first piece has if it is to look like `{`.
        match bytes.trim_ascii_start().first() {
            Some(b'{') => Self::from_tokenizer_json(bytes),
            _ => Self::from_sentencepiece(bytes),
        }
    }

    /// Reads a serialised sentencepiece `ModelProto`: a `spiece.model` file or the `spiece_model`
    /// tensor of a checkpoint.
    ///
    /// # Errors
    /// Bytes that are no such message or contradict themselves, and models that are not unigram.
    pub fn from_sentencepiece(bytes: &[u8]) -> Result<Self, Error> {
        Self::new(sentencepiece::parse(bytes)?, sentencepiece::FORMAT)
    }

    /// Reads a Hugging Face `tokenizer.json` of a T5-like unigram tokenizer, and tokenises as the
    /// sentencepiece model would that it was converted from.
    ///
    /// Where the two differ, sentencepiece is followed: control tokens are not looked for in text,
    /// and unknown characters become bytes if the vocabulary has the 256 byte pieces.
    ///
    /// # Errors
    /// Bytes that are no such JSON or contradict themselves, models that are not unigram, and
    /// normalisers or pre-tokenizers that no conversion from sentencepiece writes.
    pub fn from_tokenizer_json(bytes: &[u8]) -> Result<Self, Error> {
        Self::new(tokenizer_json::parse(bytes)?, tokenizer_json::FORMAT)
    }

    /// Ids of `text` alone: no end token, no padding, no weights, no cleaning. Empty for text that
    /// is empty once normalised.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let normalized = normalize(text, &self.rules, &self.user_defined);
        let mut ids = Vec::new();
        let mut follows_unknown = false;
        for cut in self.unigram.encode(&normalized) {
            let is_unknown = cut.id == self.special.unk;
            match &self.byte_ids {
                Some(byte_ids) if is_unknown => {
                    ids.extend(normalized[cut.start..cut.end].iter().map(|&byte| byte_ids[usize::from(byte)]));
                }
                // A run of unknown characters is one unknown token.
                None if is_unknown && follows_unknown => {}
                _ => ids.push(cut.id),
            }
            follows_unknown = is_unknown;
        }
        ids
    }

    /// Ids of the special tokens.
    pub fn special(&self) -> SpecialIds {
        self.special
    }

    /// How many ids there are; every id is below. An encoder's embedding may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.texts.len()
    }

    /// The text that an id stands for, U+2581 for a space; `None` beyond the vocabulary.
    pub fn piece(&self, id: u32) -> Option<Cow<'_, str>> {
        Some(String::from_utf8_lossy(self.texts.get(id as usize)?))
    }

    fn new(vocabulary: Vocabulary, format: &'static str) -> Result<Self, Error> {
        let special = vocabulary.special_ids(format)?;
        Ok(Self {
            special,
            user_defined: PieceIndex::new(&vocabulary.pieces, |kind| kind == PieceKind::UserDefined),
            unigram: UnigramModel::new(&vocabulary.pieces, special.unk, format)?,
            byte_ids: vocabulary.byte_ids(format)?,
            rules: vocabulary.rules,
            texts: vocabulary.pieces.into_iter().map(|piece| piece.text).collect(),
        })
    }
}
