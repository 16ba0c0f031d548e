//! How a run ended, and what it left.

use indexmap::IndexMap;
use serde_json::Value as Json;

/// What came of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What the page is told, by node: of nodes that ran and of outputs found in the cache, in that order.
    pub outputs: IndexMap<String, Json>,
    /// How it ended.
    pub end: End,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// All outputs are there.
    Success,
    /// Somebody asked it to stop.
    Interrupted {
        /// The node that was running or about to run.
        node: String,
        /// Its class.
        class: String,
        /// Nodes that ran to their end, in order.
        executed: Vec<String>,
    },
    /// A node failed.
    Failed(Failure),
}

/// What failed, and around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The node.
    pub node: String,
    /// Its class.
    pub class: String,
    /// A short name: what clients see as `exception_type`.
    pub kind: String,
    /// What was wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Where it happened, a line each.
    pub trace: Vec<String>,
    /// The values of the node's inputs; what JSON has no word for is named.
    pub current_inputs: IndexMap<String, Vec<Json>>,
    /// Nodes of the prompt that have results.
    pub current_outputs: Vec<String>,
    /// Nodes that ran to their end, in order.
    pub executed: Vec<String>,
}
