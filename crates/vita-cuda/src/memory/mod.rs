//! Memory of a card: one pool with a budget, buffers that return to it when dropped, and its counters; weights that
//! wait on the host and are copied beside the work.

mod blocks;
mod freight;
mod pool;
mod slice;

pub use freight::{Freight, Journey, Manifest};
pub use pool::{Buffer, Pool, Stats};
pub use slice::Slice;
