//! Routes that read or write files: view, uploads, user data, settings, models.
//!
//! Every name that a client gives becomes a path in `vita_folders::SafeName` and nowhere else.

use std::io::ErrorKind;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

use crate::App;

pub(crate) mod content_type;
mod extensions;
mod internal;
mod models;
mod move_route;
mod picture;
pub(crate) mod send;
mod settings;
mod stamp;
mod upload;
mod user_data;
mod users;
mod video;
mod view;

/// Routes that exist bare and under `/api`.
pub(crate) fn twins() -> Router<Arc<App>> {
    Router::new()
        .route("/view", get(view::view))
        .route("/view_metadata/{category}", get(models::view_metadata))
        .route("/upload/image", post(upload::image))
        .route("/upload/mask", post(upload::mask))
        .route("/models", get(models::categories))
        .route("/models/{category}", get(models::files))
        .route("/experiment/models", get(models::folders))
        .route("/experiment/models/{category}", get(models::details))
        .route("/experiment/models/preview/{category}/{place}/{*name}", get(models::preview))
        .route("/users", get(users::list).post(users::add))
        .route("/settings", get(settings::all).post(settings::merge))
        .route("/settings/{id}", get(settings::one).post(settings::set))
        .route("/userdata", get(user_data::list))
        .route("/userdata/{file}", get(user_data::read).post(user_data::write).delete(user_data::delete))
        .route("/userdata/{file}/move/{destination}", post(move_route::rename))
        .route("/v2/userdata", get(user_data::tree))
        .route("/extensions", get(extensions::scripts))
        .route("/workflow_templates", get(extensions::templates_of_packs))
        .route("/viewvideo", get(video::view))
        .route("/vhs/viewvideo", get(video::view))
        .route("/vhs/viewaudio", any(no_content))
        .route("/vhs/queryvideo", get(video::query))
        .route("/vhs/getpath", any(no_content))
}

/// Routes that exist once, by their whole path.
pub(crate) fn single() -> Router<Arc<App>> {
    Router::new()
        .route("/internal/files/{place}", get(internal::files))
        .route("/internal/folder_paths", get(internal::folder_paths))
        .route("/templates/{*name}", get(extensions::template))
}

async fn no_content(_: Request) -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Runs what waits for the disk where it does not hold up other requests.
async fn blocking<R: IntoResponse + Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(work).await {
        Ok(response) => response.into_response(),
        Err(error) => {
            tracing::error!("a request failed: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A status with a sentence.
fn say(status: StatusCode, text: &str) -> Response {
    (status, text.to_owned()).into_response()
}

/// What the disk refused, with the reason: 409 where a file is in the way of a folder or the other way round, 400
/// where the name is too long, 507 where the disk is full, else 500.
fn disk_refused(error: &vita_folders::Error) -> Response {
    let kind = match error {
        vita_folders::Error::Io { source, .. } => source.kind(),
        _ => ErrorKind::Other,
    };
    let status = match kind {
        ErrorKind::AlreadyExists
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::DirectoryNotEmpty => StatusCode::CONFLICT,
        ErrorKind::InvalidFilename => StatusCode::BAD_REQUEST,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if status.is_server_error() {
        tracing::error!("{error}");
    }
    crate::body::json_text(status, serde_json::json!({ "error": error.to_string() }).to_string())
}
