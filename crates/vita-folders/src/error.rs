//! What can be wrong with a name or a directory, and what to do about it.

use std::io;
use std::path::PathBuf;

use vita_base::Hint;

use crate::safe_name::UnsafeName;

/// A fault of a name, a directory or a file of paths.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name from outside that must not become a path.
    #[error(transparent)]
    UnsafeName(#[from] UnsafeName),
    /// No file of that name.
    #[error("`{name}` is not in the folder `{category}`")]
    NotFound {
        /// The category or place that was searched.
        category: String,
        /// The name as it was given.
        name: String,
        /// The directories that were searched.
        searched: Vec<PathBuf>,
    },
    /// A category that nobody declared.
    #[error("there is no model folder called `{name}`")]
    UnknownCategory {
        /// The name as it was given.
        name: String,
    },
    /// Every number for a result is taken.
    #[error("`{folder}` holds a result with the highest number that is used ({counter})")]
    CounterFull {
        /// Where the results lie.
        folder: PathBuf,
        /// The number.
        counter: u64,
    },
    /// A file of extra model paths that cannot be understood.
    #[error("cannot understand `{path}`: {problem}")]
    ExtraPaths {
        /// The YAML file.
        path: PathBuf,
        /// What is wrong in it, with the line where that is known.
        problem: String,
    },
    /// The disk said no.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// A verb: read, create, write, list.
        action: &'static str,
        /// Of what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }

    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::UnsafeName(_) => {
                Some("give a plain name, with `/` between folders, that stays inside its folder".into())
            }
            Self::NotFound { searched, .. } if searched.is_empty() => None,
            Self::NotFound { searched, .. } => {
                let places: Vec<String> = searched.iter().map(|path| format!("`{}`", path.display())).collect();
                Some(format!("put the file into {}, or choose another", places.join(" or ")))
            }
            Self::UnknownCategory { .. } => Some("the folders are listed by `GET /models`".into()),
            Self::CounterFull { .. } => Some("choose another prefix, or move old results away".into()),
            Self::ExtraPaths { .. } => Some(
                "write it like ComfyUI's extra_model_paths.yaml: a name, below it `base_path` and one line a folder"
                    .into(),
            ),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("make room on the disk".into())
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("check who owns it, or choose another directory".into())
            }
            Self::Io { .. } => None,
        }
    }
}
