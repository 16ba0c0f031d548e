//! Prompts, queue, history, jobs, the system and its logs.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::App;

/// Routes that exist bare and under `/api`.
pub(crate) fn twins() -> Router<Arc<App>> {
    Router::new()
}

/// Routes that exist once, by their whole path.
pub(crate) fn single() -> Router<Arc<App>> {
    Router::new()
}

/// A known path with another method; axum adds `Allow`.
pub(crate) async fn method_not_allowed() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed").into_response()
}
