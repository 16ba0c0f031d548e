//! A card, behind a trait: what ops and the self-test need of one, so that the same code runs on something that
//! is no card.

mod arguments;
mod gpu;
mod host;
mod lane;

use std::any::Any;
use std::fmt;

pub use arguments::{Argument, Arguments, Slot, TensorMap};
pub use gpu::{Driver, Gpu};
pub use host::PinnedBuffer;

use crate::arch::Arch;
use crate::compile::Source;
use crate::error::Result;

/// What a card says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Properties {
    /// Such as `NVIDIA H200`.
    pub name: String,
    /// Its generation.
    pub arch: Arch,
    /// Streaming multiprocessors.
    pub processors: u32,
    /// All of its memory.
    pub total_bytes: u64,
    /// Most shared memory of one block.
    pub shared_bytes_max: u32,
    /// Its last cache.
    pub cache_bytes: u64,
}

/// An address on a card.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(pub u64);

impl Pointer {
    /// So many bytes further on.
    #[must_use]
    pub fn after(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// How many threads run a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub threads: u32,
    /// Dynamic shared memory of a block, in bytes.
    pub shared_bytes: u32,
}

impl Shape {
    /// Blocks along x alone, no dynamic shared memory.
    pub fn new(blocks: u32, threads: u32) -> Self {
        Self { grid: [blocks, 1, 1], threads, shared_bytes: 0 }
    }
}

/// A tile that the copy engine fetches: a box of a tensor of 16-bit elements, spread over shared memory in
/// runs of 128 bytes whose 16-byte pieces are permuted (the engine's 128-byte swizzle).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileShape {
    /// The tensor's sizes in elements, innermost first; as many as are used.
    pub sizes: [u64; 4],
    /// Bytes from one entry to the next on all axes but the innermost; multiples of 16.
    pub strides_bytes: [u64; 3],
    /// The box's sizes in elements, innermost first; the innermost is at most 64.
    pub tile: [u32; 4],
    /// How many axes are used, 2 to 4.
    pub axes: u32,
}

/// The end of a copy that runs beside the work, as its machine knows it.
pub struct Copied(Box<dyn Any + Send + Sync>);

impl Copied {
    /// Of what the machine itself will look for.
    pub fn new(end: impl Any + Send + Sync) -> Self {
        Self(Box::new(end))
    }

    /// What it was made of, if that was a `T`.
    pub fn end<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

/// A card, or what stands in for one. Work runs in the order it was given; only [`Self::download`] and
/// [`Self::synchronize`] wait for it.
pub trait Machine: Send + Sync {
    /// What it says of itself.
    fn properties(&self) -> &Properties;

    /// New memory, aligned to 256 bytes at least; most callers want [`crate::memory::Pool`].
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where there is no room.
    fn allocate(&self, bytes: u64) -> Result<Pointer>;

    /// Gives memory back that [`Self::allocate`] gave, once the work before is done.
    ///
    /// # Safety
    /// Given once, and not used by work that comes later.
    unsafe fn release(&self, pointer: Pointer, bytes: u64);

    /// Bytes free on the card, whoever holds the rest.
    ///
    /// # Errors
    /// If the card does not answer.
    fn free_bytes(&self) -> Result<u64>;

    /// Copies to the card.
    ///
    /// # Safety
    /// The bytes lie in allocated memory.
    ///
    /// # Errors
    /// If the card does not answer.
    unsafe fn upload(&self, to: Pointer, bytes: &[u8]) -> Result<()>;

    /// Copies from the card, when all work before is done.
    ///
    /// # Safety
    /// The bytes lie in allocated memory.
    ///
    /// # Errors
    /// If the card does not answer, or work before it failed.
    unsafe fn download(&self, from: Pointer, bytes: &mut [u8]) -> Result<()>;

    /// Sets every byte.
    ///
    /// # Safety
    /// The bytes lie in allocated memory.
    ///
    /// # Errors
    /// If the card does not answer.
    unsafe fn fill(&self, at: Pointer, bytes: u64, value: u8) -> Result<()>;

    /// Runs a kernel.
    ///
    /// # Safety
    /// The arguments are those that the kernel declares, and it stays within what they point to.
    ///
    /// # Errors
    /// If it does not compile, or the card does not answer.
    unsafe fn launch(&self, source: &Source, shape: Shape, arguments: &Arguments) -> Result<()>;

    /// Memory of the host from which copies run beside the work.
    ///
    /// # Errors
    /// If the host has no room that may be pinned.
    fn pinned(&self, bytes: usize) -> Result<PinnedBuffer> {
        Ok(PinnedBuffer::plain(bytes))
    }

    /// Starts a copy to the card, after all work that was given so far and beside what is given later. A machine that
    /// has no second lane copies as work.
    ///
    /// # Safety
    /// The bytes lie in allocated memory, which no work uses that is given before [`Self::wait_for`]; neither that
    /// memory nor `from` is changed or dropped before the copy is done.
    ///
    /// # Errors
    /// If the card does not answer.
    unsafe fn copy_beside(&self, to: Pointer, from: &PinnedBuffer) -> Result<Copied> {
        // SAFETY: the caller's promise.
        unsafe { self.upload(to, from.as_slice()) }?;
        Ok(Copied::new(()))
    }

    /// Makes work that comes later wait for a copy.
    ///
    /// # Errors
    /// If the card does not answer.
    fn wait_for(&self, copied: &Copied) -> Result<()> {
        let _ = copied;
        Ok(())
    }

    /// Waits for all copies that run beside the work.
    ///
    /// # Errors
    /// If any of them failed.
    fn wait_for_copies(&self) -> Result<()> {
        Ok(())
    }

    /// What the copy engine must know of a tile; see [`TileShape`].
    ///
    /// # Errors
    /// If the card has no such engine, or the tile is none that it takes.
    fn tensor_map(&self, base: Pointer, tile: &TileShape) -> Result<TensorMap>;

    /// Waits for all work.
    ///
    /// # Errors
    /// If any of it failed.
    fn synchronize(&self) -> Result<()>;
}
