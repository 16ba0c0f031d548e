//! JSON bodies, whatever their content type says.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

/// Reads a body as JSON.
///
/// # Errors
/// A 400 with `{"error": ...}` that says where the text stops being JSON.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Box<Response>> {
    serde_json::from_slice(body).map_err(|error| Box::new(refuse(&format!("The request body is no JSON as expected: {error}"))))
}

/// A 400 with `{"error": text}`.
pub(crate) fn refuse(text: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": text }))).into_response()
}

/// 200 without a body or content type, as ComfyUI answers to commands.
pub(crate) fn done() -> Response {
    StatusCode::OK.into_response()
}
