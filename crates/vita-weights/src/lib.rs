//! Checkpoints as users have them -> tensors under canonical names.
//!
//! - [`Checkpoint::open`] maps a file (safetensors, one or several; GGUF; torch's zipped `.pth`) and reads
//!   its header; tensors are ranges of the map and are read when they are used.
//!   [`Checkpoint::from_bytes`] does the same in memory, [`Checkpoint::open_component`] in folders of diffusers.
//! - [`Checkpoint::weights`] finds a network in it, whatever dialect names its tensors (ComfyUI,
//!   kijai, official, diffusers; prefixes; plain and scaled fp8), and gives them to a loader as
//!   [`Weights`], scope by scope, under one naming a network ([`Role`] says which).
//! - [`Lora::of`] reads what a LoRA changes of a transformer, by the same names.
//! - [`Conversion`] writes a checkpoint in another dialect or with fewer bits, tensor by tensor.
//! - [`identify`] says what a file is; errors use it to say what a file seems to be.
//!
//! Files are untrusted: every number in them is checked, and what is wrong is an [`Error`] with a
//! hint, never a panic. Values are not looked at: a NaN in the weights is loaded as it is.
//!
//! The crate starts no threads and holds no state; everything may be shared between threads.
#![deny(unsafe_code)] // `mmap.rs` alone allows it.

mod checkpoint;
mod convert;
mod error;
mod fp8;
mod gguf;
mod identify;
mod looks;
mod lora;
mod mmap;
mod naming;
mod networks;
mod pth;
mod role;
mod safetensors;
mod sharded;
mod vocabulary;
mod weights;
mod write;

pub use checkpoint::{Checkpoint, ElementType, Stored};
pub use convert::{Conversion, Dialect, Numbers};
pub use error::{Error, ErrorKind, HeaderProblem, Result};
pub use identify::{Identity, Kind, Part, TypeCount, identify};
pub use looks::Looks;
pub use lora::{Lora, LowRank, Patch};
pub use networks::Layout;
pub use networks::clip_vision::ClipVisionFacts;
pub use networks::dit::{DitFacts, DitVariant};
pub use networks::umt5::Umt5Facts;
pub use networks::vae::{VaeFacts, VaeGeneration};
pub use role::Role;
pub use weights::{Weight, Weights};
pub use write::write_safetensors;
