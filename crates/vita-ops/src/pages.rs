//! Pages of mapped files, asked for before they are needed.

/// Asks the system to read the pages that bytes lie in, where they lie in a mapped file; it does so while this goes on.
/// Bytes anywhere else stay as they are.
pub(crate) fn read_ahead(bytes: &[u8]) {
    #[cfg(unix)]
    {
        use rustix::mm::{Advice, madvise};

        let page = rustix::param::page_size();
        let start = bytes.as_ptr().addr();
        let first = start - start % page;
        let from = bytes.as_ptr().wrapping_sub(start - first).cast_mut();
        // SAFETY: this advice changes no content, whatever lies at the address. A refusal leaves everything as it was.
        let _ = unsafe { madvise(from.cast(), start - first + bytes.len(), Advice::WillNeed) };
    }
    #[cfg(not(unix))]
    let _ = bytes;
}
