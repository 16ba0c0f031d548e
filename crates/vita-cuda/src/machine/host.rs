//! Memory of the host that the card reads by itself.

use std::slice;
use std::sync::Arc;

use cudarc::driver::result;

use super::gpu::{Context, driver};
use crate::error::Result;

/// Pinned memory: copies from it run at the bus's full rate, and beside the work.
pub struct PinnedBuffer(Memory);

enum Memory {
    Pinned(Pinned),
    Plain(Box<[u8]>),
}

struct Pinned {
    context: Arc<Context>,
    pointer: *mut u8,
    bytes: usize,
}

// SAFETY: plain memory.
unsafe impl Send for Pinned {}
// SAFETY: shared references only read.
unsafe impl Sync for Pinned {}

impl PinnedBuffer {
    /// Memory that is not pinned: for machines whose copies are work like any other.
    pub fn plain(bytes: usize) -> Self {
        Self(Memory::Plain(vec![0; bytes].into()))
    }

    pub(super) fn new(context: &Arc<Context>, bytes: usize) -> Result<Self> {
        context.bind()?;
        // SAFETY: the memory is filled before it can be read.
        let pointer = driver("cuMemHostAlloc", unsafe { result::malloc_host(bytes.max(1), 0) })?.cast::<u8>();
        // SAFETY: as many bytes as were asked for.
        unsafe { pointer.write_bytes(0, bytes) };
        Ok(Self(Memory::Pinned(Pinned { context: context.clone(), pointer, bytes })))
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            // SAFETY: allocated and filled in `new`.
            Memory::Pinned(pinned) => unsafe { slice::from_raw_parts(pinned.pointer, pinned.bytes) },
            Memory::Plain(bytes) => bytes,
        }
    }

    /// Its bytes, for filling. No copy from it may be under way.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.0 {
            // SAFETY: allocated and filled in `new`, and borrowed alone.
            Memory::Pinned(pinned) => unsafe { slice::from_raw_parts_mut(pinned.pointer, pinned.bytes) },
            Memory::Plain(bytes) => bytes,
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: allocated by the driver in `new`, freed once. The driver waits for copies from it.
            let _ = unsafe { result::free_host(self.pointer.cast()) };
        }
    }
}
