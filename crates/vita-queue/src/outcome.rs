//! How a run of a prompt ended.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What a run left behind.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What nodes have for the page, by node id, also where the run did not end well.
    pub outputs: IndexMap<String, Json>,
    /// How it ended.
    pub end: End,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum End {
    /// All outputs are there.
    Success,
    /// Someone asked it to stop.
    Interrupted(Interruption),
    /// A node failed.
    Failed(Failure),
}

/// Where a run was stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interruption {
    /// The node that was to run or ran; empty where there was none.
    pub node_id: String,
    /// Its class.
    pub node_type: String,
    /// Ids of the nodes that had run.
    pub executed: Vec<String>,
}

/// What failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The node; empty where it was none.
    pub node_id: String,
    /// Its class.
    pub node_type: String,
    /// Ids of the nodes that had run.
    pub executed: Vec<String>,
    /// What was wrong.
    pub exception_message: String,
    /// Its kind, `ValueError`.
    pub exception_type: String,
    /// Where, line by line.
    pub traceback: Vec<String>,
    /// The node's inputs: their values as text.
    pub current_inputs: IndexMap<String, Vec<String>>,
    /// Ids of the nodes whose outputs were there.
    pub current_outputs: Vec<String>,
}

impl Failure {
    /// A failure of the prompt as a whole.
    pub fn of_prompt(kind: &str, message: impl Into<String>) -> Self {
        Self { exception_type: kind.into(), exception_message: message.into(), ..Self::default() }
    }
}

impl Outcome {
    /// A run that failed before any node did anything.
    pub fn failed(failure: Failure) -> Self {
        Self { outputs: IndexMap::new(), end: End::Failed(failure) }
    }
}
