//! A piece of a buffer.

use std::marker::PhantomData;

use crate::machine::Pointer;

/// Bytes on a card that something else keeps alive.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    pointer: Pointer,
    bytes: u64,
    keeper: PhantomData<&'a ()>,
}

impl<'a> Slice<'a> {
    /// Bytes that were not allocated by this crate's pool.
    ///
    /// # Safety
    /// They are allocated on the card as long as `'a`.
    pub unsafe fn from_raw(pointer: Pointer, bytes: u64) -> Self {
        Self { pointer, bytes, keeper: PhantomData }
    }

    /// Where it begins.
    pub fn pointer(self) -> Pointer {
        self.pointer
    }

    /// How many bytes it has.
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    /// `bytes` of it from `start` on.
    ///
    /// # Panics
    /// If it has not as many.
    #[must_use]
    pub fn part(self, start: u64, bytes: u64) -> Self {
        let end = start.checked_add(bytes).expect("bytes");
        assert!(end <= self.bytes, "bytes {start}..{end} of {}", self.bytes);
        Self { pointer: self.pointer.after(start), bytes, keeper: PhantomData }
    }
}
