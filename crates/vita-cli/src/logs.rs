//! What the libraries log, on stderr: nothing, unless `-v` or `VITASCOPE_LOG` asks.

use std::env;
use std::io;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::terminal;

/// Which logs: a level (`debug`) or levels of parts (`vita_ops=trace,info`).
const VARIABLE: &str = "VITASCOPE_LOG";

/// Starts logging, if it was asked for.
pub fn start(verbose: bool) {
    let Some(wanted) = wanted(verbose) else { return };
    let layer = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(terminal::stderr_has_colour())
        .with_timer(fmt::time::uptime())
        .with_filter(wanted);
    tracing_subscriber::registry().with(layer).init();
}

/// Whether logs are written to stderr, where they would tear a progress bar.
pub fn are_on() -> bool {
    LevelFilter::current() != LevelFilter::OFF
}

fn wanted(verbose: bool) -> Option<Targets> {
    let text = env::var(VARIABLE).unwrap_or_default();
    if text.is_empty() {
        return verbose.then(|| Targets::new().with_default(LevelFilter::DEBUG));
    }
    match Targets::from_str(&text) {
        Ok(targets) => Some(targets),
        Err(error) => {
            terminal::note(&format!("warning: {VARIABLE}={text} is ignored: {error}; an example is `debug`"));
            None
        }
    }
}
