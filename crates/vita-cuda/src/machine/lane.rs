//! Copies that run beside the work: the weights of the next block while this one computes.

use std::sync::Arc;

use cudarc::driver::{result, sys};

use super::gpu::{Context, driver};
use super::{PinnedBuffer, Pointer};
use crate::error::Result;

/// A second stream for copies.
pub(super) struct CopyLane {
    stream: sys::CUstream,
}

// SAFETY: a stream may be used from any thread; each call binds the context first.
unsafe impl Send for CopyLane {}
// SAFETY: as above; the driver serialises calls on one stream.
unsafe impl Sync for CopyLane {}

/// A point in a stream: the end of a copy, or of the work so far.
pub(super) struct Mark {
    context: Arc<Context>,
    event: sys::CUevent,
}

// SAFETY: an event may be used from any thread; each call binds the context first.
unsafe impl Send for Mark {}
// SAFETY: as above.
unsafe impl Sync for Mark {}

impl CopyLane {
    pub fn new() -> Result<Self> {
        let stream = driver("cuStreamCreate", result::stream::create(result::stream::StreamKind::NonBlocking))?;
        Ok(Self { stream })
    }

    /// Ends the stream; the context is current.
    pub fn destroy(&self) {
        // SAFETY: created in `new`, destroyed once, by the card that owns it.
        let _ = unsafe { result::stream::destroy(self.stream) };
    }

    /// Waits for all copies.
    pub fn synchronize(&self, context: &Arc<Context>) -> Result<()> {
        context.bind()?;
        // SAFETY: the stream is live.
        driver("cuStreamSynchronize", unsafe { result::stream::synchronize(self.stream) })
    }

    /// Copies after the mark: the last work that reads what the copy overwrites.
    ///
    /// # Safety
    /// The bytes lie in allocated memory of the card; `from` is not changed until the copy is done.
    pub unsafe fn copy(&self, context: &Arc<Context>, to: Pointer, from: &PinnedBuffer, after: &Mark) -> Result<Mark> {
        context.bind()?;
        after.hold_back(self.stream)?;
        // SAFETY: the caller's promise; pinned memory stays where it is.
        let copied = unsafe { result::memcpy_htod_async(to.0, from.as_slice(), self.stream) };
        driver("cuMemcpyHtoDAsync", copied)?;
        Mark::record(context, self.stream)
    }
}

impl Mark {
    pub fn record(context: &Arc<Context>, stream: sys::CUstream) -> Result<Self> {
        let event = driver("cuEventCreate", result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING))?;
        let this = Self { context: context.clone(), event };
        // SAFETY: both are live.
        driver("cuEventRecord", unsafe { result::event::record(this.event, stream) })?;
        Ok(this)
    }

    /// Makes a stream's later work wait.
    pub fn hold_back(&self, stream: sys::CUstream) -> Result<()> {
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: both are live.
        driver("cuStreamWaitEvent", unsafe { result::stream::wait_event(stream, self.event, flags) })
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: created here, destroyed once. The driver keeps what is still waited for.
            let _ = unsafe { result::event::destroy(self.event) };
        }
    }
}
