//! The pool itself.
//!
//! Memory comes back to the pool when its buffer is dropped, which may be before the card has finished with it:
//! work runs in the order it was given, so what reuses the memory comes later. Whoever uses a buffer from the
//! copying stream waits for that before dropping it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Slice;
use super::blocks::{Blocks, SMALL_BYTES_MAX, block_bytes, segment_bytes};
use crate::error::{Error, Result};
use crate::machine::{Machine, PinnedBuffer, Pointer};

/// Memory of one card.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    machine: Arc<dyn Machine>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    blocks: Blocks,
    stats: Stats,
    budget_bytes: Option<u64>,
    pinned_bytes_max: Option<u64>,
}

/// What a pool holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// In buffers.
    pub live_bytes: u64,
    /// Taken from the driver, in buffers or kept for reuse.
    pub held_bytes: u64,
    /// The most that was taken from the driver since [`Pool::reset_peak`].
    pub held_bytes_peak: u64,
    /// The most that was in buffers since [`Pool::reset_peak`].
    pub live_bytes_peak: u64,
    /// Buffers that live now.
    pub buffer_count: u64,
    /// Requests that had no room.
    pub refused_count: u64,
    /// The host's memory that is pinned for copies to the card.
    pub pinned_bytes: u64,
}

/// Memory that goes back to its pool when dropped. Its content is unspecified at first.
pub struct Buffer {
    pool: Pool,
    pointer: Pointer,
    bytes: u64,
}

impl Pool {
    /// A pool that takes at most `budget_bytes` from the driver.
    pub fn new(machine: Arc<dyn Machine>, budget_bytes: Option<u64>) -> Self {
        let state = State { budget_bytes, ..State::default() };
        Self(Arc::new(Inner { machine, state: Mutex::new(state) }))
    }

    /// The card.
    pub fn machine(&self) -> &Arc<dyn Machine> {
        &self.0.machine
    }

    /// A buffer of at least so many bytes, aligned to 256 bytes at least.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] with the pool's counters, after everything idle was given back to the driver.
    pub fn allocate(&self, bytes: u64) -> Result<Buffer> {
        let wanted = block_bytes(bytes);
        let mut state = self.lock();
        let address = match state.blocks.take(wanted) {
            Some(address) => address,
            None => {
                self.grow(&mut state, wanted)?;
                state.blocks.take(wanted).expect("a segment for it was added")
            }
        };
        let taken = state.blocks.bytes_at(address);
        let stats = &mut state.stats;
        stats.live_bytes += taken;
        stats.buffer_count += 1;
        stats.live_bytes_peak = stats.live_bytes_peak.max(stats.live_bytes);
        drop(state);
        Ok(Buffer { pool: self.clone(), pointer: Pointer(address), bytes })
    }

    /// A buffer filled with bytes of the host.
    ///
    /// # Errors
    /// If there is no room, or the card does not answer.
    pub fn upload(&self, bytes: &[u8]) -> Result<Buffer> {
        let buffer = self.allocate(bytes.len() as u64)?;
        // SAFETY: the buffer has as many bytes.
        unsafe { self.0.machine.upload(buffer.pointer, bytes) }?;
        Ok(buffer)
    }

    /// Copies bytes of the host to a slice.
    ///
    /// # Panics
    /// If the slice is of another size.
    ///
    /// # Errors
    /// If the card does not answer.
    pub fn write(&self, to: Slice, bytes: &[u8]) -> Result<()> {
        assert_eq!(to.bytes(), bytes.len() as u64, "bytes");
        // SAFETY: the slice has as many bytes.
        unsafe { self.0.machine.upload(to.pointer(), bytes) }
    }

    /// The content of a slice.
    ///
    /// # Errors
    /// If the card does not answer, or work before failed.
    pub fn download(&self, slice: Slice) -> Result<Vec<u8>> {
        let mut bytes = vec![0; slice.bytes() as usize];
        // SAFETY: the slice has as many bytes.
        unsafe { self.0.machine.download(slice.pointer(), &mut bytes) }?;
        Ok(bytes)
    }

    /// Sets every byte of a slice.
    ///
    /// # Errors
    /// If the card does not answer.
    pub fn fill(&self, slice: Slice, value: u8) -> Result<()> {
        // SAFETY: the slice's bytes are allocated.
        unsafe { self.0.machine.fill(slice.pointer(), slice.bytes(), value) }
    }

    /// What it holds.
    pub fn stats(&self) -> Stats {
        self.lock().stats
    }

    /// Starts a new measurement of the peaks.
    pub fn reset_peak(&self) {
        let stats = &mut self.lock().stats;
        stats.held_bytes_peak = stats.held_bytes;
        stats.live_bytes_peak = stats.live_bytes;
    }

