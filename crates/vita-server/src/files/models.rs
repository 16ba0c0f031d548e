//! Model files by category: `/models`, `/experiment/models`, `/view_metadata`.

use std::fs::File;
use std::io::Read;
use std::path::Path as FilePath;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use vita_folders::SafeName;

use super::stamp::{Stamp, seconds};
use super::{blocking, view};
use crate::App;
use crate::body::reply;

/// The most of a safetensors header that is read.
const HEADER_BYTES_MAX: u64 = 1 << 20;
/// Pictures that may lie beside a model file, in the order they are looked for.
const PREVIEW_ENDS: &[&str] = &[".preview.png", ".preview.webp", ".preview.jpg", ".png", ".webp", ".jpg", ".jpeg"];

/// `GET /models`
pub(crate) async fn categories(State(app): State<Arc<App>>) -> Response {
    reply(&app.folders.categories().map(|(name, _)| name).collect::<Vec<_>>())
}

/// `GET /models/{category}`
pub(crate) async fn files(State(app): State<Arc<App>>, Path(category): Path<String>) -> Response {
    if !is_current(&app, &category) {
        return StatusCode::NOT_FOUND.into_response();
    }
    blocking(move || reply(&app.folders.files(&category))).await
}

/// `GET /experiment/models`
pub(crate) async fn folders(State(app): State<Arc<App>>) -> Response {
    let categories = app.folders.categories().filter(|(name, _)| !matches!(*name, "configs" | "custom_nodes"));
    reply(&categories.map(|(name, category)| json!({ "name": name, "folders": category.places })).collect::<Value>())
}

/// `GET /experiment/models/{category}`: with sizes and times.
pub(crate) async fn details(State(app): State<Arc<App>>, Path(category): Path<String>) -> Response {
    if !is_current(&app, &category) {
        return StatusCode::NOT_FOUND.into_response();
    }
    blocking(move || reply(&list_details(&app, &category))).await
}

fn list_details(app: &App, category: &str) -> Vec<Value> {
    let places = app.folders.category(category).map(|category| category.places.as_slice()).unwrap_or_default();
    let on_disk = app.folders.listing(category);
    let listed = on_disk.iter().filter_map(|file| {
        let path = SafeName::new(&file.name).ok()?.under(places.get(file.place)?);
        Some((file.name.clone(), file.place, path))
    });
    let aliases = app.folders.files(category).into_iter().filter_map(|name| {
        let path = app.folders.alias(category, &name)?.to_owned();
        Some((name, 0, path))
    });
    let details = listed.chain(aliases).filter_map(|(name, place, path)| {
        let stamp = Stamp::of(&std::fs::metadata(path).ok()?);
        Some(json!({
            "name": name,
            "pathIndex": place,
            "modified": seconds(stamp.modified),
            "created": seconds(stamp.created),
            "size": stamp.size_bytes,
        }))
    });
    details.collect()
}

/// `GET /experiment/models/preview/{category}/{place}/{name}`: the picture beside a model file, as WebP.
pub(crate) async fn preview(
    State(app): State<Arc<App>>,
    Path((category, place, name)): Path<(String, usize, String)>,
) -> Response {
    let found = app.folders.category(&category).ok().and_then(|category| {
        let path = SafeName::new(&name).ok()?.under(category.places.get(place)?);
        let stem = stem(path.file_name()?.to_str()?).to_owned();
        PREVIEW_ENDS.iter().map(|end| path.with_file_name(format!("{stem}{end}"))).find(|path| path.is_file())
    });
    match found {
        Some(path) => view::webp_preview(path).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Which file's header to show.
#[derive(Debug, Deserialize)]
pub(crate) struct MetadataQuery {
    filename: Option<String>,
}

/// `GET /view_metadata/{category}?filename=`: what a safetensors file says of itself.
pub(crate) async fn view_metadata(
    State(app): State<Arc<App>>,
    Path(category): Path<String>,
    Query(query): Query<MetadataQuery>,
) -> Response {
    let Some(name) = query.filename.filter(|name| name.ends_with(".safetensors")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    blocking(move || {
        let metadata = app.folders.find(&category, &name).ok().and_then(|path| read_metadata(&path));
        metadata.map(|metadata| reply(&metadata)).ok_or(StatusCode::NOT_FOUND)
    })
    .await
}

fn read_metadata(path: &FilePath) -> Option<Value> {
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    if length > HEADER_BYTES_MAX {
        return None;
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    header.get("__metadata__").cloned()
}

/// Older names of categories are known inside, but have no route.
fn is_current(app: &App, category: &str) -> bool {
    app.folders.categories().any(|(name, _)| name == category)
}

/// A name without its extension.
fn stem(name: &str) -> &str {
    let file_at = name.rfind('/').map_or(0, |at| at + 1);
    match name[file_at..].rfind('.') {
        Some(at) if at > 0 => &name[..file_at + at],
        _ => name,
    }
}
