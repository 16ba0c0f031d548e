//! The page: the editor's files where it is installed, a small page of ours where it is not.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::App;

/// Routes without an `/api` twin.
pub(crate) fn single() -> Router<Arc<App>> {
    Router::new()
}

/// What is no route: a file of the editor, or nothing (404 with an empty body).
pub(crate) async fn fallback() -> Response {
    StatusCode::NOT_FOUND.into_response()
}
