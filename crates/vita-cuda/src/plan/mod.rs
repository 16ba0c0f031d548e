//! What stays on the card and what streams to it, decided before a stage from sizes alone. No card is needed here.
//!
//! A network is blocks that run in turn, and the rest of it. A block either stays on the card, or lies in the host's memory
//! and is copied while the block before it computes; then two blocks' room is enough for all that stream.

mod network;
mod tile;

pub use network::{Network, Placement};
pub use tile::{Tile, TileWork};

/// Kept free: the context's own memory, kernels, library workspaces, and what cutting blocks wastes.
pub const RESERVE_BYTES: u64 = 512 << 20;
