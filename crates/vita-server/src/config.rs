//! What the server is told when it starts: plain fields, filled by the command line.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::auth;

/// Everything that does not change while the server runs.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Addresses to listen on.
    pub listen: Vec<IpAddr>,
    /// Port of each; 0 for any free one.
    pub port: u16,
    /// Key and certificate, for HTTPS.
    pub tls: Option<TlsFiles>,
    /// `--enable-cors-header`: the origin that may, or `*`. Without it foreign origins are refused.
    pub cors: Option<String>,
    /// The most bytes of a request, uploads included.
    pub max_upload_bytes: u64,
    /// What previews show where the prompt does not say.
    pub preview_method: PreviewMethod,
    /// Longer side of a preview, pixels.
    pub preview_side: u32,
    /// Where the editor's files lie, if it is installed.
    pub front_end_root: Option<PathBuf>,
    /// Where the editor's workflow templates lie: folders whose files are served by name.
    pub template_roots: Vec<PathBuf>,
    /// Whether pages may connect to this server only (a Content-Security-Policy).
    pub offline: bool,
    /// Who may come in.
    pub auth: auth::Settings,
    /// What `/system_stats` says we are.
    pub versions: Versions,
    /// The command line, for `/system_stats`.
    pub argv: Vec<String>,
}

/// A PEM key and a PEM certificate chain.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// `--tls-keyfile`
    pub key: PathBuf,
    /// `--tls-certfile`
    pub certificate: PathBuf,
}

/// What is shown of a result that is not yet finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PreviewMethod {
    /// Nothing.
    #[default]
    None,
    /// The best there is.
    Auto,
    /// A linear map from latent channels to colours.
    Latent2Rgb,
    /// A small decoder.
    Taesd,
}

impl PreviewMethod {
    /// The method of a name, as on the command line and in `extra_data.preview_method`; none for `default` and
    /// for what is not known.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "auto" => Some(Self::Auto),
            "latent2rgb" => Some(Self::Latent2Rgb),
            "taesd" => Some(Self::Taesd),
            _ => None,
        }
    }
}

/// Versions that clients compare.
#[derive(Clone, Debug)]
pub struct Versions {
    /// Ours.
    pub vitascope: String,
    /// The ComfyUI whose interface this is, as `0.8.0`.
    pub comfyui: String,
    /// Of the editor that is served, if one is.
    pub frontend: Option<String>,
    /// Of the templates that are served, if any are.
    pub templates: Option<String>,
}
