//! Kernels from source to machine code: NVRTC, and a folder that keeps what it made.

mod cache;
mod cubin;
mod nvrtc;
mod source;

pub use cache::{Cache, CacheKey};
pub use cubin::{KernelFacts, kernel_facts};
pub use nvrtc::Compiler;
pub use source::Source;

use crate::arch::Arch;

/// What to compile for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Machine code of one generation.
    Machine(Arch),
    /// Code that the driver turns into machine code of this generation or a newer one.
    Virtual(Arch),
}

impl Target {
    /// As the compiler calls it.
    pub fn name(self) -> String {
        match self {
            Self::Machine(arch) => arch.machine_code(),
            Self::Virtual(arch) => arch.virtual_code(),
        }
    }
}
