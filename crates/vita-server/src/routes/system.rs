//! What the server is, and what it has none of.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use crate::App;
use crate::body::reply;
use crate::wire::system;

/// `GET /system_stats`
pub(super) async fn stats(State(app): State<Arc<App>>) -> Response {
    reply(&system::stats(&app))
}

/// `GET /features`
pub(super) async fn features(State(app): State<Arc<App>>) -> Response {
    reply(&system::features(&app))
}

/// `{}`: translations, replacements and subgraphs that node packs of ComfyUI bring.
pub(super) async fn nothing() -> Response {
    reply(&json!({}))
}

/// `null`: a subgraph that is none.
pub(super) async fn null() -> Response {
    reply(&json!(null))
}
