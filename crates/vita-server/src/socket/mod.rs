//! The WebSocket: who listens, and what they are told.

use std::sync::Arc;

use axum::Router;

use crate::App;

/// The open WebSockets.
#[derive(Default)]
pub struct Hub {}

/// Routes that exist bare and under `/api`.
pub(crate) fn twins() -> Router<Arc<App>> {
    Router::new()
}
