//! What can go wrong with the queue.

use std::path::PathBuf;

use vita_base::Hint;

/// Why the queue could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueueError {
    /// The database cannot be opened, or is not one.
    #[error("cannot open the queue in `{path}`: {reason}")]
    Open {
        /// The database file.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
    /// Another process has it open.
    #[error("the queue in `{path}` is in use by another process")]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The database was written by a newer program.
    #[error("the queue in `{path}` has format {found}; this program knows formats up to {known}")]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known.
        known: i64,
    },
    /// The database cannot be written; nothing was changed.
    #[error("the queue could not be written, so nothing was changed: {reason}")]
    Write {
        /// What was wrong.
        reason: String,
        /// Whether the disk is full.
        full: bool,
    },
    /// The prompt is queued, but the disk did not confirm that it holds it.
    #[error("the prompt is queued, but the disk does not confirm it: {reason}")]
    Flush {
        /// What was wrong.
        reason: String,
    },
    /// An old history entry cannot be read.
    #[error("the history could not be read: {reason}")]
    Read {
        /// What was wrong.
        reason: String,
    },
    /// A prompt without an id.
    #[error("the prompt has an empty id")]
    EmptyId,
    /// An explicit number that is infinite or not a number.
    #[error("the prompt's number {0} is not finite")]
    Number(f64),
    /// Every worker was lost.
    #[error("nothing is left to run prompts: {reason}")]
    NoWorker {
        /// Why the last one was.
        reason: String,
    },
    /// The queue is being closed.
    #[error("the queue is closed")]
    Closed,
}

impl Hint for QueueError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Open { .. } => "check that the folder exists, is writable, and is on a local disk",
            Self::InUse { .. } => "stop the other server, or give this one another user directory",
            Self::Newer { .. } => "use the newer program, or move the file away to start with an empty queue",
            Self::Write { full: true, .. } => "free some space on the disk and try again",
            Self::Write { full: false, .. } => "check that the disk is writable and try again",
            Self::Flush { .. } => "check the disk; the prompt runs unless the power goes",
            Self::Read { .. } => "the file may be damaged; move it away to start with an empty queue",
            Self::EmptyId => "leave the id out to have one made",
            Self::Number(_) => "give a finite number, or none",
            Self::NoWorker { .. } => "start the server again; what waits in the queue runs then",
            Self::Closed => "try again when the server is back",
        };
        Some(hint.into())
    }
}
