//! What the handlers share, and which routes there are.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use vita_graph::{Host, Registry};

use crate::config::ServerConfig;
use crate::logs::LogRing;
use crate::socket::Hub;
use crate::surroundings::Surroundings;
use crate::{auth, files, guard, page, routes, socket};

/// What an [`App`] is made of.
pub struct Parts {
    /// What the command line says.
    pub config: ServerConfig,
    /// What the nodes find the files with.
    pub host: Arc<dyn Host>,
    /// The nodes.
    pub registry: Registry,
    /// The last log lines.
    pub logs: LogRing,
    /// Time and memory.
    pub surroundings: Arc<dyn Surroundings>,
}

/// What the handlers share.
pub struct App {
    /// What the command line says.
    pub config: ServerConfig,
    /// What the nodes find the files with.
    pub host: Arc<dyn Host>,
    /// The nodes.
    pub registry: Registry,
    /// The open WebSockets.
    pub hub: Hub,
    /// The last log lines.
    pub logs: LogRing,
    /// Who may come in.
    pub auth: auth::Auth,
    /// Time and memory.
    pub surroundings: Arc<dyn Surroundings>,
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            hub: Hub::default(),
            auth: auth::Auth::new(&parts.config.auth),
            config: parts.config,
            host: parts.host,
            registry: parts.registry,
            logs: parts.logs,
            surroundings: parts.surroundings,
        })
    }
}

/// All routes.
///
/// Most exist twice, bare and under `/api`: the `twins`. `/internal/*`, static files and the login are bare only;
/// `/api/jobs*` has no bare form. Whatever is no route goes to [`page::fallback`].
pub fn router(app: Arc<App>) -> Router {
    let limit = usize::try_from(app.config.max_upload_bytes).unwrap_or(usize::MAX);
    let twins = || routes::twins().merge(files::twins()).merge(socket::twins());
    Router::new()
        .merge(twins())
        .nest("/api", twins())
        .merge(routes::single())
        .merge(files::single())
        .merge(auth::single())
        .merge(page::single())
        .fallback(page::fallback)
        .method_not_allowed_fallback(routes::method_not_allowed)
        .layer(DefaultBodyLimit::max(limit))
        .layer(from_fn_with_state(app.clone(), auth::check))
        .layer(from_fn_with_state(app.clone(), guard::check))
        .with_state(app)
}
