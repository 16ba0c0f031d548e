//! `POST /userdata/{file}/move/{destination}`: renames a file of the user.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use vita_folders::SafeName;

use super::user_data::{WriteQuery, root};
use super::{blocking, disk_refused, say};
use crate::App;

pub(crate) async fn rename(
    State(app): State<Arc<App>>,
    Path((file, destination)): Path<(String, String)>,
    Query(query): Query<WriteQuery>,
) -> Response {
    let (Ok(from), Ok(to)) = (SafeName::new(&file), SafeName::new(&destination)) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    blocking(move || {
        let root = root(&app.folders);
        let (source, target) = (from.under(&root), to.under(&root));
        if !source.is_file() {
            return StatusCode::NOT_FOUND.into_response();
        }
        if target.is_dir() || (target.exists() && !query.may_overwrite()) {
            return say(StatusCode::CONFLICT, "File already exists");
        }
        let moved =
            target.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::rename(&source, &target));
        match moved {
            Ok(()) => query.reply(&to, &target),
            Err(error) => disk_refused(&vita_folders::Error::Io { action: "create", path: target, source: error }),
        }
    })
    .await
}
