//! Token login: who may come in.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::App;

/// What the command line says of the token.
#[derive(Clone, Debug, Default)]
pub struct Settings {}

/// The state of logins.
pub struct Auth {}

impl Auth {
    /// Logins by these settings.
    pub fn new(_settings: &Settings) -> Self {
        Self {}
    }
}

/// Routes without an `/api` twin: login and logout.
pub(crate) fn single() -> Router<Arc<App>> {
    Router::new()
}

/// Lets a request through if it may.
pub(crate) async fn check(State(_app): State<Arc<App>>, request: Request, next: Next) -> Response {
    next.run(request).await
}
