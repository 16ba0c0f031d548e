//! Which blocks of a network stay on a card. All others are brought there each time they run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vita_ops::Card;

use super::block::Block;
use super::{Error, Result};

/// Share of a network that leaves at a time where room is short.
const LEAVING_SHARE: usize = 8;

/// The first blocks of a network, on a card until their room is needed.
pub struct Resident {
    card: Arc<Card>,
    blocks: Mutex<Vec<Block>>,
}

impl Resident {
    pub fn new(card: &Arc<Card>, blocks: Vec<Block>) -> Self {
        Self { card: card.clone(), blocks: Mutex::new(blocks) }
    }

    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// A block on the card: the one that stays there, or `here` brought there now.
    pub fn block(&self, index: usize, here: &Block) -> Result<Block> {
        let resident = self.lock().get(index).cloned();
        resident.map_or_else(|| here.to_card(&self.card), Ok)
    }

    /// Does work that may find no room: then an eighth of the network's blocks leave, and the work is done again, until
    /// none is left.
    pub fn with_room<T>(&self, block_count: usize, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        loop {
            match work() {
                Err(Error::Card(failure)) if failure.is_shortage() && self.give_way(block_count) => {
                    tracing::warn!("{failure}; {} of {block_count} blocks stay there now", self.count());
                }
                done => return done,
            }
        }
    }

    /// Whether any block was there to leave.
    fn give_way(&self, block_count: usize) -> bool {
        let mut blocks = self.lock();
        let (count, leaving) = (blocks.len(), block_count.div_ceil(LEAVING_SHARE));
        blocks.truncate(count.saturating_sub(leaving));
        drop(blocks);
        self.card.pool().release_idle();
        count > 0
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Block>> {
        // The list is whole between any two statements.
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
