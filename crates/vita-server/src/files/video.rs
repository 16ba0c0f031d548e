//! What VideoHelperSuite's page extension asks: a video to look at, and what it is.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use vita_media::Mp4Decoder;

use super::view::{self, ViewQuery};
use super::{blocking, content_type};
use crate::App;
use crate::body::reply;

/// `GET /viewvideo`: the file itself, which browsers play; nothing (204) where it is no video.
pub(crate) async fn view(State(app): State<Arc<App>>, Query(query): Query<ViewQuery>, request: HeaderMap) -> Response {
    match view::find(&app.folders, &query).await {
        Ok(path) if content_type::of_name(&path.to_string_lossy()).starts_with("video/") => {
            view::plain(&path, &request).await
        }
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

/// `GET /vhs/queryvideo`: frames, frame rate, duration and size of an MP4 file; nothing (204) of others.
pub(crate) async fn query(State(app): State<Arc<App>>, Query(query): Query<ViewQuery>) -> Response {
    let Ok(path) = view::find(&app.folders, &query).await else { return StatusCode::NO_CONTENT.into_response() };
    blocking(move || {
        let Ok(mut video) = Mp4Decoder::open(&path) else { return StatusCode::NO_CONTENT.into_response() };
        let (rate, frame_count) = (video.frame_rate().as_f64(), video.frame_count());
        let Ok(Some(frame)) = video.next_frame() else { return StatusCode::NO_CONTENT.into_response() };
        let facts = json!({
            "fps": rate,
            "duration": frame_count as f64 / rate,
            "size": [frame.width(), frame.height()],
            "alpha": false,
            "frames": frame_count,
        });
        reply(&json!({ "source": facts, "loaded": facts }))
    })
    .await
}
