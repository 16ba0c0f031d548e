//! The events of a run: on the socket as they happen, and as the `messages` of its history.

use serde_json::{Value as Json, json};
use vita_graph::Failure;
use vita_queue::Message;

/// A message of the history as `[event, data]`; the same data goes over the socket.
pub(crate) fn message(message: &Message, prompt_id: &str) -> (&'static str, Json) {
    match message {
        Message::Start { timestamp_ms } => ("execution_start", moment(prompt_id, *timestamp_ms)),
        Message::Cached { nodes, timestamp_ms } => ("execution_cached", cached(nodes, prompt_id, *timestamp_ms)),
        Message::Success { timestamp_ms } => ("execution_success", moment(prompt_id, *timestamp_ms)),
        Message::Error { failure, timestamp_ms } => ("execution_error", error(failure, prompt_id, *timestamp_ms)),
        Message::Interrupted { node, class, executed, timestamp_ms } => {
            let data = json!({
                "prompt_id": prompt_id,
                "node_id": node,
                "node_type": class,
                "executed": executed,
                "timestamp": timestamp_ms,
            });
            ("execution_interrupted", data)
        }
    }
}

/// `execution_start` and `execution_success`.
pub(crate) fn moment(prompt_id: &str, timestamp_ms: u64) -> Json {
    json!({ "prompt_id": prompt_id, "timestamp": timestamp_ms })
}

/// `execution_cached`.
pub(crate) fn cached(nodes: &[String], prompt_id: &str, timestamp_ms: u64) -> Json {
    json!({ "nodes": nodes, "prompt_id": prompt_id, "timestamp": timestamp_ms })
}

/// `execution_error` with all that pages show of it.
pub(crate) fn error(failure: &Failure, prompt_id: &str, timestamp_ms: u64) -> Json {
    json!({
        "prompt_id": prompt_id,
        "node_id": failure.node,
        "node_type": failure.class,
        "executed": failure.executed,
        "exception_message": message_text(failure),
        "exception_type": failure.kind,
        "traceback": failure.trace,
        "current_inputs": failure.current_inputs,
        "current_outputs": failure.current_outputs,
        "timestamp": timestamp_ms,
    })
}

/// The message and what to do; it ends with a newline, as ComfyUI's messages do.
fn message_text(failure: &Failure) -> String {
    let message = failure.message.trim_end_matches('\n');
    match &failure.hint {
        Some(hint) => format!("{message}\n\nhint: {hint}\n"),
        None => format!("{message}\n"),
    }
}
