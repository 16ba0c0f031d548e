//! Token login: who may come in.
//!
//! With a token in force, every request needs a session cookie (made by the login page), `Authorization: Bearer
//! TOKEN` or `?token=TOKEN`; `/login` and the scripts and styles of the page are free. The token itself is kept
//! nowhere: in memory and on disk (`login.json` in the user directory, mode 0600) lies its SHA-256. Sessions are
//! random, live for 30 days and survive a restart; they end when the token changes.
//!
//! Failed attempts are slowed by address, never successful ones, so a script with an old token cannot lock out
//! others behind the same proxy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, COOKIE, LOCATION, ORIGIN, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::App;
use crate::body::json_text;

mod form;
mod pages;
mod sessions;
mod slow;
mod start;
mod store;
mod token;

pub(crate) use pages::single;
pub use start::{Decided, Start, StartError, decide};
pub use token::TokenHash;

use sessions::Sessions;
use slow::Failures;

/// Who may come in. The default lets everybody in.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The token's hash; `None` lets everybody in.
    pub token: Option<TokenHash>,
    /// Where sessions are kept beyond a restart; `None`: nowhere.
    pub file: Option<PathBuf>,
    /// How long the answer to the sixth failure in a row is held back; each further one twice as long.
    pub failure_delay: Duration,
}

/// The state of logins.
pub struct Auth {
    token: Option<TokenHash>,
    sessions: Sessions,
    failures: Failures,
}

impl Auth {
    /// Logins by these settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            token: settings.token,
            sessions: Sessions::load(settings.file.clone(), settings.token),
            failures: Failures::new(settings.failure_delay),
        }
    }

    /// Whether a token is asked for.
    pub fn is_on(&self) -> bool {
        self.token.is_some()
    }
}

/// What a request shows of itself.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    /// A session that is open.
    Session,
    /// The token, in the header or (`true`) in the address.
    Token { in_query: bool },
    /// A token that is not the one.
    Wrong,
    /// Nothing.
    Nothing,
}

/// Lets a request through if it may.
pub(crate) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(token) = app.auth.token else { return next.run(request).await };
    if is_free(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    let now = app.surroundings.now();
    match what_is_shown(&app, token, &request, now) {
        Shown::Session | Shown::Token { in_query: false } => next.run(request).await,
        // Opened in a browser: the address is cleaned of the token, which would stay in its history.
        Shown::Token { in_query: true } if wants_page(&request) => {
            let path = request.uri().path().to_owned();
            let cookie = open_session(&app, now).await;
            redirect(&path, Some(cookie))
        }
        Shown::Token { in_query: true } => next.run(request).await,
        Shown::Nothing => refused(&request),
        Shown::Wrong => match app.auth.failures.hold(address(&request), now) {
            Some(hold) => {
                hold.wait().await;
                refused(&request)
            }
            None => too_many(),
        },
    }
}

fn what_is_shown(app: &App, token: TokenHash, request: &Request, now: SystemTime) -> Shown {
    let headers = request.headers();
    let name = sessions::cookie_name(token);
    if cookies(headers, &name).any(|session| app.auth.sessions.is_open(session, now)) {
        return Shown::Session;
    }
    if !is_origin_allowed(app.config.cors.as_deref(), headers) {
        return Shown::Nothing;
    }
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    let in_query = bearer.is_none();
    let given = bearer.or_else(|| form::value(request.uri().query().unwrap_or_default().as_bytes(), "token"));
    // An empty token is none: it must never match, and is what clients without a token send.
    match given.filter(|given| !given.is_empty()) {
        None => Shown::Nothing,
        Some(given) if token.is_of(&given) => Shown::Token { in_query },
        Some(_) => Shown::Wrong,
    }
}

/// With one allowed origin, pages of another cannot use a token even if they have it.
fn is_origin_allowed(cors: Option<&str>, headers: &HeaderMap) -> bool {
    match (cors, headers.get(ORIGIN)) {
        (None | Some("*"), _) | (_, None) => true,
        (Some(allowed), Some(origin)) => origin.as_bytes() == allowed.as_bytes(),
    }
}

/// The login page, and what belongs to a page without being anybody's: scripts and styles of the editor. Files of
/// the user may end like that too, but lie under other paths.
fn is_free(method: &Method, path: &str) -> bool {
    if path == "/login" {
        return true;
    }
    let is_static = [".css", ".css.map", ".js", ".ico"].iter().any(|end| path.ends_with(end));
    let folder = path.trim_start_matches('/').split_once('/').map_or("", |(folder, _)| folder);
    let is_of_page = ["", "assets", "scripts", "extensions", "fonts", "cursor", "lib", "vitascope"].contains(&folder);
    (method == Method::GET || method == Method::HEAD) && is_static && is_of_page
}

async fn open_session(app: &Arc<App>, now: SystemTime) -> HeaderValue {
    let id = token::random_text();
    let token = app.auth.token.expect("sessions are opened only where there is a token");
    let (opening, kept) = (app.clone(), id.clone());
    let saved = tokio::task::spawn_blocking(move || opening.auth.sessions.open(&kept, now)).await;
    if let Ok(Err(error)) = saved {
        tracing::warn!("this login will not survive a restart: {error}");
    }
    sessions::cookie(token, &id, app.config.tls.is_some())
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs =
        headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(move |pair| pair.trim().split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

fn wants_page(request: &Request) -> bool {
    request.method() == Method::GET && accepts_html(request.headers()) && !request.uri().path().starts_with("/api/")
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}

fn address(request: &Request) -> IpAddr {
    let connection = request.extensions().get::<ConnectInfo<SocketAddr>>();
    connection.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |connection| connection.0.ip())
}

fn refused(request: &Request) -> Response {
    if accepts_html(request.headers()) {
        return redirect("/login", None);
    }
    json_text(StatusCode::UNAUTHORIZED, json!({ "error": "Authentication required." }).to_string())
}

fn too_many() -> Response {
    let text = json!({ "error": "Too many wrong tokens; try again in a few seconds." }).to_string();
    let mut response = json_text(StatusCode::TOO_MANY_REQUESTS, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("8"));
    response
}

fn redirect(path: &str, cookie: Option<HeaderValue>) -> Response {
    // `//host` would lead away.
    let path = format!("/{}", path.trim_start_matches(['/', '\\']));
    let mut response = StatusCode::FOUND.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_str(&path).unwrap_or(HeaderValue::from_static("/")));
    if let Some(cookie) = cookie {
        headers.insert(SET_COOKIE, cookie);
    }
    crate::guard::never_cached(headers);
    response
}
