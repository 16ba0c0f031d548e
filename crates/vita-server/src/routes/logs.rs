//! `/internal/logs`: the last log lines.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use crate::App;
use crate::body::{done, members, refuse, reply};
use crate::wire::{logs, truthy};

/// `GET /internal/logs`: one text of `time - line`.
pub(super) async fn text(State(app): State<Arc<App>>) -> Response {
    let offset = app.surroundings.utc_offset_seconds();
    let line = |entry: &crate::logs::LogEntry| format!("{} - {}", logs::local_time(entry.time, offset), entry.text);
    reply(&app.logs.entries().iter().map(line).collect::<String>())
}

/// `GET /internal/logs/raw`
pub(super) async fn raw(State(app): State<Arc<App>>) -> Response {
    let offset = app.surroundings.utc_offset_seconds();
    let entries: Vec<_> = app.logs.entries().iter().map(|entry| logs::entry(entry, offset)).collect();
    reply(&json!({ "entries": entries, "size": logs::terminal_size() }))
}

/// `PATCH /internal/logs/subscribe`: `{"clientId", "enabled"}`; that socket hears of new lines from then on.
pub(super) async fn subscribe(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let members = match members(&body) {
        Ok(members) => members,
        Err(refusal) => return *refusal,
    };
    let Some(client_id) = members.get("clientId").and_then(serde_json::Value::as_str) else {
        return refuse("clientId must be the id of a WebSocket session");
    };
    app.hub.subscribe_to_logs(client_id, truthy(members.get("enabled")));
    done()
}
