//! `/history`: what became of prompts.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use vita_queue::HistoryQuery;

use super::{blocking, queue_trouble};
use crate::App;
use crate::body::{done, json_text, members, refuse};
use crate::wire::history::{Reader, history};
use crate::wire::{ids, truthy};

/// Which part.
#[derive(Deserialize)]
pub(super) struct ListQuery {
    max_items: Option<String>,
    offset: Option<String>,
}

/// `GET /history`: oldest first; `max_items` alone means the newest ones.
pub(super) async fn list(State(app): State<Arc<App>>, Query(query): Query<ListQuery>, headers: HeaderMap) -> Response {
    let (max_items, offset) = match (count(query.max_items.as_deref()), count(query.offset.as_deref())) {
        (Ok(max_items), Ok(offset)) => (max_items, offset),
        _ => return refuse("max_items and offset must be whole numbers"),
    };
    match blocking(move || app.queue.history(HistoryQuery { max_items, offset })).await {
        Ok(entries) => json_text(StatusCode::OK, history(entries.iter().map(AsRef::as_ref), reader(&headers))),
        Err(error) => queue_trouble(&error),
    }
}

/// `GET /history/{id}`: `{id: entry}`, or `{}` if it is unknown or not finished.
pub(super) async fn entry(State(app): State<Arc<App>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match blocking(move || app.queue.history_entry(&id)).await {
        Ok(entry) => json_text(StatusCode::OK, history(entry.as_deref(), reader(&headers))),
        Err(error) => queue_trouble(&error),
    }
}

/// `POST /history`: `{"clear": true}`, `{"delete": [ids]}`.
pub(super) async fn change(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let members = match members(&body) {
        Ok(members) => members,
        Err(refusal) => return *refusal,
    };
    let changed = blocking(move || {
        if truthy(members.get("clear")) {
            app.queue.clear_history()?;
        }
        match ids(members.get("delete")) {
            Some(ids) => app.queue.delete_history(&ids),
            None => Ok(0),
        }
    });
    match changed.await {
        Ok(_) => done(),
        Err(error) => queue_trouble(&error),
    }
}

/// The editor always sends `Comfy-User`, empty where there is one user; scripts do not.
fn reader(headers: &HeaderMap) -> Reader {
    if headers.contains_key("comfy-user") { Reader::Page } else { Reader::Script }
}

/// A negative number is as good as none.
fn count(text: Option<&str>) -> Result<Option<usize>, std::num::ParseIntError> {
    let number = text.map(|text| text.trim().parse::<i64>()).transpose()?;
    Ok(number.and_then(|number| usize::try_from(number).ok()))
}
