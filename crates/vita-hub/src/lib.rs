//! Files of the hubs that models are published on, Hugging Face and ModelScope, brought to a folder.
//!
//! - [`Client::find`] asks a hub how large a file is and which SHA-256 it has; [`Client::licence`] under which
//!   licence its repository stands.
//! - [`Client::download`] fetches it over several connections into `NAME.partial`, with `NAME.partial.json` beside it
//!   saying which parts are there, so that a download that was cut, killed or stopped goes on where it was; the file
//!   gets its name when its SHA-256 is the one that the hub states.
//! - [`existing`] tells whether a file that is there already is that file.
//!
//! A token goes to the hub's own host only, never to the hosts that it redirects to. Threads live as long as one call
//! of [`Client::download`]. The crate reads neither environment nor clock; it waits between attempts as long as
//! [`Patience`] says.
#![forbid(unsafe_code)]

mod check;
mod client;
mod download;
mod error;
mod hub;
mod partial;
mod place;

pub use check::{Existing, existing};
pub use client::{Client, Options, Patience, Proxy};
pub use download::{Event, Parts};
pub use error::{Error, Result};
pub use hub::{Hub, Remote};
