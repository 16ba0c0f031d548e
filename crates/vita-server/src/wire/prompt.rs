//! `POST /prompt`: what clients send, and what they get.

use serde_json::{Map, Value as Json, json};
use vita_graph::python;
use vita_queue::{Job, Place, Ticket};

use crate::config::PreviewMethod;
use crate::ids;

/// What a client sent, except for the workflow's validity.
pub(crate) struct PromptRequest {
    /// The workflow, if there was one.
    pub(crate) prompt: Option<Json>,
    /// A name for it.
    pub(crate) id: String,
    /// What is sent besides, with the client's id.
    pub(crate) extra_data: Map<String, Json>,
    /// Where in the queue.
    pub(crate) place: Place,
    /// Only these outputs.
    pub(crate) targets: Option<Vec<String>>,
}

/// A refusal that ComfyUI has no words for, in its shape.
pub(crate) fn refusal(kind: &str, message: &str, details: &str) -> Json {
    json!({
        "error": { "type": kind, "message": message, "details": details, "extra_info": {} },
        "node_errors": {},
    })
}

impl PromptRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// The body of a 400.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Json> {
        let members: Json = serde_json::from_slice(body)
            .map_err(|error| refusal("invalid_json", "The request body is not JSON", &error.to_string()))?;
        let Json::Object(mut members) = members else {
            return Err(refusal(
                "invalid_json",
                "The request body is not a JSON object",
                "expected {\"prompt\": {...}}",
            ));
        };
        let mut extra_data = match members.shift_remove("extra_data") {
            None | Some(Json::Null) => Map::new(),
            Some(Json::Object(extra_data)) => extra_data,
            Some(other) => {
                let details = format!("extra_data is {}, expected an object", python::repr(&other));
                return Err(refusal("invalid_extra_data", "extra_data must be an object", &details));
            }
        };
        if let Some(client_id) = members.shift_remove("client_id") {
            extra_data.insert("client_id".into(), client_id);
        }
        Ok(Self {
            place: place(&members)?,
            id: id(members.get("prompt_id"))?,
            targets: targets(members.get("partial_execution_targets"))?,
            prompt: members.shift_remove("prompt"),
            extra_data,
        })
    }
}

/// `{"prompt_id", "number", "node_errors"}`
pub(crate) fn accepted(ticket: &Ticket, node_errors: &Json) -> Json {
    json!({ "prompt_id": ticket.id, "number": super::number(ticket.number), "node_errors": node_errors })
}

/// The preview method that a prompt asks for, if it asks for one that is known.
pub(crate) fn preview_method(job: &Job) -> Option<PreviewMethod> {
    if !job.extra_data.as_str().contains("preview_method") {
        return None;
    }
    job.extra_data.parse().get("preview_method")?.as_str().and_then(PreviewMethod::of_name)
}

/// `number` wins over `front`.
fn place(members: &Map<String, Json>) -> Result<Place, Json> {
    match members.get("number") {
        None | Some(Json::Null) if super::truthy(members.get("front")) => Ok(Place::Front),
        None | Some(Json::Null) => Ok(Place::Back),
        Some(number) => {
            let value = match number {
                Json::String(text) => text.trim().parse().ok(),
                other => other.as_f64(),
            };
            let details = || format!("number is {}", python::repr(number));
            value
                .filter(|value: &f64| value.is_finite())
                .map(Place::At)
                .ok_or_else(|| refusal("invalid_number", "number must be a finite number", &details()))
        }
    }
}

/// Any text or number that a client chose, or a new one.
fn id(id: Option<&Json>) -> Result<String, Json> {
    match id {
        None | Some(Json::Null) => Ok(ids::uuid()),
        Some(Json::String(id)) if id.is_empty() => Ok(ids::uuid()),
        Some(Json::Array(_) | Json::Object(_)) => {
            let message = "prompt_id must be a valid UUID";
            Err(refusal("invalid_prompt_id", message, "prompt_id must be text; leave it out to have one made"))
        }
        Some(id) => Ok(python::text(id)),
    }
}

fn targets(targets: Option<&Json>) -> Result<Option<Vec<String>>, Json> {
    match targets {
        None | Some(Json::Null) => Ok(None),
        Some(list @ Json::Array(_)) => Ok(super::ids(Some(list))),
        Some(_) => {
            let message = "partial_execution_targets must be a list of node ids";
            Err(refusal("invalid_partial_execution_targets", message, "expected [\"9\", ...]"))
        }
    }
}
