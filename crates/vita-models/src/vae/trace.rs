//! A clip's way through a network with sizes in place of tensors: the order in which blocks take and
//! free memory. Mirrors [`super::chain`] and [`super::blocks`]; a test holds it to what was measured.

use vita_ops::{ConvOptions, conv_scratch_bytes};

use super::blocks::{CausalConv, Down, Up, halved};
use super::frames::pieces;
use super::plan::{Cost, Extent, frames_at_most};
use super::{BlockConfig, ShortcutConfig};

/// Memory and arithmetic so far.
pub struct Trace<'a> {
    blocks: &'a [BlockConfig],
    piece_bytes: usize,
    /// What the two slots of each block hold: `None` before the clip's first frame.
    kept: Vec<[Option<Extent>; 2]>,
    /// Whether the clip ends with the piece at hand.
    ends: bool,
    /// Bytes that a shortcut holds until its join: a mean, or the input that is freed there.
    branch_bytes: usize,
    live_bytes: usize,
    cost: Cost,
}

/// Frames on their way.
#[derive(Clone, Copy)]
struct Piece {
    extent: Extent,
    /// What is freed when they are consumed: 0 while they are a part of frames that stay.
    owned_bytes: usize,
}

impl<'a> Trace<'a> {
    /// Cost of sending a clip through; `owned` if the network consumes the clip itself.
    pub fn run(blocks: &'a [BlockConfig], x: Extent, owned: bool, piece_bytes: usize) -> Cost {
        let owned_bytes = if owned { x.bytes() } else { 0 };
        let mut trace = Trace {
            blocks,
            piece_bytes,
            kept: vec![[None; 2]; blocks.len()],
            ends: false,
            branch_bytes: 0,
            live_bytes: owned_bytes,
            cost: Cost { flops: 0.0, peak_bytes: owned_bytes },
        };
        trace.go(0, Piece { extent: x, owned_bytes }, true, true);
        trace.cost
    }

    fn go(&mut self, start: usize, mut piece: Piece, first: bool, last: bool) {
        for index in start..self.blocks.len() {
            let x = piece.extent;
            let most = frames_at_most(self.blocks, index, x, self.piece_bytes);
            if x.frames > most {
                for range in pieces(x.frames, most) {
                    let is_last = range.end == x.frames;
                    let part = Piece {
                        extent: Extent { frames: range.len(), ..x },
                        owned_bytes: if is_last { piece.owned_bytes } else { 0 },
                    };
                    self.go(index, part, first && range.start == 0, last && is_last);
                }
                return;
            }
            self.ends = last;
            self.cost.flops += self.blocks[index].flops(x, first);
            let Some(y) = self.block(index, piece, first) else { return };
            piece = y;
        }
        self.free(piece.owned_bytes);
    }

    fn block(&mut self, index: usize, piece: Piece, first: bool) -> Option<Piece> {
        let x = piece.extent;
        match self.blocks[index] {
            BlockConfig::Fold | BlockConfig::Unfold => {
                let y = self.take(self.blocks[index].output_of_one(x));
                self.free(piece.owned_bytes);
                Some(y)
            }
            BlockConfig::Fork(shortcut) if shortcut.enlarges => {
                self.branch_bytes = piece.owned_bytes;
                Some(Piece { owned_bytes: 0, ..piece })
            }
            BlockConfig::Fork(shortcut) => {
                self.branch_bytes = self.mean(index, x, shortcut, first);
                Some(piece)
            }
            BlockConfig::Join => {
                let bytes = std::mem::take(&mut self.branch_bytes);
                self.free(bytes);
                Some(piece)
            }
            BlockConfig::Conv { outputs, .. } => Some(self.conv(index, 0, piece, outputs)),
            BlockConfig::Head { outputs, .. } => {
                let normed = self.take(x);
                self.free(piece.owned_bytes);
                Some(self.conv(index, 0, normed, outputs))
            }
            BlockConfig::Residual { inputs, outputs } => {
                let y = self.take(x);
                let y = self.conv(index, 0, y, outputs);
                let normed = self.take(y.extent);
                self.free(y.owned_bytes);
                let y = self.conv(index, 1, normed, outputs);
                let shortcut = if inputs == outputs { 0 } else { self.take(y.extent).owned_bytes };
                self.free(piece.owned_bytes);
                self.free(shortcut);
                Some(y)
            }
            BlockConfig::Attention { .. } => {
                let y = self.take(x);
                // Of a frame: query, key and value, what attention gives, its projection.
                let frame = self.take(Extent { frames: 1, channels: 5 * x.channels, ..x });
                self.free(frame.owned_bytes + piece.owned_bytes);
                Some(y)
            }
            BlockConfig::Up { inputs, outputs, time } => {
                let doubled = if time { self.double(index, piece) } else { piece };
                let Extent { frames, height, width, .. } = doubled.extent;
                let y = self.take(Extent { frames, height: 2 * height, width: 2 * width, channels: outputs });
                self.work([outputs, inputs, 1, 3, 3], Up::RESAMPLE, doubled.extent);
                self.free(doubled.owned_bytes);
                Some(y)
            }
            BlockConfig::Down { channels, time } => {
                let y = self.take(Extent { height: x.height / 2, width: x.width / 2, channels, ..x });
                self.work([channels, channels, 1, 3, 3], Down::RESAMPLE, x);
                self.free(piece.owned_bytes);
                if time { self.halve(index, y) } else { Some(y) }
            }
        }
    }

