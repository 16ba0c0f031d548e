//! How segments of a card's memory are cut into blocks and put together again. No card is needed here.
//!
//! A segment is what the driver gave at once. Its blocks lie side by side; a free one never lies beside
//! another, because they are joined when one is given back.

use std::collections::BTreeMap;

/// Every block begins and ends at a multiple of this.
pub const GRAIN_BYTES: u64 = 512;

/// Requests up to here share segments of [`SMALL_SEGMENT_BYTES`].
pub const SMALL_BYTES_MAX: u64 = 1 << 20;

/// The segment of small blocks.
pub const SMALL_SEGMENT_BYTES: u64 = 8 << 20;

/// Segments of large blocks are multiples of this, the driver's own grain.
pub const LARGE_GRAIN_BYTES: u64 = 2 << 20;

/// The blocks of all segments.
#[derive(Debug, Default)]
pub struct Blocks {
    /// By address, which tells the neighbours.
    blocks: BTreeMap<u64, Block>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    bytes: u64,
    /// Where its segment begins.
    segment: u64,
    small: bool,
    free: bool,
}

/// What the driver is asked for when no free block fits.
pub fn segment_bytes(asked: u64) -> u64 {
    if asked <= SMALL_BYTES_MAX { SMALL_SEGMENT_BYTES } else { asked.next_multiple_of(LARGE_GRAIN_BYTES) }
}

/// What a request takes of a block.
pub fn block_bytes(asked: u64) -> u64 {
    asked.max(1).next_multiple_of(GRAIN_BYTES)
}

impl Blocks {
    /// Adds what the driver gave; all of it is free.
    pub fn add_segment(&mut self, address: u64, bytes: u64, small: bool) {
        self.blocks.insert(address, Block { bytes, segment: address, small, free: true });
    }

    /// The smallest free block that fits, cut to size; `None` if none does. `bytes` is a multiple of the grain.
    pub fn take(&mut self, bytes: u64) -> Option<u64> {
        let small = bytes <= SMALL_BYTES_MAX;
        let (&address, &block) = self
            .blocks
            .iter()
            .filter(|(_, block)| block.free && block.small == small && block.bytes >= bytes)
            .min_by_key(|(_, block)| block.bytes)?;
        let rest = block.bytes - bytes;
        // A rest that no large request could use stays with its block.
        let cut = if small { rest >= GRAIN_BYTES } else { rest > SMALL_BYTES_MAX };
        let kept = if cut { bytes } else { block.bytes };
        self.blocks.insert(address, Block { bytes: kept, free: false, ..block });
        if cut {
            self.blocks.insert(address + bytes, Block { bytes: rest, free: true, ..block });
        }
        Some(address)
    }

    /// Bytes of the block at an address.
    pub fn bytes_at(&self, address: u64) -> u64 {
        self.blocks[&address].bytes
    }

    /// Makes a block free again and joins it with its free neighbours.
    pub fn give_back(&mut self, address: u64) {
        let mut block = self.blocks.remove(&address).expect("a block that was taken");
        assert!(!block.free, "given back twice");
        let mut start = address;
        if let Some((&before, &neighbour)) = self.blocks.range(..address).next_back()
            && neighbour.free
            && neighbour.segment == block.segment
        {
            self.blocks.remove(&before);
            start = before;
            block.bytes += neighbour.bytes;
        }
        if let Some(&neighbour) = self.blocks.get(&(start + block.bytes))
            && neighbour.free
            && neighbour.segment == block.segment
        {
            self.blocks.remove(&(start + block.bytes));
            block.bytes += neighbour.bytes;
        }
        self.blocks.insert(start, Block { free: true, ..block });
    }

    /// Removes every segment that is wholly free: where it begins, and its bytes.
    pub fn remove_free_segments(&mut self) -> Vec<(u64, u64)> {
        let ends: Vec<(u64, u64)> = self
            .blocks
            .iter()
            .filter(|&(&address, block)| block.free && block.segment == address && self.fills_segment(address, block))
            .map(|(&address, block)| (address, block.bytes))
            .collect();
        for (address, _) in &ends {
            self.blocks.remove(address);
        }
        ends
    }

    fn fills_segment(&self, address: u64, block: &Block) -> bool {
        self.blocks.get(&(address + block.bytes)).is_none_or(|next| next.segment != block.segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_cut_joined_and_released() {
        let mut blocks = Blocks::default();
        let mib = 1 << 20;
        blocks.add_segment(0x1000_0000, 64 * mib, false);
        assert_eq!(blocks.take(512), None, "small requests have their own segments");
        let a = blocks.take(10 * mib).unwrap();
        let b = blocks.take(20 * mib).unwrap();
        let c = blocks.take(34 * mib).unwrap();
        assert_eq!([a, b, c], [0x1000_0000, 0x1000_0000 + 10 * mib, 0x1000_0000 + 30 * mib]);
        assert_eq!(blocks.take(2 * mib), None);
        blocks.give_back(a);
        blocks.give_back(c);
        // Best fit: the smaller hole.
        assert_eq!(blocks.take(9 * mib + GRAIN_BYTES), Some(a));
        assert_eq!(blocks.bytes_at(a), 10 * mib, "too little is left to cut");
        blocks.give_back(a);
        assert!(blocks.remove_free_segments().is_empty());
        blocks.give_back(b);
        assert_eq!(blocks.take(64 * mib), Some(a), "one block again");
        blocks.give_back(a);
        assert_eq!(blocks.remove_free_segments(), [(0x1000_0000, 64 * mib)]);
    }

    #[test]
    fn neighbouring_segments_stay_apart() {
        let mut blocks = Blocks::default();
        blocks.add_segment(1 << 30, 4 << 20, false);
        blocks.add_segment((1 << 30) + (4 << 20), 4 << 20, false);
        let a = blocks.take(4 << 20).unwrap();
        let b = blocks.take(4 << 20).unwrap();
        blocks.give_back(a);
        blocks.give_back(b);
        assert_eq!(blocks.take(8 << 20), None);
        assert_eq!(blocks.remove_free_segments().len(), 2);
    }
}