    /// Another budget. What is held beyond it goes back to the driver as it becomes free.
    pub fn set_budget(&self, budget_bytes: Option<u64>) {
        let mut state = self.lock();
        state.budget_bytes = budget_bytes;
        if budget_bytes.is_some_and(|most| state.stats.held_bytes > most) {
            self.release_free(&mut state);
        }
    }

    /// The most of the host's memory that may be pinned from now on; all that the host gives where nothing is said.
    pub fn set_pinned_max(&self, bytes: Option<u64>) {
        self.lock().pinned_bytes_max = bytes;
    }

    /// Pinned memory of the host, if so much may be taken.
    pub(super) fn pinned(&self, bytes: usize) -> Option<PinnedBuffer> {
        let mut state = self.lock();
        let after = state.stats.pinned_bytes + bytes as u64;
        if state.pinned_bytes_max.is_some_and(|most| after > most) {
            return None;
        }
        match self.0.machine.pinned(bytes) {
            Ok(memory) => {
                state.stats.pinned_bytes = after;
                Some(memory)
            }
            Err(error) => {
                // What is there already stays; no more is asked for.
                state.pinned_bytes_max = Some(state.stats.pinned_bytes);
                tracing::info!("weights that are swapped are read where they lie: {error}");
                None
            }
        }
    }

    /// So many pinned bytes went back.
    pub(super) fn unpinned(&self, bytes: usize) {
        self.lock().stats.pinned_bytes -= bytes as u64;
    }

    /// Gives idle segments back to the driver: between the stages of a job, and after it.
    pub fn release_idle(&self) {
        self.release_free(&mut self.lock());
    }

    fn grow(&self, state: &mut State, wanted: u64) -> Result<()> {
        let bytes = segment_bytes(wanted);
        let over = |state: &State| state.budget_bytes.is_some_and(|most| state.stats.held_bytes + bytes > most);
        if over(state) {
            self.release_free(state);
        }
        if over(state) {
            return Err(self.refuse(state, wanted));
        }
        let segment = match self.0.machine.allocate(bytes) {
            Err(error) if error.is_out_of_memory() => {
                self.release_free(state);
                self.0.machine.allocate(bytes)
            }
            other => other,
        };
        match segment {
            Ok(pointer) => {
                state.blocks.add_segment(pointer.0, bytes, wanted <= SMALL_BYTES_MAX);
                let stats = &mut state.stats;
                stats.held_bytes += bytes;
                stats.held_bytes_peak = stats.held_bytes_peak.max(stats.held_bytes);
                Ok(())
            }
            Err(error) if error.is_out_of_memory() => Err(self.refuse(state, wanted)),
            Err(error) => Err(error),
        }
    }

    fn release_free(&self, state: &mut State) {
        for (address, bytes) in state.blocks.remove_free_segments() {
            // SAFETY: a segment that the machine gave, no block of which is in use.
            unsafe { self.0.machine.release(Pointer(address), bytes) };
            state.stats.held_bytes -= bytes;
        }
    }

    fn refuse(&self, state: &mut State, asked_bytes: u64) -> Error {
        state.stats.refused_count += 1;
        Error::OutOfMemory {
            asked_bytes,
            live_bytes: state.stats.live_bytes,
            idle_bytes: state.stats.held_bytes - state.stats.live_bytes,
            budget_bytes: state.budget_bytes,
            free_bytes: self.0.machine.free_bytes().unwrap_or(0),
            total_bytes: self.0.machine.properties().total_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // No buffer is left: each holds its pool.
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (address, bytes) in state.blocks.remove_free_segments() {
            // SAFETY: a segment that the machine gave, no block of which is in use.
            unsafe { self.machine.release(Pointer(address), bytes) };
        }
    }
}

impl Buffer {
    /// Bytes that were asked for.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All of it.
    pub fn slice(&self) -> Slice<'_> {
        // SAFETY: allocated as long as `self`.
        unsafe { Slice::from_raw(self.pointer, self.bytes) }
    }