    fn conv(&mut self, index: usize, slot: usize, x: Piece, outputs: usize) -> Piece {
        let y = self.take(Extent { channels: outputs, ..x.extent });
        self.work([outputs, x.extent.channels, 3, 3, 3], CausalConv::OPTIONS, x.extent);
        self.keep(index, slot, x.extent, 2);
        self.free(x.owned_bytes);
        y
    }

    fn double(&mut self, index: usize, piece: Piece) -> Piece {
        let x = piece.extent;
        let single = usize::from(self.kept[index][0].is_none());
        let rest = Extent { frames: x.frames.saturating_sub(single), ..x };
        let pairs = self.take(Extent { channels: 2 * x.channels, ..rest });
        self.work([2 * x.channels, x.channels, 3, 1, 1], Up::TIME, rest);
        self.keep(index, 0, rest, 2);
        if rest.frames == 0 {
            return piece;
        }
        // The first frame is a part of x, so x stays until it is copied.
        let freed_before = if single == 0 { piece.owned_bytes } else { 0 };
        self.free(freed_before);
        let y = self.take(Extent { frames: single + 2 * rest.frames, ..x });
        self.free(pairs.owned_bytes + piece.owned_bytes - freed_before);
        y
    }

    fn halve(&mut self, index: usize, piece: Piece) -> Option<Piece> {
        let x = piece.extent;
        let before = self.kept[index][0];
        let known = before.map_or(0, |before| before.frames) + x.frames;
        let triples = halved(known);
        let y = self.take(Extent { frames: triples, ..x });
        self.work([x.channels, x.channels, 3, 1, 1], Down::TIME, x);
        self.keep(index, 0, x, known - 2 * triples);
        match (before, triples) {
            (Some(_), 0) => {
                self.free(piece.owned_bytes);
                None
            }
            (Some(_), _) => {
                self.free(piece.owned_bytes);
                Some(y)
            }
            (None, 0) => Some(Piece { extent: Extent { frames: 1, ..x }, ..piece }),
            (None, _) => {
                let whole = self.take(Extent { frames: 1 + triples, ..x });
                self.free(y.owned_bytes + piece.owned_bytes);
                Some(whole)
            }
        }
    }

    /// Bytes of the means that a shortcut gives, which are kept until its join.
    fn mean(&mut self, index: usize, x: Extent, shortcut: ShortcutConfig, first: bool) -> usize {
        let before = self.kept[index][0].take();
        let kept = before.map_or(0, |before| before.frames);
        // What waited and x together.
        let joined = before.map_or(0, |_| self.take(Extent { frames: kept + x.frames, ..x }).owned_bytes);
        self.free(before.map_or(0, Extent::bytes));
        let (mean, waiting) = shortcut.mean_extent(x, kept, first);
        if waiting > 0 {
            self.keep(index, 0, x, waiting);
        }
        let bytes = self.take(mean).owned_bytes;
        self.free(joined);
        bytes
    }

    /// The slot now holds the last `count` frames of what it held and x together.
    fn keep(&mut self, index: usize, slot: usize, x: Extent, count: usize) {
        let before = self.kept[index][slot].take();
        let known = before.map_or(0, |before| before.frames) + x.frames;
        if !self.ends {
            let kept = Extent { frames: count.min(known), ..x };
            self.take(kept);
            self.kept[index][slot] = Some(kept);
        }
        self.free(before.map_or(0, Extent::bytes));
    }

    /// What a convolution takes while it runs.
    fn work(&mut self, weight: [usize; 5], options: ConvOptions, x: Extent) {
        let bytes = conv_scratch_bytes(weight, options, [x.frames, x.height, x.width]);
        self.cost.peak_bytes = self.cost.peak_bytes.max(self.live_bytes + bytes);
    }

    fn take(&mut self, extent: Extent) -> Piece {
        self.live_bytes += extent.bytes();
        self.cost.peak_bytes = self.cost.peak_bytes.max(self.live_bytes);
        Piece { extent, owned_bytes: extent.bytes() }
    }

    fn free(&mut self, bytes: usize) {
        self.live_bytes -= bytes;
    }
}
