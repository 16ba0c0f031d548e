//! Memory of the host that the card reads by itself.

use std::slice;
use std::sync::Arc;

use cudarc::driver::result;

use super::gpu::{Context, driver};
use crate::error::Result;

/// Pinned memory: copies from it run at the bus's full rate, and beside the work.
pub struct PinnedBuffer {
    context: Arc<Context>,
    pointer: *mut u8,
    bytes: usize,
}

// SAFETY: plain memory.
unsafe impl Send for PinnedBuffer {}
// SAFETY: shared references only read.
unsafe impl Sync for PinnedBuffer {}

impl PinnedBuffer {
    pub(super) fn new(context: &Arc<Context>, bytes: usize) -> Result<Self> {
        context.bind()?;
        // SAFETY: the memory is filled before it can be read.
        let pointer = driver("cuMemHostAlloc", unsafe { result::malloc_host(bytes.max(1), 0) })?.cast::<u8>();
        // SAFETY: as many bytes as were asked for.
        unsafe { pointer.write_bytes(0, bytes) };
        Ok(Self { context: context.clone(), pointer, bytes })
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: allocated and filled in `new`.
        unsafe { slice::from_raw_parts(self.pointer, self.bytes) }
    }

    /// Its bytes, for filling. No copy from it may be under way.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: allocated and filled in `new`, and borrowed alone.
        unsafe { slice::from_raw_parts_mut(self.pointer, self.bytes) }
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: allocated by the driver in `new`, freed once. The driver waits for copies from it.
            let _ = unsafe { result::free_host(self.pointer.cast()) };
        }
    }
}
