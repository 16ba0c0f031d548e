//! A network as its list of blocks, and a clip's way through it in pieces.

use std::ops::ControlFlow;
use std::sync::Arc;

use vita_ops::Card;
use vita_tensor::{Failure, Tensor};
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

    /// The same blocks with their weights on a card.
    pub fn to_card(&self, card: &Arc<Card>) -> std::result::Result<Self, Failure> {
        let step = |step: &Step| {
            Ok(match step {
                Step::Block(block) => Step::Block(Box::new(block.to_card(card)?)),
                Step::Fork(shortcut) => Step::Fork(shortcut.clone()),
                Step::Join => Step::Join,
            })
        };
        let steps = self.steps.iter().map(step).collect::<std::result::Result<_, Failure>>()?;
        Ok(Self { steps, configs: self.configs.clone(), slots: self.slots.clone() })
    }

    /// Bytes of the packed weights.
    pub fn size_bytes(&self) -> usize {
        let bytes = |step: &Step| if let Step::Block(block) = step { block.size_bytes() } else { 0 };
        self.steps.iter().map(bytes).sum()
    }

    /// Sends a clip `[T, H, W, C]` through; `watch` gets what `leave` makes of the frames that come out, in order.
    ///
    /// # Errors
    /// If a card has no room, or does not answer.
    pub fn run(
        &self,
        x: Tensor,
        piece_bytes: usize,
        flops: f64,
        leave: &Leave,
        watch: &mut Watch,
    ) -> std::result::Result<ControlFlow<()>, Failure> {
        let past = self.slots.past();
        let mut run = Run { chain: self, past, piece_bytes, flops_done: 0.0, flops, leave, watch };
        match run.go(0, x, Place { first: true, last: true }) {
            ControlFlow::Continue(()) => Ok(ControlFlow::Continue(())),
            ControlFlow::Break(Stop::Asked) => Ok(ControlFlow::Break(())),
            ControlFlow::Break(Stop::Failed(failure)) => Err(failure),
        }
    }
}

/// What is done with frames once they are through: they end on the host.
pub type Leave<'a> = dyn Fn(Tensor) -> std::result::Result<Tensor, Failure> + 'a;

/// Why a clip does not go on.
enum Stop {
    Asked,
    Failed(Failure),
}

/// One clip on its way.
struct Run<'a, 'w> {
    chain: &'a Chain,
    past: Past,
    piece_bytes: usize,
    flops_done: f64,
    flops: f64,
    leave: &'a Leave<'a>,
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
    fn go(&mut self, start: usize, mut x: Tensor, place: Place) -> ControlFlow<Stop> {
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
            if let Some(failure) = x.failure() {
                return ControlFlow::Break(Stop::Failed(failure.clone()));
            }
            self.flops_done += self.chain.configs[index].flops(extent, place.first);
            if index + 1 < self.chain.steps.len() {
                self.report(self.flops_done / self.flops, None)?;
            }
        }
        match (self.leave)(x) {
            Ok(frames) => self.report(if place.last { 1.0 } else { self.flops_done / self.flops }, Some(frames)),
            Err(failure) => ControlFlow::Break(Stop::Failed(failure)),
        }
    }

    fn go_apart(&mut self, index: usize, x: Tensor, most: usize, place: Place) -> ControlFlow<Stop> {
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

    fn report(&mut self, fraction: f64, frames: Option<Tensor>) -> ControlFlow<Stop> {
        (self.watch)(Progress { fraction: fraction.min(1.0), frames }).map_break(|()| Stop::Asked)
    }
}
