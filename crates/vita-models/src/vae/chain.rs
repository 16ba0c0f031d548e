//! A network as its list of blocks, and a clip's way through it in pieces.

use std::ops::ControlFlow;

use vita_tensor::Tensor;
use vita_weights::{Result, Weights};

use super::blocks::Block;
use super::frames::pieces;
use super::past::{Past, Slots};
use super::plan::{Extent, frames_at_most};
use super::shortcut::{Branch, Shortcut};
use super::{BlockConfig, Progress, Watch};

/// The blocks of an encoder or a decoder.
pub struct Chain {
    steps: Vec<Step>,
    configs: Vec<BlockConfig>,
    slots: Slots,
}

/// What happens to frames at one place of the list.
enum Step {
    Block(Box<Block>),
    Fork(Shortcut),
    /// Ends the fork before it. Between the two, frames stay together.
    Join,
}

impl Chain {
    /// Reads the blocks' tensors, named below `weights`.
    pub fn load(weights: &Weights, blocks: Vec<(String, BlockConfig)>) -> Result<Self> {
        let mut slots = Slots::default();
        let load = |(name, config): &(String, BlockConfig)| {
            Ok(match *config {
                BlockConfig::Fork(shortcut) => Step::Fork(Shortcut::new(shortcut, &mut slots)),
                BlockConfig::Join => Step::Join,
                block => Step::Block(Box::new(Block::load(&weights.scope(name), block, &mut slots)?)),
            })
        };
        let steps = blocks.iter().map(load).collect::<Result<_>>()?;
        Ok(Self { steps, configs: blocks.into_iter().map(|(_, config)| config).collect(), slots })
    }

    /// Bytes of the packed weights.
    pub fn size_bytes(&self) -> usize {
        let bytes = |step: &Step| if let Step::Block(block) = step { block.size_bytes() } else { 0 };
        self.steps.iter().map(bytes).sum()
    }

    /// Sends a clip `[T, H, W, C]` through; `watch` gets what comes out, in order.
    pub fn run(&self, x: Tensor, piece_bytes: usize, flops: f64, watch: &mut Watch) -> ControlFlow<()> {
        let past = self.slots.past();
        Run { chain: self, past, piece_bytes, flops_done: 0.0, flops, watch }.go(
            0,
            x,
            Place { first: true, last: true },
        )
    }
}

/// One clip on its way.
struct Run<'a, 'w> {
    chain: &'a Chain,
    past: Past,
    piece_bytes: usize,
    flops_done: f64,
    flops: f64,
    watch: &'a mut Watch<'w>,
}

/// Where in its clip a piece is.
#[derive(Clone, Copy)]
struct Place {
    first: bool,
    last: bool,
}

impl Run<'_, '_> {
    /// Sends frames through the blocks from `start` on. Where they grow too large together, they go on
    /// piece by piece, each through all that follows: the large pictures at the end are never all there.
    fn go(&mut self, start: usize, mut x: Tensor, place: Place) -> ControlFlow<()> {
        let mut branch: Option<(&Shortcut, Branch)> = None;
        for index in start..self.chain.steps.len() {
            let extent = Extent::of(&x);
            let most = frames_at_most(&self.chain.configs, index, extent, self.piece_bytes);
            if extent.frames > most {
                return self.go_apart(index, x, most, place);
            }
            self.past.ends = place.last;
            x = match &self.chain.steps[index] {
                Step::Fork(shortcut) => {
                    branch = Some((shortcut, shortcut.fork(&x, place.first, &mut self.past)));
                    x
                }
                Step::Join => match branch.take() {
                    Some((shortcut, branch)) => shortcut.join(x, branch),
                    None => unreachable!("each join follows its fork, and frames are not parted between"),
                },
                Step::Block(block) => match block.forward(x, &mut self.past) {
                    Some(y) => y,
                    None => return ControlFlow::Continue(()),
                },
            };
            self.flops_done += self.chain.configs[index].flops(extent, place.first);
            if index + 1 < self.chain.steps.len() {
                self.report(self.flops_done / self.flops, None)?;
            }
        }
        self.report(if place.last { 1.0 } else { self.flops_done / self.flops }, Some(x))
    }

    fn go_apart(&mut self, index: usize, x: Tensor, most: usize, place: Place) -> ControlFlow<()> {
        let count = x.dims()[0];
        let parts: Vec<_> =
            pieces(count, most).map(|range| (range.clone(), x.narrow(0, range.start, range.len()))).collect();
        drop(x);
        for (range, part) in parts {
            let part_place = Place { first: place.first && range.start == 0, last: place.last && range.end == count };
            self.go(index, part, part_place)?;
        }
        ControlFlow::Continue(())
    }

    fn report(&mut self, fraction: f64, frames: Option<Tensor>) -> ControlFlow<()> {
        (self.watch)(Progress { fraction: fraction.min(1.0), frames })
    }
}
