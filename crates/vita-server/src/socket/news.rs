//! What the queue and the log tell, taken over from their threads to the teller's.

use std::sync::Arc;

use vita_graph::Event;
use vita_queue::{HistoryEntry, Job, QueueEvent};

use super::preview::Pixels;

/// Something to tell, owned.
pub(crate) enum News {
    /// The number of pending and running prompts.
    Status(usize),
    /// A prompt begins.
    Started { job: Arc<Job>, at_ms: u64 },
    /// What was found in the cache.
    Cached { job: Arc<Job>, at_ms: u64, nodes: Vec<String> },
    /// A node begins.
    Node { job: Arc<Job>, node: String },
    /// A node is `value` of `total` done.
    Progress { job: Arc<Job>, node: String, value: u64, total: u64 },
    /// A picture of what is not finished.
    Preview { job: Arc<Job>, node: String, pixels: Pixels },
    /// A line under a node.
    Text { job: Arc<Job>, node: String, text: String },
    /// A node has something for the page.
    Executed { job: Arc<Job>, node: String, ui: Option<serde_json::Value> },
    /// A node is done.
    NodeDone { job: Arc<Job>, node: String },
    /// A prompt ended.
    Ended { job: Arc<Job>, entry: Arc<HistoryEntry> },
    /// The worker is done with a prompt.
    Released { job: Arc<Job> },
    /// A prompt waits again, for another worker.
    HandedOn { job: Arc<Job> },
    /// A line for people.
    Log(crate::logs::LogEntry),
}

impl News {
    /// What the queue says, or nothing if nobody who connects needs to know.
    pub(crate) fn of(event: &QueueEvent<'_>) -> Option<Self> {
        Some(match event {
            QueueEvent::StatusChanged { remaining } => Self::Status(*remaining),
            QueueEvent::Started { job, at_ms } => Self::Started { job: Arc::clone(job), at_ms: *at_ms },
            QueueEvent::Node { job, at_ms, event } => return Some(Self::of_node(Arc::clone(job), *at_ms, event)),
            QueueEvent::Finished { job, entry } => Self::Ended { job: Arc::clone(job), entry: Arc::clone(entry) },
            QueueEvent::Released { job } => Self::Released { job: Arc::clone(job) },
            QueueEvent::HandedOn { job } => Self::HandedOn { job: Arc::clone(job) },
            QueueEvent::WorkerLost { .. } | QueueEvent::Trouble { .. } | QueueEvent::Recovered => return None,
        })
    }

    fn of_node(job: Arc<Job>, at_ms: u64, event: &Event<'_>) -> Self {
        match *event {
            Event::Cached(nodes) => Self::Cached { job, at_ms, nodes: nodes.to_vec() },
            Event::Started { node } => Self::Node { job, node: node.into() },
            Event::Progress { node, value, total } => Self::Progress { job, node: node.into(), value, total },
            Event::Preview { node, width, height, rgb } => {
                Self::Preview { job, node: node.into(), pixels: Pixels { width, height, rgb: rgb.to_vec() } }
            }
            Event::Text { node, text } => Self::Text { job, node: node.into(), text: text.into() },
            Event::Executed { node, ui, .. } => Self::Executed { job, node: node.into(), ui: ui.cloned() },
            Event::Finished { node } => Self::NodeDone { job, node: node.into() },
        }
    }
}
