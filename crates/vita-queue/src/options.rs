//! How a queue is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How a queue is opened.
#[derive(Clone)]
pub struct QueueOptions {
    /// The database file; its folder must exist. Two more files beside it, `-wal` and `-shm`, belong to it, and
    /// a `.lock` that keeps other processes out.
    pub path: PathBuf,
    /// Tells the time.
    pub clock: Clock,
    /// What an accepted prompt survives.
    pub durability: Durability,
    /// What the history is cut to.
    pub history_limit: HistoryLimit,
    /// How much of the newest history is held in memory; older entries are read from disk when asked for.
    pub history_memory_bytes: usize,
}

/// What an accepted prompt survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, however sudden. The last prompts may be lost when the power goes; the database
    /// stays whole even then.
    ProcessKill,
    /// Also the end of power: the disk has confirmed each prompt before it is accepted. It has not for what else
    /// happens: after a power cut the last prompts may run again, and the last ones deleted may be back.
    PowerLoss,
}

/// What the history is cut to, oldest entries first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryLimit {
    /// At most so many entries.
    pub count: Option<usize>,
    /// None that ended longer ago.
    pub age: Option<Duration>,
}
