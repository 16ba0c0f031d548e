//! The page: the editor's files where it is installed, a small page of ours where it is not.
//!
//! Ours is also at `/vitascope` beside the editor. It is plain HTML, CSS and JavaScript from `web/`, part of the
//! program, and asks nobody but this server.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use vita_folders::SafeName;

use crate::App;
use crate::files::send::{self, Described};
use crate::guard::never_cached;

mod editor;
mod workflows;

pub use editor::{Editor, find_editor};
pub use workflows::install_workflows;

/// Name, content type, content.
const FILES: &[(&str, &str, &[u8])] = &[
    ("index.html", "text/html; charset=utf-8", include_bytes!("../../../../web/index.html")),
    ("page.css", "text/css; charset=utf-8", include_bytes!("../../../../web/page.css")),
    ("page.js", "application/javascript; charset=utf-8", include_bytes!("../../../../web/page.js")),
    ("graphs.js", "application/javascript; charset=utf-8", include_bytes!("../../../../web/graphs.js")),
    ("server.js", "application/javascript; charset=utf-8", include_bytes!("../../../../web/server.js")),
    ("editor.js", "application/javascript; charset=utf-8", include_bytes!("../../../../web/editor.js")),
];

/// What the program adds to the editor, in its list of scripts.
pub(crate) const EDITOR_SCRIPT: &str = "/vitascope/editor.js";

/// Our page has no inline script, so a prompt or a file name that is shown can never become one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

/// Routes without an `/api` twin.
pub(crate) fn single() -> Router<Arc<App>> {
    Router::new().route("/vitascope", get(own_page)).route("/vitascope/{name}", get(own_file))
}

/// What is no route: a file of the editor, or nothing (404 with an empty body).
pub(crate) async fn fallback(State(app): State<Arc<App>>, request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Ok(path) = percent_decode_str(request.uri().path()).decode_utf8() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Some(root) = &app.config.front_end_root else {
        return if path == "/" {
            own_page(request.headers().clone()).await
        } else {
            StatusCode::NOT_FOUND.into_response()
        };
    };
    let is_index = path == "/";
    let Ok(name) = SafeName::new(if is_index { "index.html" } else { path.trim_start_matches('/') }) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let described = Described { has_compressed_siblings: true, ..Described::default() };
    let mut response = send::send(&name.under(root), request.headers(), described).await;
    if is_index {
        never_cached(response.headers_mut());
    }
    response
}

async fn own_page(request: HeaderMap) -> Response {
    let mut response = file("index.html", &request);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    never_cached(headers);
    response
}

async fn own_file(Path(name): Path<String>, request: HeaderMap) -> Response {
    file(&name, &request)
}

fn file(name: &str, request: &HeaderMap) -> Response {
    static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let tag = |content: &[u8]| Sha256::digest(content)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        FILES.iter().map(|(_, _, content)| tag(content)).collect()
    });
    match FILES.iter().position(|(known, _, _)| *known == name) {
        Some(at) => send::send_bytes(FILES[at].2, FILES[at].1, &TAGS[at], request),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
