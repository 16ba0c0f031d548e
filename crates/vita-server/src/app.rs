//! What the handlers share, and which routes there are.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use bytes::Bytes;
use vita_folders::Folders;
use vita_graph::{Host, Registry};
use vita_queue::Queue;

use crate::config::ServerConfig;
use crate::logs::LogRing;
use crate::socket::{Hub, HubOptions};
use crate::surroundings::Surroundings;
use crate::{auth, files, guard, page, routes, socket, wire};

/// What an [`App`] is made of.
pub struct Parts {
    /// What the command line says.
    pub config: ServerConfig,
    /// What the nodes find the files with.
    pub host: Arc<dyn Host>,
    /// The nodes.
    pub registry: Registry,
    /// Prompts and their history.
    pub queue: Queue,
    /// Where files lie.
    pub folders: Arc<Folders>,
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
    /// Prompts and their history.
    pub queue: Queue,
    /// Where files lie.
    pub folders: Arc<Folders>,
    /// The open WebSockets.
    pub hub: Hub,
    /// The last log lines.
    pub logs: LogRing,
    /// Who may come in.
    pub auth: auth::Auth,
    /// Time and memory.
    pub surroundings: Arc<dyn Surroundings>,
    /// The last body of `GET /queue` and the version of the queue it shows.
    queue_text: Mutex<Option<(u64, Bytes)>>,
}

impl App {
    /// Puts the parts together, and has the open sockets told of what the queue and the log do.
    pub fn new(parts: Parts) -> Arc<Self> {
        let hub = Hub::new(HubOptions {
            preview_method: parts.config.preview_method,
            preview_side: parts.config.preview_side,
            utc_offset_seconds: parts.surroundings.utc_offset_seconds(),
        });
        parts.queue.subscribe(hub.clone());
        let listener = hub.clone();
        parts.logs.listen(move |entry| listener.log(entry));
        Arc::new(Self {
            hub,
            auth: auth::Auth::new(&parts.config.auth),
            config: parts.config,
            host: parts.host,
            registry: parts.registry,
            queue: parts.queue,
            folders: parts.folders,
            logs: parts.logs,
            surroundings: parts.surroundings,
            queue_text: Mutex::default(),
        })
    }

    /// The body of `GET /queue`, written once a change: pages and scripts ask for it all the time.
    pub(crate) fn queue_body(&self) -> Bytes {
        let snapshot = self.queue.snapshot();
        let mut text = self.queue_text.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, body)) = &*text
            && *version == snapshot.version
        {
            return body.clone();
        }
        let body = Bytes::from(wire::queue::queue(&snapshot));
        *text = Some((snapshot.version, body.clone()));
        body
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
