//! What belongs to the editor: its scripts, its templates.

use std::path::Path as FilePath;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use vita_folders::SafeName;

use super::blocking;
use super::send::{self, Described};
use crate::App;
use crate::body::reply;
use crate::page::EDITOR_SCRIPT;

/// `GET /extensions`: the path of every script under the editor's `extensions`, and of ours.
pub(crate) async fn scripts(State(app): State<Arc<App>>) -> Response {
    let Some(root) = app.config.front_end_root.clone() else { return reply(&json!([])) };
    blocking(move || {
        let mut scripts = Vec::new();
        collect_scripts(&root.join("extensions"), "/extensions", &mut scripts);
        scripts.sort_unstable();
        scripts.push(EDITOR_SCRIPT.to_owned());
        reply(&scripts)
    })
    .await
}

fn collect_scripts(folder: &FilePath, prefix: &str, scripts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{prefix}/{name}");
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect_scripts(&entry.path(), &path, scripts),
            Ok(kind) if kind.is_file() && name.ends_with(".js") => scripts.push(path),
            _ => {}
        }
    }
}

/// `GET /workflow_templates`: those of node packs; there are none.
pub(crate) async fn templates_of_packs() -> Response {
    reply(&json!({}))
}

/// `GET /templates/{name}`: a file of the installed template packages, which share one name space.
pub(crate) async fn template(State(app): State<Arc<App>>, Path(name): Path<String>, request: HeaderMap) -> Response {
    let Ok(name) = SafeName::new(&name) else { return StatusCode::NOT_FOUND.into_response() };
    for root in &app.config.template_roots {
        let path = name.under(root);
        if tokio::fs::metadata(&path).await.is_ok_and(|data| data.is_file()) {
            return send::send(&path, &request, Described::default()).await;
        }
    }
    StatusCode::NOT_FOUND.into_response()
}
