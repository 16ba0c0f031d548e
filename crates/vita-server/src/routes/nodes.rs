//! `/object_info`: what nodes there are. Made anew for each request, so that lists of files are fresh.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::blocking;
use crate::App;
use crate::body::{json_text, reply};
use crate::wire::node_info::NodeInfo;
use crate::wire::object::{Object, text};

/// `GET /object_info`
pub(super) async fn all(State(app): State<Arc<App>>) -> Response {
    let body = blocking(move || {
        let mut info = NodeInfo::new(&*app.host);
        let mut body = Object::new();
        for spec in app.registry.specs() {
            body.raw(spec.class, &text(&info.of(spec)));
        }
        body.end()
    });
    json_text(StatusCode::OK, body.await)
}

/// `GET /object_info/{class}`: `{}` for a class that is none.
pub(super) async fn one(State(app): State<Arc<App>>, Path(class): Path<String>) -> Response {
    let body = blocking(move || {
        let mut body = Object::new();
        if let Some(spec) = app.registry.spec(&class) {
            body.raw(spec.class, &text(&NodeInfo::new(&*app.host).of(spec)));
        }
        body.end()
    });
    json_text(StatusCode::OK, body.await)
}

/// `GET /embeddings`: names without their extensions.
pub(super) async fn embeddings(State(app): State<Arc<App>>) -> Response {
    let files = blocking(move || app.host.files("embeddings")).await;
    let names: Vec<_> = files.iter().map(|name| without_extension(name)).collect();
    reply(&names)
}

fn without_extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !extension.contains('/') => stem,
        _ => name,
    }
}
