//! A finished prompt.

use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use vita_graph::{End, Failure, Outcome};

use crate::stored::FailureTwin;
use crate::{Job, JobStatus};

/// A prompt that ran, and what became of it.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// The prompt as it was queued.
    pub job: Arc<Job>,
    /// What nodes have for the page, by node id.
    pub outputs: IndexMap<String, Json>,
    /// What clients were told of it, in order: a start, what was cached, and the end.
    pub messages: Vec<Message>,
}

/// What clients were told of a prompt and can read again in the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// `execution_start`
    Start {
        /// Milliseconds since 1970.
        timestamp_ms: u64,
    },
    /// `execution_cached`
    Cached {
        /// Ids of the nodes found in the cache.
        nodes: Vec<String>,
        /// Milliseconds since 1970.
        timestamp_ms: u64,
    },
    /// `execution_success`
    Success {
        /// Milliseconds since 1970.
        timestamp_ms: u64,
    },
    /// `execution_error`
    Error {
        /// What failed.
        #[serde(with = "FailureTwin")]
        failure: Failure,
        /// Milliseconds since 1970.
        timestamp_ms: u64,
    },
    /// `execution_interrupted`
    Interrupted {
        /// The node that ran or was about to.
        node: String,
        /// Its class.
        class: String,
        /// Nodes that ran to their end, in order.
        executed: Vec<String>,
        /// Milliseconds since 1970.
        timestamp_ms: u64,
    },
}

/// Where on the page a node's output belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeMeta<'a> {
    /// The node.
    pub node_id: &'a str,
    /// The node that shows it.
    pub display_node: &'a str,
    /// The node that made it while running, if any.
    pub parent_node: Option<&'a str>,
    /// The node in the workflow.
    pub real_node_id: &'a str,
}

/// Which part of the history, which is ordered by when prompts finished, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// At most so many; without an offset the newest.
    pub max_items: Option<usize>,
    /// Leave out so many of the oldest.
    pub offset: Option<usize>,
}

impl HistoryEntry {
    pub(crate) fn new(job: Arc<Job>, mut messages: Vec<Message>, outcome: Outcome, timestamp_ms: u64) -> Self {
        messages.push(match outcome.end {
            End::Success => Message::Success { timestamp_ms },
            End::Interrupted { node, class, executed } => Message::Interrupted { node, class, executed, timestamp_ms },
            End::Failed(failure) => Message::Error { failure, timestamp_ms },
        });
        Self { job, outputs: outcome.outputs, messages }
    }

    /// [`JobStatus::Completed`], [`JobStatus::Failed`] or [`JobStatus::Cancelled`].
    pub fn status(&self) -> JobStatus {
        match self.messages.last() {
            Some(Message::Success { .. }) => JobStatus::Completed,
            Some(Message::Interrupted { .. }) => JobStatus::Cancelled,
            _ => JobStatus::Failed,
        }
    }

    /// `success` or `error`, as ComfyUI has it: an interrupted prompt is an error.
    pub fn status_text(&self) -> &'static str {
        if self.completed() { "success" } else { "error" }
    }

    /// Whether all outputs are there.
    pub fn completed(&self) -> bool {
        self.status() == JobStatus::Completed
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        match self.messages.last() {
            Some(Message::Error { failure, .. }) => Some(failure),
            _ => None,
        }
    }

    /// When it began, in milliseconds since 1970.
    pub fn started_ms(&self) -> u64 {
        self.messages.first().map_or(0, Message::timestamp_ms)
    }

    /// When it ended, in milliseconds since 1970.
    pub fn ended_ms(&self) -> u64 {
        self.messages.last().map_or(0, Message::timestamp_ms)
    }

    /// Where on the page each output belongs.
    pub fn meta(&self) -> impl Iterator<Item = NodeMeta<'_>> {
        self.outputs.keys().map(|id| NodeMeta { node_id: id, display_node: id, parent_node: None, real_node_id: id })
    }
}

impl Message {
    /// When, in milliseconds since 1970.
    pub fn timestamp_ms(&self) -> u64 {
        match self {
            Self::Start { timestamp_ms }
            | Self::Cached { timestamp_ms, .. }
            | Self::Success { timestamp_ms }
            | Self::Error { timestamp_ms, .. }
            | Self::Interrupted { timestamp_ms, .. } => *timestamp_ms,
        }
    }
}
