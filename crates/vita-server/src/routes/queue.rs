//! `/queue`, `/interrupt`, `/free`: what waits and runs, and how it is stopped.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value as Json;

use super::{blocking, queue_trouble};
use crate::App;
use crate::body::{done, json_text, members};
use crate::wire::{ids, truthy};

/// `GET /queue`
pub(super) async fn show(State(app): State<Arc<App>>) -> Response {
    json_text(StatusCode::OK, app.queue_body())
}

/// `POST /queue`: `{"clear": true}` and `{"delete": [ids]}` take out what waits, never what runs. Of our own are
/// `{"front": [ids]}`, which puts these before all others, and `{"paused": bool}`, which holds what waits.
pub(super) async fn change(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let members = match members(&body) {
        Ok(members) => members,
        Err(refusal) => return *refusal,
    };
    let changed = blocking(move || {
        if truthy(members.get("clear")) {
            app.queue.clear()?;
        }
        app.queue.delete(&ids(members.get("delete")).unwrap_or_default())?;
        // The first of them is put there last.
        for id in ids(members.get("front")).unwrap_or_default().iter().rev() {
            app.queue.move_to_front(id)?;
        }
        match members.get("paused") {
            Some(paused) => app.queue.set_paused(truthy(Some(paused))),
            None => Ok(()),
        }
    });
    match changed.await {
        Ok(()) => done(),
        Err(error) => queue_trouble(&error),
    }
}

/// `POST /interrupt`: stops all that runs, or with `{"prompt_id": id}` that prompt if it runs.
pub(super) async fn interrupt(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let body: Json = serde_json::from_slice(&body).unwrap_or_default();
    let (stopped, whom) = match &body["prompt_id"] {
        Json::String(id) if !id.is_empty() => (app.queue.interrupt_job(id), format!("Prompt {id}")),
        _ => (app.queue.interrupt(), "What runs".to_owned()),
    };
    if stopped {
        tracing::info!("{whom} was asked to stop.");
    }
    done()
}

/// `POST /free`: `{"unload_models", "free_memory"}`, done before the next prompt begins.
pub(super) async fn free(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let members = match members(&body) {
        Ok(members) => members,
        Err(refusal) => return *refusal,
    };
    let (models, memory) = (truthy(members.get("unload_models")), truthy(members.get("free_memory")));
    if models || memory {
        app.queue.free(models, memory);
    }
    done()
}
