//! Weights that do not stay on the card: they wait in pinned memory of the host, and are copied while other work runs.

use std::sync::Arc;

use super::{Buffer, Pool};
use crate::error::Result;
use crate::machine::{Copied, PinnedBuffer};

/// Where a part of a freight begins: the alignment that kernels expect.
const ALIGN: usize = 256;

/// Bytes in pinned memory that go to the card again and again, all at once.
pub struct Freight {
    pool: Pool,
    memory: PinnedBuffer,
}

/// A copy that is under way. Dropped before it arrived, it is waited for.
pub struct Journey {
    freight: Arc<Freight>,
    /// `None` once it arrived.
    buffer: Option<Buffer>,
    copied: Copied,
}

/// The parts of a freight before it is pinned.
#[derive(Default)]
pub struct Manifest<B> {
    parts: Vec<(usize, B)>,
    bytes: usize,
}

impl<B: AsRef<[u8]>> Manifest<B> {
    /// Adds a part, and says where in the freight it begins.
    pub fn add(&mut self, part: B) -> u64 {
        let start = self.bytes.next_multiple_of(ALIGN);
        self.bytes = start + part.as_ref().len();
        self.parts.push((start, part));
        start as u64
    }

    /// Bytes of the freight.
    pub fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// Copies all parts to pinned memory. `None` if that would be more than [`Pool::set_pinned_max`] allows, or than the
    /// host gives.
    pub fn pin(self, pool: &Pool) -> Option<Arc<Freight>> {
        let mut memory = pool.pinned(self.bytes)?;
        for (start, part) in &self.parts {
            memory.as_mut_slice()[*start..][..part.as_ref().len()].copy_from_slice(part.as_ref());
        }
        Some(Arc::new(Freight { pool: pool.clone(), memory }))
    }
}

impl Freight {
    /// Takes room on the card and starts the copy there: after the work that was given so far, and beside what is given
    /// later.
    ///
    /// # Errors
    /// If there is no room, or the card does not answer.
    pub fn depart(self: &Arc<Self>) -> Result<Journey> {
        let buffer = self.pool.allocate(self.memory.as_slice().len() as u64)?;
        // SAFETY: the buffer is as large; it is handed out by `arrive` alone, which makes work wait; until then both are
        // kept by the journey, which waits for the copy when dropped, as the freight does.
        let copied = unsafe { self.pool.machine().copy_beside(buffer.slice().pointer(), &self.memory) }?;
        Ok(Journey { freight: self.clone(), buffer: Some(buffer), copied })
    }
}

impl Journey {
    /// What was copied: work that is given from now on finds it there.
    ///
    /// # Errors
    /// If the card does not answer.
    pub fn arrive(mut self) -> Result<Buffer> {
        self.freight.pool.machine().wait_for(&self.copied)?;
        Ok(self.buffer.take().expect("it arrives once"))
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        if self.buffer.is_some() {
            // Its room goes back to the pool; a card that does not answer copies nothing.
            let _ = self.freight.pool.machine().wait_for_copies();
        }
    }
}

impl Drop for Freight {
    fn drop(&mut self) {
        // What arrived for the work may still be on its way.
        let _ = self.pool.machine().wait_for_copies();
        self.pool.unpinned(self.memory.as_slice().len());
    }
}
