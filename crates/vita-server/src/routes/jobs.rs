//! `/api/jobs`: jobs of every state in one list.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::{blocking, queue_trouble};
use crate::App;
use crate::body::{json_text, members, refuse, reply};
use crate::wire::jobs;

/// `GET /api/jobs?status=&workflow_id=&sort_by=&sort_order=&limit=&offset=`
pub(super) async fn list(State(app): State<Arc<App>>, Query(parameters): Query<Vec<(String, String)>>) -> Response {
    match jobs::query(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()))) {
        Ok(query) => reply(&jobs::page(&app.queue.jobs(&query), &query)),
        Err(reason) => refuse(&reason),
    }
}

/// `GET /api/jobs/{id}`
pub(super) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    match blocking(move || app.queue.job(&id)).await {
        Ok(Some(detail)) => json_text(StatusCode::OK, jobs::detail(&detail)),
        Ok(None) => json_text(StatusCode::NOT_FOUND, json!({ "error": "Job not found" }).to_string()),
        Err(error) => queue_trouble(&error),
    }
}

/// `POST /api/jobs/{id}/cancel`: stops it if it runs, takes it out if it waits.
pub(super) async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    match blocking(move || app.queue.cancel(&id)).await {
        Ok(cancelled) => reply(&json!({ "cancelled": cancelled })),
        Err(error) => queue_trouble(&error),
    }
}

/// `POST /api/jobs/cancel`: `{"job_ids": [ids]}`; whether any was cancelled.
pub(super) async fn cancel_many(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let members = match members(&body) {
        Ok(members) => members,
        Err(refusal) => return *refusal,
    };
    let Some(Json::Array(listed)) = members.get("job_ids") else {
        return refuse("job_ids must be a list of ids");
    };
    let is_id = |id: &Json| id.as_str().is_some_and(|id| !id.is_empty());
    let invalid: Vec<_> = listed.iter().filter(|id| !is_id(id)).cloned().collect();
    if !invalid.is_empty() {
        let body = json!({ "error": "job_ids must hold texts only", "invalid_ids": invalid });
        return json_text(StatusCode::BAD_REQUEST, body.to_string());
    }
    let ids: Vec<String> = listed.iter().filter_map(Json::as_str).map(str::to_owned).collect();
    let cancelled = blocking(move || {
        let mut any = false;
        for id in &ids {
            any |= app.queue.cancel(id)?;
        }
        Ok(any)
    });
    match cancelled.await {
        Ok(cancelled) => reply(&json!({ "cancelled": cancelled })),
        Err(error) => queue_trouble(&error),
    }
}
