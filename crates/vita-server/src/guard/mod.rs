//! Rules that hold for every request: origins, hosts, `OPTIONS`, and headers that every answer gets.
//!
//! A browser lets any web page send requests to this machine. Without `--enable-cors-header` a request is refused
//! that a page of another origin sent ([`origin`]), and one that reached a server meant for this machine only under
//! a name that is not this machine's ([`origin::is_own_name`]): so a page cannot have its own name point here.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, EXPIRES, HOST, ORIGIN, PRAGMA,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::App;
use crate::body::json_text;

mod cache;
mod origin;

/// What pages may load and connect to on an offline server: this server.
const OFFLINE_POLICY: &str = "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; \
    connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self'; object-src 'self'";

/// Lets a request through if its origin may, and sets the headers of the answer.
pub(crate) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = if let Err(reason) = may_pass(&app, &request) {
        json_text(StatusCode::FORBIDDEN, json!({ "error": reason }).to_string())
    } else if request.method() == Method::OPTIONS {
        StatusCode::OK.into_response()
    } else {
        next.run(request).await
    };
    let status = response.status();
    let headers = response.headers_mut();
    cache::set(&path, status, headers);
    if let Some(origin) = &app.config.cors {
        allow_origin(origin, headers);
    }
    if app.config.offline {
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(OFFLINE_POLICY));
    }
    response
}

fn may_pass(app: &App, request: &Request) -> Result<(), &'static str> {
    if app.config.cors.is_some() {
        return Ok(());
    }
    let header = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    // HTTP/2 has the host in its address.
    let host = header(HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    if let Some(host) = host {
        if let Some(origin) = header(ORIGIN)
            && !origin::is_same(host, origin)
        {
            return Err("A page of another origin sent this. To allow it, start with --enable-cors-header ORIGIN.");
        }
        let is_local_only = app.config.listen.iter().all(|address| address.to_canonical().is_loopback());
        if is_local_only && !app.auth.is_on() && !origin::is_own_name(host) {
            return Err("This server is for this machine only and does not answer to the name in the address. \
                        To allow it, start with --enable-cors-header ORIGIN, or with a token.");
        }
    }
    // Browsers say so of every request to this machine; a link that a person follows is no attack.
    let is_cross_site = request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    let is_navigation = request.method() == Method::GET
        && request.headers().get("sec-fetch-mode").is_some_and(|mode| mode == "navigate")
        && request.headers().get("sec-fetch-dest").is_some_and(|target| target == "document");
    if is_cross_site && !is_navigation {
        return Err("A page of another site sent this. To allow it, start with --enable-cors-header ORIGIN.");
    }
    Ok(())
}

fn allow_origin(origin: &str, headers: &mut HeaderMap) {
    let Ok(origin) = HeaderValue::from_str(origin) else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, DELETE, PUT, OPTIONS, PATCH"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type, Authorization"));
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
}

/// The headers of a page that must be asked for again each time.
pub(crate) fn never_cached(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, must-revalidate"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(EXPIRES, HeaderValue::from_static("0"));
}
