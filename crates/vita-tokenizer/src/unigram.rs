//! The best way to write a text in pieces: most probable under a unigram model (Kudo 2018).

use crate::Error;
use crate::normalizer::character_length;
use crate::vocabulary::{Piece, PieceKind};

/// What an unknown character costs beyond the rarest piece, in log probability.
const UNKNOWN_PENALTY: f32 = 10.0;

/// Sums further from zero than this start again at zero, so that long texts keep the bits after the point.
const SCORE_RESET: f32 = 100_000.0;

/// Finds all pieces that a text starts with: pieces in order, narrowed byte by byte.
#[derive(Debug)]
pub(crate) struct PieceIndex {
    /// Texts and ids, sorted by text.
    entries: Vec<(Box<[u8]>, u32)>,
    /// Where the entries of each first byte begin, and past them.
    first_byte_starts: Box<[usize; 257]>,
}

/// A piece list ready for [`UnigramModel::encode`].
#[derive(Debug)]
pub(crate) struct UnigramModel {
    index: PieceIndex,
    /// By id: what a piece adds to the score of a cut; `None` for one that is never used.
    scores: Vec<Option<f32>>,
    unknown_id: u32,
    unknown_score: f32,
}

/// A stretch of the text, in bytes, and the piece it is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub start: usize,
    pub end: usize,
    pub id: u32,
}

impl UnigramModel {
    /// Indexes the pieces that may be found in text. `unknown_id` is what the others become.
    pub fn new(pieces: &[Piece], unknown_id: u32, format: &'static str) -> Result<Self, Error> {
        let index = PieceIndex::new(pieces, |kind| {
            matches!(kind, PieceKind::Normal | PieceKind::UserDefined | PieceKind::Unused)
        });
        if let Some(id) = index.duplicate() {
            return Err(Error::Damaged {
                format,
                place: format!("piece {id}"),
                problem: "a piece that was already defined".into(),
            });
        }
        if index.entries.is_empty() {
            return Err(Error::Damaged {
                format,
                place: "the end".into(),
                problem: "no pieces to write text with".into(),
            });
        }
        let normal = pieces.iter().filter(|piece| piece.kind == PieceKind::Normal).map(|piece| piece.score);
        let unknown_score = normal.fold(f32::MAX, f32::min) - UNKNOWN_PENALTY;
        let scores = pieces.iter().map(|piece| match piece.kind {
            // Above every probability, and longer ones above shorter ones.
            PieceKind::UserDefined => Some((0.1 * (piece.text.len() as f64 - 1.0)) as f32),
            PieceKind::Unused => None,
            _ => Some(piece.score),
        });
        Ok(Self { index, scores: scores.collect(), unknown_id, unknown_score })
    }

    /// Cuts normalised text into pieces by Viterbi's algorithm over byte positions.
    ///
    /// Sums are rounded to f32 after each piece, before they are compared, and ties keep the longer last
    /// piece, as in sentencepiece since 0.2.2; both decide between equally probable cuts.
    pub fn encode(&self, text: &[u8]) -> Vec<Cut> {
        let mut best_to = vec![Best { score: 0.0, start: usize::MAX, id: 0 }; text.len() + 1];
        let mut start = 0;
        let mut furthest = 0;
        while start < text.len() {
            let offset = best_to[start].score;
            if offset.abs() > SCORE_RESET {
                best_to[start..=furthest]
                    .iter_mut()
                    .filter(|best| best.is_known())
                    .for_each(|best| best.score -= offset);
            }
            let score_here = best_to[start].score;
            let character_bytes = character_length(&text[start..]);
            let mut has_character = false;
            for (length, id) in self.index.prefixes(&text[start..]) {
                let Some(score) = self.scores[id as usize] else { continue };
                best_to[start + length].improve(score_here + score, start, id);
                furthest = furthest.max(start + length);
                has_character |= length == character_bytes;
            }
            if !has_character {
                best_to[start + character_bytes].improve(score_here + self.unknown_score, start, self.unknown_id);
                furthest = furthest.max(start + character_bytes);
            }
            start += character_bytes;
        }

        let mut cuts = Vec::new();
        let mut end = text.len();
        while end > 0 {
            let Best { start, id, .. } = best_to[end];
            cuts.push(Cut { start, end, id });
            end = start;
        }
        cuts.reverse();
        cuts
    }
}

/// The best way to write everything up to one position.
#[derive(Clone, Copy, Debug)]
struct Best {
    score: f32,
    /// Where its last piece starts; `usize::MAX` while no way is known.
    start: usize,
    id: u32,
}

impl Best {
    fn is_known(&self) -> bool {
        self.start != usize::MAX
    }

    fn improve(&mut self, score: f32, start: usize, id: u32) {
        if !self.is_known() || score > self.score {
            *self = Self { score, start, id };
        }
    }
}

impl PieceIndex {
    /// Indexes the pieces of the wanted kinds.
    pub fn new(pieces: &[Piece], is_wanted: impl Fn(PieceKind) -> bool) -> Self {
        let wanted = pieces.iter().enumerate().filter(|(_, piece)| is_wanted(piece.kind));
        let mut entries: Vec<(Box<[u8]>, u32)> = wanted.map(|(id, piece)| (piece.text.clone(), id as u32)).collect();
        entries.sort_unstable();
        let first_byte_starts =
            std::array::from_fn(|byte| entries.partition_point(|(text, _)| usize::from(text[0]) < byte));
        Self { entries, first_byte_starts: Box::new(first_byte_starts) }
    }

    /// Length and id of every piece that `text` starts with, shortest first.
    pub fn prefixes<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, u32)> + 'a {
        let mut candidates = text.first().map_or(&[][..], |&byte| {
            &self.entries[self.first_byte_starts[usize::from(byte)]..self.first_byte_starts[usize::from(byte) + 1]]
        });
        let mut length = 1;
        std::iter::from_fn(move || {
            // All candidates share the first `length` bytes of the text; a piece of just these comes first.
            loop {
                let (piece, id) = candidates.first()?;
                if piece.len() == length {
                    candidates = &candidates[1..];
                    return Some((length, *id));
                }
                let next = text.get(length)?;
                let from = candidates.partition_point(|(piece, _)| piece[length] < *next);
                candidates = &candidates[from..];
                candidates = &candidates[..candidates.partition_point(|(piece, _)| piece[length] == *next)];
                length += 1;
            }
        })
    }

    /// An id whose text an earlier piece has too.
    fn duplicate(&self) -> Option<u32> {
        self.entries.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1)
    }
}
