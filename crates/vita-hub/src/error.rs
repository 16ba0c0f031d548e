//! What can go wrong between a hub and the disk, said so that a user knows the next step.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error as ThisError;
use vita_base::{Hint, bytes_text};

use crate::Hub;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, ThisError)]
pub enum Error {
    /// An address that cannot be one.
    #[error("`{0}` is no address of a hub")]
    Endpoint(String),
    /// A proxy's address that cannot be one.
    #[error("`{0}` is no address of a proxy")]
    Proxy(String),
    /// A token with characters that cannot be sent.
    #[error("what {} holds is no token", .0.token_variable())]
    Token(Hub),
    /// No connection, or one that broke each time.
    #[error("`{host}` cannot be reached: {cause}")]
    Unreachable {
        /// Scheme and host.
        host: String,
        /// What the system says.
        cause: String,
    },
    /// 401: the hub wants to know who asks, or does not believe it.
    #[error("{hub} lets nobody read `{repository}` without {}", if *.had_token { "a valid token; it refused the one given" } else { "a token" })]
    Unauthorised {
        /// Which hub.
        hub: Hub,
        /// What was asked for.
        repository: String,
        /// Whether a token was sent.
        had_token: bool,
    },
    /// 403 of a repository whose terms must be accepted first.
    #[error("`{repository}` can be read only by those who accepted its terms")]
    Gated {
        /// What was asked for.
        repository: String,
        /// Where the terms are.
        page: String,
        /// Whether a token was sent.
        had_token: bool,
    },
    /// 403 for another reason.
    #[error("{hub} does not let you read `{repository}`{}", quoted(said))]
    Forbidden {
        /// Which hub.
        hub: Hub,
        /// What was asked for.
        repository: String,
        /// What the hub says.
        said: String,
    },
    /// 404, or a list without it.
    #[error("{hub} has no file `{path}` in `{repository}`")]
    NoFile {
        /// Which hub.
        hub: Hub,
        /// Where it was looked for.
        repository: String,
        /// What was looked for.
        path: String,
        /// The hub's address.
        endpoint: String,
    },
    /// 404 of the repository, or 401 that says so.
    #[error("{hub} has no repository `{repository}`, or does not show it to everybody")]
    NoRepository {
        /// Which hub.
        hub: Hub,
        /// What was asked for.
        repository: String,
        /// The hub's address.
        endpoint: String,
    },
    /// An answer of a status that says the fault is the server's, each time it was asked.
    #[error("`{host}` answered {status} each of {attempts} times{}", quoted(said))]
    Server {
        /// Scheme and host.
        host: String,
        /// HTTP status.
        status: u16,
        /// How often it was asked.
        attempts: u32,
        /// What the server says.
        said: String,
    },
    /// An answer that no hub gives.
    #[error("`{address}` answered {problem}")]
    Answer {
        /// What was asked.
        address: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// A body that ended early each time.
    #[error("the download of `{path}` ended short: {missing} bytes of its {size} did not come", size = bytes_text(*.size_bytes))]
    Short {
        /// The file's name in the repository.
        path: String,
        /// What the hub says its size is.
        size_bytes: u64,
        /// What did not come.
        missing: u64,
    },
    /// All bytes came, and not the right ones.
    #[error(
        "`{path}` came with another checksum than {hub} states: SHA-256 {found} instead of {stated}; it was removed"
    )]
    Checksum {
        /// Which hub.
        hub: Hub,
        /// The file's name in the repository.
        path: String,
        /// What the hub says.
        stated: String,
        /// What it is.
        found: String,
    },
    /// Another process is at it.
    #[error("`{}` is being written by another process", .0.display())]
    Busy(PathBuf),
    /// The disk refused.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// What was written.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The disk refused to give back.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The user did.
    #[error("the download was stopped")]
    Stopped,
}

impl Error {
    pub(crate) fn write(path: &Path, cause: io::Error) -> Self {
        Self::Write { path: path.to_owned(), cause }
    }

    /// The same with the number of attempts.
    pub(crate) fn after(mut self, count: u32) -> Self {
        if let Self::Server { attempts, .. } = &mut self {
            *attempts = count;
        }
        self
    }

    pub(crate) fn read(path: &Path, cause: io::Error) -> Self {
        Self::Read { path: path.to_owned(), cause }
    }
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        const GOES_ON: &str = "what came is kept, and the same command goes on from there";
        Some(match self {
            Self::Endpoint(_) => "give scheme and host, such as https://huggingface.co".into(),
            Self::Proxy(_) => "give scheme, host and port, such as http://proxy.example:8080".into(),
            Self::Token(hub) => format!("make one at {} and copy it without spaces", hub.token_page()),
            Self::Unreachable { .. } => format!(
                "check the connection, the proxy (HTTPS_PROXY) and --endpoint, or choose the other hub with --from; \
                 {GOES_ON}"
            ),
            Self::Unauthorised { hub, .. } => {
                format!("make a token at {} and set {} to it", hub.token_page(), hub.token_variable())
            }
            Self::Gated { page, had_token: true, .. } => {
                format!("accept the terms at {page} with the account that the token belongs to, then pull again")
            }
            Self::Gated { page, had_token: false, .. } => {
                format!("accept the terms at {page}, then set HF_TOKEN to a token of that account and pull again")
            }
            Self::Forbidden { hub, .. } => {
                format!(
                    "check which rights the token in {} has, or choose the other hub with --from",
                    hub.token_variable()
                )
            }
            Self::NoFile { hub, endpoint, .. } | Self::NoRepository { hub, endpoint, .. } => {
                match *endpoint == hub.endpoint() {
                    true => "choose the other hub with --from; the file may have been moved".into(),
                    false => format!(
                        "{endpoint} may not mirror it; leave --endpoint out, or choose the other hub with --from"
                    ),
                }
            }
            Self::Server { status: 429, .. } => {
                format!("too many requests came from here: wait some minutes, then pull again, with a token; {GOES_ON}")
            }
            Self::Server { .. } => {
                format!("the fault is the server's: pull again later, or choose the other hub with --from; {GOES_ON}")
            }
            Self::Answer { .. } => {
                "check --endpoint: it may be no hub, or a page of a network that wants a login".into()
            }
            Self::Short { .. } => format!("pull again; {GOES_ON}"),
            Self::Checksum { .. } => {
                "pull again; if it happens twice, something on the way changes files: choose the other hub with --from"
                    .into()
            }
            Self::Busy(_) => "wait for the other pull to end, or end it".into(),
            Self::Write { cause, .. } => match cause.kind() {
                io::ErrorKind::StorageFull => format!("free some space and pull again; {GOES_ON}"),
                io::ErrorKind::FileTooLarge | io::ErrorKind::QuotaExceeded => {
                    format!(
                        "files may not be that large there: choose another disk with --models-dir, or lift the limit; {GOES_ON}"
                    )
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "choose a folder that you may write to with --models-dir".into()
                }
                _ => return None,
            },
            Self::Read { .. } => return None,
            Self::Stopped => GOES_ON.into(),
        })
    }
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": \"{said}\"") }
}
