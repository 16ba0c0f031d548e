//! Routes that read or write files: view, uploads, user data, settings, models.

use std::sync::Arc;

use axum::Router;

use crate::App;

/// Routes that exist bare and under `/api`.
pub(crate) fn twins() -> Router<Arc<App>> {
    Router::new()
}

/// Routes that exist once, by their whole path.
pub(crate) fn single() -> Router<Arc<App>> {
    Router::new()
}
