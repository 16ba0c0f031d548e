//! Prompts, queue, history, jobs, nodes, the system and its logs. Handlers are three steps: wire to domain, one
//! call, domain to wire.

mod history;
mod jobs;
mod logs;
mod nodes;
mod prompt;
mod queue;
mod system;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use serde_json::json;
use vita_base::Hint;
use vita_queue::QueueError;

use crate::App;
use crate::body::json_text;

/// Routes that exist bare and under `/api`.
pub(crate) fn twins() -> Router<Arc<App>> {
    Router::new()
        .route("/prompt", get(prompt::remaining).post(prompt::submit))
        .route("/queue", get(queue::show).post(queue::change))
        .route("/interrupt", post(queue::interrupt))
        .route("/free", post(queue::free))
        .route("/history", get(history::list).post(history::change))
        .route("/history/{id}", get(history::entry))
        .route("/object_info", get(nodes::all))
        .route("/object_info/{class}", get(nodes::one))
        .route("/embeddings", get(nodes::embeddings))
        .route("/system_stats", get(system::stats))
        .route("/features", get(system::features))
        .route("/i18n", get(system::nothing))
        .route("/node_replacements", get(system::nothing))
        .route("/global_subgraphs", get(system::nothing))
        .route("/global_subgraphs/{id}", get(system::null))
}

/// Routes that exist once, by their whole path.
pub(crate) fn single() -> Router<Arc<App>> {
    Router::new()
        .route("/api/jobs", get(jobs::list))
        .route("/api/jobs/cancel", post(jobs::cancel_many))
        .route("/api/jobs/{id}", get(jobs::one))
        .route("/api/jobs/{id}/cancel", post(jobs::cancel))
        .route("/internal/logs", get(logs::text))
        .route("/internal/logs/raw", get(logs::raw))
        .route("/internal/logs/subscribe", patch(logs::subscribe))
}

/// A known path with another method; axum adds `Allow`.
pub(crate) async fn method_not_allowed() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed").into_response()
}

/// A queue that cannot do what it should, as `{"error": ..., "hint": ...}`.
fn queue_trouble(error: &QueueError) -> Response {
    json_text(trouble_status(error), json!({ "error": error.to_string(), "hint": error.hint() }).to_string())
}

fn trouble_status(error: &QueueError) -> StatusCode {
    match error {
        QueueError::EmptyId | QueueError::Number(_) => StatusCode::BAD_REQUEST,
        QueueError::Write { full: true, .. } => StatusCode::INSUFFICIENT_STORAGE,
        QueueError::Closed | QueueError::NoWorker { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Runs what waits for the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
