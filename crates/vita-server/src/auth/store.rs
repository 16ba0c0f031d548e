//! `login.json`: the hash of the token that was made at the first start, and the open sessions.

use std::path::Path;

use serde::{Deserialize, Serialize};
use vita_folders::{Error, Result, replace_private_file};

/// What the file holds. Hashes only: reading it does not let anybody in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Stored {
    /// Of the token that was made, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_sha256: Option<String>,
    /// Open sessions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<StoredSession>,
}

/// One session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredSession {
    /// Of the session's id and the token's hash: with another token it is no session any more.
    pub sha256: String,
    /// Seconds since 1970.
    pub expires: u64,
}

impl Stored {
    /// What is in the file; nothing where there is none.
    pub fn read(path: &Path) -> Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
                Error::Io { action: "understand", path: path.to_owned(), source }
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::Io { action: "read", path: path.to_owned(), source }),
        }
    }

    /// Replaces the file, readable by its owner only.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).expect("hashes and numbers are JSON");
        replace_private_file(path, &text)
    }
}
