//! How values of the graph are written to disk: twins that serde knows.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;
use vita_graph::{End, Failure, Outcome};

/// For fields that hold a failure.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Failure")]
pub struct FailureTwin {
    node: String,
    class: String,
    kind: String,
    message: String,
    hint: Option<String>,
    trace: Vec<String>,
    current_inputs: IndexMap<String, Vec<Json>>,
    current_outputs: Vec<String>,
    executed: Vec<String>,
}

/// For fields that may hold one.
pub mod option {
    use super::*;

    #[derive(Serialize)]
    struct Written<'a>(#[serde(with = "FailureTwin")] &'a Failure);

    #[derive(Deserialize)]
    struct Read(#[serde(with = "FailureTwin")] Failure);

    pub fn serialize<S: Serializer>(failure: &Option<Failure>, serializer: S) -> Result<S::Ok, S::Error> {
        failure.as_ref().map(Written).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Failure>, D::Error> {
        Ok(Option::<Read>::deserialize(deserializer)?.map(|read| read.0))
    }
}

/// An outcome without outputs: the prompt as a whole failed rather than a node.
pub fn failed_prompt(kind: &str, message: String) -> Outcome {
    let failure = Failure {
        node: String::new(),
        class: String::new(),
        kind: kind.into(),
        message,
        hint: None,
        trace: Vec::new(),
        current_inputs: IndexMap::new(),
        current_outputs: Vec::new(),
        executed: Vec::new(),
    };
    Outcome { outputs: IndexMap::new(), end: End::Failed(failure) }
}
