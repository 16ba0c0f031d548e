//! What the queue tells those who listen.

use std::sync::Arc;

use crate::{HistoryEntry, Job};

/// Something that happened. Of one job they come in the order `Started`, `Node`..., `Finished`,
/// `StatusChanged`, `Released`; the history holds the result before `Finished`. Where a worker is lost, `HandedOn`
/// stands for the last three, and all begins anew with another worker.
#[derive(Debug)]
pub enum QueueEvent<'a> {
    /// The number of pending and running prompts may have changed.
    StatusChanged {
        /// Pending and running prompts.
        remaining: usize,
    },
    /// A prompt begins.
    Started {
        /// The prompt.
        job: &'a Arc<Job>,
        /// When, in milliseconds since 1970.
        at_ms: u64,
    },
    /// Something happened in the run of a prompt.
    Node {
        /// The prompt.
        job: &'a Arc<Job>,
        /// When, in milliseconds since 1970; the same as in the history for what is kept there.
        at_ms: u64,
        /// What.
        event: &'a vita_graph::Event<'a>,
    },
    /// A prompt ended, well or not; the last of the entry's messages says how and when.
    Finished {
        /// The prompt.
        job: &'a Arc<Job>,
        /// Its place in the history.
        entry: &'a Arc<HistoryEntry>,
    },
    /// The worker is done with a prompt, and the status was told.
    Released {
        /// The prompt.
        job: &'a Arc<Job>,
    },
    /// A prompt went back to the queue, before all others, because its worker was lost.
    HandedOn {
        /// The prompt.
        job: &'a Arc<Job>,
    },
    /// A worker was lost and runs nothing more.
    WorkerLost {
        /// Why.
        reason: &'a str,
        /// How many are left.
        left: usize,
    },
    /// The database cannot be written; told once until it can be again.
    Trouble {
        /// What was wrong and what the queue does about it.
        message: &'a str,
    },
    /// The database can be written again.
    Recovered,
}

/// Listens to a queue. Called on the keeper's and the workers' threads: a slow subscriber slows them, and one
/// that calls a changing method of the queue from here waits for itself.
pub trait Subscriber: Send + Sync {
    /// Takes one event.
    fn on_event(&self, event: &QueueEvent<'_>);

    /// Whether [`vita_graph::Event::Preview`] should be made for this prompt.
    fn wants_previews(&self, job: &Job) -> bool {
        let _ = job;
        false
    }
}

impl<F: Fn(&QueueEvent<'_>) + Send + Sync> Subscriber for F {
    fn on_event(&self, event: &QueueEvent<'_>) {
        self(event);
    }
}
