//! Weights that do not stay on the card: blocks in pinned memory, copied into two places in turn, the next one while
//! this one computes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Buffer, Pool, Slice};
use crate::error::Result;
use crate::machine::{Copied, Gpu, PinnedBuffer};

/// Blocks that stream to the card in a fixed order, again and again.
pub struct BlockStream {
    gpu: Arc<Gpu>,
    blocks: Vec<PinnedBuffer>,
    /// Where they are copied to, in turn.
    places: Vec<Buffer>,
    /// Copies that are under way, or done and not yet asked for.
    coming: VecDeque<Coming>,
    /// The block and the place of the copy that is started next.
    next_block: usize,
    next_place: usize,
    /// Whether a block was handed out, whose place is free once the work on it is done.
    in_use: bool,
}

struct Coming {
    block: usize,
    place: usize,
    copied: Copied,
}

impl BlockStream {
    /// Blocks in the order they are asked for, and two places on the card for the largest. Starts the first copies.
    ///
    /// # Errors
    /// If there is no room on the card, or it does not answer.
    pub fn new(gpu: Arc<Gpu>, pool: &Pool, blocks: Vec<PinnedBuffer>) -> Result<Self> {
        let largest = blocks.iter().map(|block| block.as_slice().len() as u64).max().unwrap_or(0);
        let places = (0..blocks.len().min(2)).map(|_| pool.allocate(largest)).collect::<Result<Vec<_>>>()?;
        let mut this =
            Self { gpu, blocks, places, coming: VecDeque::new(), next_block: 0, next_place: 0, in_use: false };
        for _ in 0..this.places.len() {
            this.start_copy()?;
        }
        Ok(this)
    }

    /// How many blocks stream.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// The bytes of the block whose turn it is, on the card. Work that is given before the next call may use them.
    ///
    /// # Panics
    /// If it is not this block's turn.
    ///
    /// # Errors
    /// If the card does not answer.
    pub fn next(&mut self, block: usize) -> Result<Slice<'_>> {
        if std::mem::replace(&mut self.in_use, true) {
            self.start_copy()?;
        }
        let coming = self.coming.pop_front().expect("as many copies were started as there are places");
        assert_eq!(coming.block, block, "blocks come in their order");
        self.gpu.wait_for(&coming.copied)?;
        let bytes = self.blocks[block].as_slice().len() as u64;
        Ok(self.places[coming.place].slice().part(0, bytes))
    }

    /// Starts the next copy, after all work that was given so far: it may still read what the place holds.
    fn start_copy(&mut self) -> Result<()> {
        let (block, place) = (self.next_block, self.next_place);
        let from = &self.blocks[block];
        let (to, all) = (self.places[place].slice().pointer(), 0..from.as_slice().len());
        let before = self.gpu.mark()?;
        // SAFETY: the place has room for the largest block; the pinned block lives as long as `self`, which waits for
        // its copies when dropped.
        let copied = unsafe { self.gpu.copy_beside(to, from, all, Some(&before)) }?;
        self.coming.push_back(Coming { block, place, copied });
        self.next_block = (block + 1) % self.blocks.len();
        self.next_place = (place + 1) % self.places.len();
        Ok(())
    }
}

impl Drop for BlockStream {
    fn drop(&mut self) {
        // Neither pinned memory nor places may go while they are copied; a card that does not answer copies nothing.
        let _ = self.gpu.wait_for_copies();
    }
}
