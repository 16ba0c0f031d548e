//! `/users`: there is one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::user_data;
use crate::App;
use crate::body::{members, refuse, reply};

/// `GET /users`
pub(crate) async fn list(State(app): State<Arc<App>>) -> Response {
    reply(&json!({ "storage": "server", "migrated": user_data::root(&app.folders).is_dir() }))
}

/// `POST /users`: refused, with ComfyUI's words where the name is the one user's.
pub(crate) async fn add(body: Bytes) -> Response {
    let body = match members(&body) {
        Ok(body) => body,
        Err(response) => return *response,
    };
    match body.get("username").and_then(Value::as_str).map(str::trim) {
        Some("default") => refuse("Duplicate username."),
        Some(name) if !name.is_empty() => refuse("This server has one user; another cannot be added."),
        _ => refuse("username not provided"),
    }
}
