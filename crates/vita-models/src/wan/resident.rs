//! Which blocks of a network stay on a card. All others are brought there each time they run: the next one while one
//! computes, where the host has memory to pin for that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vita_ops::{Card, OnTheWay, Precision, Upload, Waiting};

use super::block::Block;
use super::{Error, Result};

/// Share of a network that leaves at a time where room is short.
const LEAVING_SHARE: usize = 8;

/// Where the blocks of a network on a card are.
pub struct Resident {
    card: Arc<Card>,
    precision: Precision,
    /// The network's last blocks, as they will be once their weights are there; `None` where no memory could be pinned.
    waiting: Vec<Option<(Block, Waiting)>>,
    /// Blocks of the network.
    block_count: usize,
    state: Mutex<State>,
}

struct State {
    /// The first blocks, on the card until their room is needed.
    staying: Vec<Block>,
    /// The block that is brought while another computes.
    coming: Option<(usize, OnTheWay)>,
    /// Whether there is room for that.
    looks_ahead: bool,
}

impl Resident {
    /// The last `swapped` blocks do not stay.
    pub fn new(card: &Arc<Card>, precision: Precision, blocks: &[Block], swapped: usize) -> Result<Self> {
        let (staying, swapped) = blocks.split_at(blocks.len() - swapped.min(blocks.len()));
        let staying =
            staying.iter().map(|block| block.upload(&mut Upload::now(card, precision))).collect::<Result<_>>()?;
        let waiting = swapped.iter().map(|block| {
            let mut upload = Upload::later(card, precision);
            let block = block.upload(&mut upload)?;
            Ok(upload.pin().map(|waiting| (block, waiting)))
        });
        let waiting = waiting.collect::<Result<_>>()?;
        let state = Mutex::new(State { staying, coming: None, looks_ahead: true });
        Ok(Self { card: card.clone(), precision, waiting, block_count: blocks.len(), state })
    }

    /// How many stay.
    pub fn count(&self) -> usize {
        self.lock().staying.len()
    }

    /// A block on the card: the one that stays there, or `here` brought there now. Starts to bring the next one.
    pub fn block(&self, index: usize, here: &Block) -> Result<Block> {
        let mut state = self.lock();
        let block = match (state.staying.get(index), self.waiting(index)) {
            (Some(block), _) => block.clone(),
            (None, Some((block, waiting))) => {
                let journey = match state.coming.take() {
                    Some((coming, journey)) if coming == index => journey,
                    _ => waiting.depart()?,
                };
                block.with_weights(&journey.arrive()?)
            }
            (None, None) => here.upload(&mut Upload::now(&self.card, self.precision))?,
        };
        if state.looks_ahead && state.coming.is_none() {
            // Should that fail, it is found out when the block's turn comes.
            state.coming = self.waiting_after(index).and_then(|(next, waiting)| Some((next, waiting.depart().ok()?)));
        }
        Ok(block)
    }

    fn waiting(&self, index: usize) -> Option<&(Block, Waiting)> {
        let first = self.block_count - self.waiting.len();
        self.waiting.get(index.checked_sub(first)?)?.as_ref()
    }

    /// The next block that waits, in this pass or the one that follows.
    fn waiting_after(&self, index: usize) -> Option<(usize, &Waiting)> {
        let others = (index + 1..self.block_count).chain(0..index);
        others.into_iter().find_map(|other| Some((other, &self.waiting(other)?.1)))
    }

    /// Does work that may find no room: then an eighth of the network's blocks leave, and the work is done again, until
    /// none is left, and none is brought before its turn.
    pub fn with_room<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        loop {
            match work() {
                Err(Error::Card(failure)) if failure.is_shortage() && self.give_way() => {
                    tracing::warn!("{failure}; {} of {} blocks stay there now", self.count(), self.block_count);
                }
                done => return done,
            }
        }
    }

    /// Whether anything was there to leave.
    fn give_way(&self) -> bool {
        let mut state = self.lock();
        state.coming = None;
        let (count, leaving) = (state.staying.len(), self.block_count.div_ceil(LEAVING_SHARE));
        state.staying.truncate(count.saturating_sub(leaving));
        let gave_way = count > 0 || std::mem::replace(&mut state.looks_ahead, false);
        drop(state);
        self.card.pool().release_idle();
        gave_way
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
