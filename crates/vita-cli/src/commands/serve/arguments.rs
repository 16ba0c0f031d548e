//! The flags of `serve`, named as ComfyUI's where the meaning is the same.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use tracing_subscriber::filter::LevelFilter;
use vita_base::Report;
use vita_server::PreviewMethod;

use super::foreign_flags::{ForeignFlags, LEVELS};
use crate::folders;

/// Start the server: ComfyUI's API, its page where it is installed, and workflows.
#[derive(Args)]
pub struct Arguments {
    /// Addresses to listen on, separated by commas; without a value all of this machine.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", default_missing_value = "0.0.0.0,::", num_args = 0..=1)]
    pub listen: String,
    /// Port to listen on.
    #[arg(long, default_value_t = 8188)]
    pub port: u16,
    #[command(flatten)]
    pub folders: folders::Arguments,
    /// Folder of the editor's files [default: the Python package comfyui-frontend-package, if installed].
    #[arg(long, value_name = "FOLDER")]
    pub front_end_root: Option<PathBuf>,
    /// Token that clients must send; any 8 characters or more.
    #[arg(long, env = "VITASCOPE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Ask for a token; the first time one is made and shown once.
    #[arg(long)]
    pub login: bool,
    /// Let everybody in, also when listening beyond this machine.
    #[arg(long)]
    pub no_auth: bool,
    /// Let pages of another origin in; without a value of every origin.
    #[arg(long, value_name = "ORIGIN", default_missing_value = "*", num_args = 0..=1)]
    pub enable_cors_header: Option<String>,
    /// The most megabytes of an upload.
    #[arg(long, value_name = "MB", default_value_t = 100.0, value_parser = megabytes)]
    pub max_upload_size: f64,
    /// What is shown of unfinished results.
    #[arg(long, value_name = "METHOD", default_value = "none", value_parser = ["none", "auto", "latent2rgb", "taesd"])]
    pub preview_method: String,
    /// Longer side of previews, in pixels.
    #[arg(long, value_name = "PIXELS", default_value_t = 512)]
    pub preview_size: u32,
    /// PEM key, for HTTPS.
    #[arg(long, value_name = "FILE")]
    pub tls_keyfile: Option<PathBuf>,
    /// PEM certificate, for HTTPS.
    #[arg(long, value_name = "FILE")]
    pub tls_certfile: Option<PathBuf>,
    /// Let pages connect to this server only.
    #[arg(long)]
    pub offline: bool,
    /// The same, by ComfyUI's older name.
    #[arg(long)]
    pub disable_api_nodes: bool,
    /// Let accepted prompts survive a power cut too, not only the end of the process.
    #[arg(long)]
    pub durable: bool,
    /// Keep at most so many entries of history.
    #[arg(long, value_name = "COUNT")]
    pub history_max_count: Option<usize>,
    /// Keep entries of history for so many days.
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub history_max_days: Option<f64>,
    /// What is told on stderr, at least; `--verbose LEVEL` is understood as well.
    #[arg(long, value_name = "LEVEL", default_value = "INFO", value_parser = LEVELS)]
    pub log_level: String,
    #[command(flatten)]
    pub foreign: ForeignFlags,
}

impl Arguments {
    /// Addresses of `--listen`.
    pub fn addresses(&self) -> Result<Vec<IpAddr>, Report> {
        let one = |text: &str| match text.trim() {
            "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
            text => text.parse().map_err(|_| {
                Report::new(format!("--listen {text}: this is no IP address"))
                    .with_hint("give 127.0.0.1 for this machine only, 0.0.0.0 for all")
            }),
        };
        self.listen.split(',').map(one).collect()
    }

    pub fn preview_method(&self) -> PreviewMethod {
        PreviewMethod::of_name(&self.preview_method).unwrap_or_default()
    }

    /// What is told on stderr.
    pub fn log_level(&self) -> LevelFilter {
        match self.log_level.as_str() {
            "DEBUG" => LevelFilter::DEBUG,
            "WARNING" => LevelFilter::WARN,
            "ERROR" | "CRITICAL" => LevelFilter::ERROR,
            _ => LevelFilter::INFO,
        }
    }
}

impl fmt::Debug for Arguments {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arguments").field("listen", &self.listen).field("port", &self.port).finish_non_exhaustive()
    }
}

/// The command line as clients may see it.
pub fn without_secrets(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut hide_next = false;
    let one = |argument: String| {
        if std::mem::take(&mut hide_next) {
            return "...".to_owned();
        }
        hide_next = argument == "--token";
        if argument.starts_with("--token=") { "--token=...".to_owned() } else { argument }
    };
    arguments.map(one).collect()
}

fn megabytes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1e9 => Ok(value),
        _ => Err("give a number of megabytes above 0".into()),
    }
}

fn days(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1e6 => Ok(value),
        _ => Err("give a number of days above 0".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_not_shown() {
        let given =
            ["vitascope", "serve", "--token", "secret123", "--port", "1", "--token=secret456"].map(String::from);
        let shown = without_secrets(given.into_iter()).join(" ");
        assert_eq!(shown, "vitascope serve --token ... --port 1 --token=...");
    }
}
