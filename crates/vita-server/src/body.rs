//! JSON in and out: bodies are read whatever their content type says, and written as ComfyUI's are.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::wire::object;

/// Reads a body as a JSON object. One that is empty is refused, like anything else that is no object.
///
/// # Errors
/// A 400 with `{"error": ...}` that says where the text stops being JSON.
pub(crate) fn members(body: &[u8]) -> Result<serde_json::Map<String, Json>, Box<Response>> {
    let refused = |reason: String| Box::new(refuse(&format!("The request body must be a JSON object: {reason}")));
    match serde_json::from_slice(body) {
        Ok(Json::Object(members)) => Ok(members),
        Ok(_) => Err(refused("it is JSON, but no object".into())),
        Err(error) => Err(refused(error.to_string())),
    }
}

/// 200 with a value as JSON.
pub(crate) fn reply(value: &impl Serialize) -> Response {
    json_text(StatusCode::OK, object::text(value))
}

/// A text that is JSON already.
pub(crate) fn json_text(status: StatusCode, json: impl Into<Body>) -> Response {
    let mut response = Response::new(json.into());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A 400 with `{"error": text}`.
pub(crate) fn refuse(text: &str) -> Response {
    json_text(StatusCode::BAD_REQUEST, json!({ "error": text }).to_string())
}

/// 200 without a body or content type, as ComfyUI answers to commands.
pub(crate) fn done() -> Response {
    StatusCode::OK.into_response()
}
