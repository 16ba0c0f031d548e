//! `/internal/files` and `/internal/folder_paths`: what the page asks about directories.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Map, json};
use vita_folders::Place;

use super::blocking;
use crate::App;
use crate::body::{refuse, reply};

/// `GET /internal/files/{place}`: the files at the top of a directory, newest first.
pub(crate) async fn files(State(app): State<Arc<App>>, Path(place): Path<String>) -> Response {
    let Some(place) = Place::parse(&place) else { return refuse("Invalid directory type") };
    blocking(move || {
        let folder = app.folders.place(place);
        let changed = |name: &String| {
            let data = std::fs::metadata(folder.join(name));
            data.and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
        };
        let mut names: Vec<(SystemTime, String)> =
            app.folders.top_files(place).into_iter().map(|name| (changed(&name), name)).collect();
        names.sort_by(|one, two| two.0.cmp(&one.0).then_with(|| one.1.cmp(&two.1)));
        reply(&names.into_iter().map(|(_, name)| name).collect::<Vec<_>>())
    })
    .await
}

/// `GET /internal/folder_paths`
pub(crate) async fn folder_paths(State(app): State<Arc<App>>) -> Response {
    let paths: Map<_, _> =
        app.folders.categories().map(|(name, category)| (name.to_owned(), json!(category.places))).collect();
    reply(&paths)
}
