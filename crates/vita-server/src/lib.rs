//! ComfyUI's HTTP and WebSocket interface; the only crate that knows that JSON.
//!
//! [`App`] holds what the handlers need; [`router`] makes the routes of it and [`serve`] listens. Handlers are
//! three steps: wire to domain, one call, domain to wire. `wire/` holds the JSON twins and conversions, `routes/`
//! prompts, queue, history and the system, `files/` whatever reads or writes files, `socket/` the WebSocket,
//! `auth/` and `guard/` what stands before every route, `page/` the page itself.
//!
//! Nothing here knows a node: the registry is handed in.
#![forbid(unsafe_code)]

mod app;
pub mod auth;
mod body;
mod config;
mod files;
mod guard;
mod ids;
mod logs;
mod page;
mod routes;
mod serve;
mod socket;
mod surroundings;
mod wire;

pub use app::{App, Parts, router};
pub use config::{PreviewMethod, ServerConfig, TlsFiles, Versions};
pub use logs::{LogEntry, LogLayer, LogRing};
pub use page::{Editor, find_editor, install_workflows};
pub use serve::{ServeError, Server};
pub use socket::Hub;
pub use surroundings::{Device, Memory, Surroundings};
