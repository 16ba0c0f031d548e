//! Memory of a card: one pool with a budget, buffers that return to it when dropped, and its counters.

mod blocks;
mod pool;
mod slice;
mod stream;

pub use pool::{Buffer, Pool, Stats};
pub use slice::Slice;
pub use stream::BlockStream;
