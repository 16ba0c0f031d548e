//! The login page, and its way out.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::{address, cookies, form, open_session, redirect, sessions, too_many};
use crate::App;
use crate::body::reply;
use crate::guard::never_cached;

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/login.html"));
/// The page has no script; what the browser loads for it is nothing but its own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'";
/// The most of a login form that is read.
const FORM_BYTES_MAX: usize = 1 << 14;

/// Routes without an `/api` twin: login and logout.
pub(crate) fn single() -> Router<Arc<App>> {
    Router::new()
        .route("/login", get(show).post(log_in))
        .route("/logout", get(log_out))
        .route("/guest_mode", get(guest_mode))
}

async fn show(State(app): State<Arc<App>>, request: Request) -> Response {
    if !app.auth.is_on() {
        return redirect("/", None);
    }
    let is_wrong = form::value(request.uri().query().unwrap_or_default().as_bytes(), "wrong_password").is_some();
    let page =
        PAGE.replace("<!-- fault -->", if is_wrong { "<p role=\"alert\">This is not the token.</p>" } else { "" });
    let mut response = page.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    never_cached(headers);
    response
}

async fn log_in(State(app): State<Arc<App>>, request: Request) -> Response {
    let Some(token) = app.auth.token else { return redirect("/", None) };
    let (address, now) = (address(&request), app.surroundings.now());
    let body = axum::body::to_bytes(request.into_body(), FORM_BYTES_MAX).await.unwrap_or_default();
    let given = form::value(&body, "password").or_else(|| form::value(&body, "token")).unwrap_or_default();
    let given = given.trim();
    if !given.is_empty() && token.is_of(given) {
        let cookie = open_session(&app, now).await;
        return redirect("/", Some(cookie));
    }
    match app.auth.failures.hold(address, now) {
        Some(hold) => {
            hold.wait().await;
            redirect("/login?wrong_password=1", None)
        }
        None => too_many(),
    }
}

async fn log_out(State(app): State<Arc<App>>, method: Method, headers: HeaderMap) -> Response {
    let Some(token) = app.auth.token else { return redirect("/", None) };
    let name = sessions::cookie_name(token);
    let sessions: Vec<String> = cookies(&headers, &name).map(str::to_owned).collect();
    if method == Method::GET {
        let closing = app.clone();
        let closed = move || sessions.iter().try_for_each(|session| closing.auth.sessions.close(session));
        if let Ok(Err(error)) = tokio::task::spawn_blocking(closed).await {
            tracing::warn!("a login that was ended may come back after a restart: {error}");
        }
    }
    let mut response = redirect("/login", None);
    response.headers_mut().insert(SET_COOKIE, sessions::no_cookie(token));
    response
}

/// There are no guests.
async fn guest_mode() -> Response {
    reply(&json!({ "guestMode": false }))
}
