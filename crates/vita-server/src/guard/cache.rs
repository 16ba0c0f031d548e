//! How long browsers may keep an answer, by its path, as in ComfyUI.

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, StatusCode};

const PICTURES: &[&str] = &[".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif", ".svg"];

/// Sets `Cache-Control` unless the handler has.
pub(super) fn set(path: &str, status: StatusCode, headers: &mut HeaderMap) {
    if let Some(value) = value(path, status) {
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static(value));
    }
}

fn value(path: &str, status: StatusCode) -> Option<&'static str> {
    let path = path.to_ascii_lowercase();
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.ends_with(".js") || name.ends_with(".css") || (name.starts_with("index") && name.ends_with(".json")) {
        return Some("no-cache");
    }
    if !PICTURES.iter().any(|end| name.ends_with(end)) {
        return None;
    }
    match status.as_u16() {
        404 => Some("public, max-age=3600"),
        200..=299 | 301 | 308 => Some("public, max-age=86400"),
        302 | 303 | 307 => Some("no-cache"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let (ok, missing, found, denied) =
            (StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::FOUND, StatusCode::UNAUTHORIZED);
        for (path, status, expected) in [
            ("/assets/index-B2.js", ok, Some("no-cache")),
            ("/a.CSS", missing, Some("no-cache")),
            ("/templates/index.json", ok, Some("no-cache")),
            ("/templates/index.zh.json", ok, Some("no-cache")),
            ("/templates/video.json", ok, None),
            ("/templates/video-1.webp", ok, Some("public, max-age=86400")),
            ("/a.png", missing, Some("public, max-age=3600")),
            ("/a.png", found, Some("no-cache")),
            ("/a.png", denied, None),
            ("/view", ok, None),
            ("/", ok, None),
        ] {
            assert_eq!(value(path, status), expected, "{path} {status}");
        }
    }
}
