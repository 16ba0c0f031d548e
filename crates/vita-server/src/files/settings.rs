//! `/settings`: what the page remembers, one JSON file.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{blocking, disk_refused, user_data};
use crate::App;
use crate::body::{done, members, refuse, reply};

/// Changes are read, merged and written by one request at a time.
static WRITER: Mutex<()> = Mutex::new(());

/// `GET /settings`
pub(crate) async fn all(State(app): State<Arc<App>>) -> Response {
    blocking(move || reply(&read(&app))).await
}

/// `GET /settings/{id}`: the value, or null.
pub(crate) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    blocking(move || reply(&read(&app).remove(&id).unwrap_or(Value::Null))).await
}

/// `POST /settings`: an object, merged into the others.
pub(crate) async fn merge(State(app): State<Arc<App>>, body: Bytes) -> Response {
    match members(&body) {
        Ok(changes) => write(app, changes).await,
        Err(response) => *response,
    }
}

/// `POST /settings/{id}`: any JSON value.
pub(crate) async fn set(State(app): State<Arc<App>>, Path(id): Path<String>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(value) => write(app, Map::from_iter([(id, value)])).await,
        Err(error) => refuse(&format!("The value of the setting must be JSON: {error}")),
    }
}

async fn write(app: Arc<App>, changes: Map<String, Value>) -> Response {
    blocking(move || {
        let _only_writer = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
        let mut settings = read(&app);
        settings.extend(changes);
        match vita_folders::replace_file(&path(&app), &indented(&settings)) {
            Ok(()) => done(),
            Err(error) => disk_refused(&error),
        }
    })
    .await
}

/// A damaged file counts as none, as in ComfyUI: the page could not start otherwise.
fn read(app: &App) -> Map<String, Value> {
    let bytes = std::fs::read(path(app)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn path(app: &App) -> PathBuf {
    user_data::root(&app.folders).join("comfy.settings.json")
}

/// JSON with four spaces a level, as ComfyUI writes the file.
fn indented(settings: &Map<String, Value>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    settings
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
        .expect("memory takes everything");
    bytes
}
