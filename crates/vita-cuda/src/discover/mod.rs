//! Where the driver and NVIDIA's libraries are: asked of the system's loader first, then looked for in
//! the folders of a CUDA toolkit and of pip's packages.

mod library;
mod search;

pub use library::{CudaVersion, Library};
pub use search::{Found, Origin, Search};