    /// Its pool.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        let taken = state.blocks.bytes_at(self.pointer.0);
        state.blocks.give_back(self.pointer.0);
        state.stats.live_bytes -= taken;
        state.stats.buffer_count -= 1;
        if state.budget_bytes.is_some_and(|most| state.stats.held_bytes > most) {
            self.pool.release_free(&mut state);
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {:?}", self.bytes, self.pointer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::compile::Source;
    use crate::machine::{Arguments, Properties, Shape, TensorMap, TileShape};

    /// A card that has memory and nothing else.
    struct OnlyMemory {
        properties: Properties,
        state: Mutex<(u64, u64)>,
    }

    impl OnlyMemory {
        fn pool(total_bytes: u64, budget_bytes: Option<u64>) -> (Arc<Self>, Pool) {
            let properties = Properties {
                name: "memory".into(),
                arch: Arch::SM_80,
                processors: 1,
                total_bytes,
                shared_bytes_max: 0,
                cache_bytes: 0,
            };
            let card = Arc::new(Self { properties, state: Mutex::new((0, 0x1_0000_0000)) });
            (card.clone(), Pool::new(card, budget_bytes))
        }

        fn used(&self) -> u64 {
            self.state.lock().unwrap().0
        }
    }

    impl Machine for OnlyMemory {
        fn properties(&self) -> &Properties {
            &self.properties
        }
        fn allocate(&self, bytes: u64) -> Result<Pointer> {
            let (used, next) = &mut *self.state.lock().unwrap();
            if *used + bytes > self.properties.total_bytes {
                return Err(Error::OutOfMemory {
                    asked_bytes: bytes,
                    live_bytes: 0,
                    idle_bytes: 0,
                    budget_bytes: None,
                    free_bytes: 0,
                    total_bytes: self.properties.total_bytes,
                });
            }
            *used += bytes;
            *next += bytes;
            Ok(Pointer(*next - bytes))
        }
        unsafe fn release(&self, _: Pointer, bytes: u64) {
            self.state.lock().unwrap().0 -= bytes;
        }
        fn free_bytes(&self) -> Result<u64> {
            Ok(self.properties.total_bytes - self.used())
        }
        unsafe fn upload(&self, _: Pointer, _: &[u8]) -> Result<()> {
            unreachable!()
        }
        unsafe fn download(&self, _: Pointer, _: &mut [u8]) -> Result<()> {
            unreachable!()
        }
        unsafe fn fill(&self, _: Pointer, _: u64, _: u8) -> Result<()> {
            unreachable!()
        }
        unsafe fn launch(&self, _: &Source, _: Shape, _: &Arguments) -> Result<()> {
            unreachable!()
        }
        fn tensor_map(&self, _: Pointer, _: &TileShape) -> Result<TensorMap> {
            unreachable!()
        }
        fn synchronize(&self) -> Result<()> {
            Ok(())
        }
    }

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_budget_is_kept_and_refusals_are_values() {
        let (card, pool) = OnlyMemory::pool(1000 * MIB, Some(100 * MIB));
        let a = pool.allocate(60 * MIB).unwrap();
        let error = pool.allocate(60 * MIB).unwrap_err();
        let text = "no room on the card for 60.0 MiB: 60.0 MiB in use, 0 B kept for reuse, budget 100 MiB, \
                    940 MiB of 0.98 GiB free on the card";
        assert_eq!(error.to_string(), text);
        assert!(error.is_out_of_memory());
        drop(a);
        assert_eq!(pool.stats().held_bytes, 60 * MIB, "kept for reuse");
        // What is idle makes room for what is asked.
        let b = pool.allocate(90 * MIB).unwrap();
        assert_eq!((card.used(), pool.stats().held_bytes_peak), (90 * MIB, 90 * MIB));
        pool.set_budget(Some(50 * MIB));
        drop(b);
        assert_eq!((card.used(), pool.stats().held_bytes), (0, 0), "over the new budget");
        assert_eq!(pool.stats().refused_count, 1);
    }

    #[test]
    fn a_full_card_gets_back_what_is_idle_before_it_refuses() {
        let (card, pool) = OnlyMemory::pool(100 * MIB, None);
        drop(pool.allocate(70 * MIB).unwrap());
        let _b = pool.allocate(80 * MIB).unwrap();
        assert_eq!(card.used(), 80 * MIB);
        assert!(pool.allocate(30 * MIB).unwrap_err().is_out_of_memory());
    }

    #[test]
    fn many_buffers_leave_nothing() {
        let (card, pool) = OnlyMemory::pool(1000 * MIB, None);
        for round in 0..50u64 {
            let buffers: Vec<Buffer> =
                (0..40).map(|i| pool.allocate((round * 37 + i * 9973) % 97 * 30_000 + 1).unwrap()).collect();
            for (i, buffer) in buffers.iter().enumerate() {
                let end = buffer.pointer.0 + buffer.bytes;
                let apart =
                    |other: &Buffer| other.pointer.0 >= end || other.pointer.0 + other.bytes <= buffer.pointer.0;
                assert!(buffers[i + 1..].iter().all(apart), "buffers lie apart");
                assert_eq!(buffer.pointer.0 % 256, 0);
            }
        }
        let stats = pool.stats();
        assert_eq!((stats.live_bytes, stats.buffer_count), (0, 0));
        assert!(stats.held_bytes_peak < 2 * stats.live_bytes_peak, "{stats:?}");
        pool.release_idle();
        assert_eq!((card.used(), pool.stats().held_bytes), (0, 0));
    }
}
