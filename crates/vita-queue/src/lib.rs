//! The prompt queue, its history and its workers, kept in SQLite. Knows no HTTP and no node.
//!
//! A [`Queue`] takes [`Submission`]s from any thread, keeps them in order, and hands the first one to each
//! [`Worker`] that has none, which runs it with the [`Runner`] it was given. What is accepted is on disk before
//! [`Queue::submit`] returns; what finished is in the history before anyone is told.
//!
//! One thread, the keeper, owns every change: it decides with the state in memory, commits to SQLite, and only
//! then changes the memory, so that memory never shows what a crash could take back. Where prompts are to outlive
//! the power, a second thread waits for the disk and answers the clients. Readers look at the memory
//! alone; only history entries older than [`QueueOptions::history_memory_bytes`] are read from disk.
//! Subscribers are called on the keeper's and the workers' threads and must return soon.
//!
//! Time arrives as a closure; ids and random numbers are the caller's business.
#![forbid(unsafe_code)]

mod error;
mod event;
mod extra_data;
mod history;
mod job;
mod keeper;
mod listing;
mod options;
mod probe;
mod queue;
mod shared;
mod state;
mod store;
mod stored;
mod syncer;
mod worker;

pub use error::QueueError;
pub use event::{QueueEvent, Subscriber};
pub use history::{HistoryEntry, HistoryQuery, Message, NodeMeta};
pub use job::{Job, JsonText, Place, Secrets, Submission, Ticket};
pub use listing::{JobDetail, JobStatus, JobSummary, JobsPage, JobsQuery, Preview, ResultSummary, SortBy};
pub use options::{Clock, Durability, HistoryLimit, QueueOptions};
pub use queue::{Queue, Snapshot};
pub use worker::{Runner, Step, Worker, WorkerThread};

#[cfg(test)]
mod tests;
