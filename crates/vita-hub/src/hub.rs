//! The two hubs: their addresses, and what they say of a file.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::client::{Answer, Client};
use crate::error::{Error, Result};
use crate::place::escaped;

/// A place where models are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hub {
    /// <https://huggingface.co>, and mirrors with its paths.
    HuggingFace,
    /// <https://modelscope.cn>, likewise.
    ModelScope,
}

impl Hub {
    /// Its own address, without a slash at the end.
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::HuggingFace => "https://huggingface.co",
            Self::ModelScope => "https://modelscope.cn",
        }
    }

    /// The page of a repository.
    pub fn page(self, endpoint: &str, repository: &str) -> String {
        match self {
            Self::HuggingFace => format!("{endpoint}/{repository}"),
            Self::ModelScope => format!("{endpoint}/models/{repository}"),
        }
    }

    pub(crate) fn token_page(self) -> &'static str {
        match self {
            Self::HuggingFace => "https://huggingface.co/settings/tokens",
            Self::ModelScope => "https://modelscope.cn/my/myaccesstoken",
        }
    }

    pub(crate) fn token_variable(self) -> &'static str {
        match self {
            Self::HuggingFace => "HF_TOKEN",
            Self::ModelScope => "MODELSCOPE_API_TOKEN",
        }
    }

    /// The branch that is meant where none is named.
    fn branch(self) -> &'static str {
        match self {
            Self::HuggingFace => "main",
            Self::ModelScope => "master",
        }
    }

    fn file_address(self, endpoint: &str, repository: &str, revision: &str, path: &str) -> String {
        let (repository, revision, path) = (escaped(repository), escaped(revision), escaped(path));
        match self {
            Self::HuggingFace => format!("{endpoint}/{repository}/resolve/{revision}/{path}"),
            Self::ModelScope => {
                format!("{endpoint}/api/v1/models/{repository}/repo?Revision={revision}&FilePath={path}")
            }
        }
    }
}

impl fmt::Display for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HuggingFace => "Hugging Face",
            Self::ModelScope => "ModelScope",
        })
    }
}

/// A file as a hub describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// `OWNER/NAME`.
    pub repository: String,
    /// Its name there, with folders.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// Its SHA-256 in hexadecimal, lower case, if the hub states it, as it does for all large files.
    pub sha256: Option<String>,
    /// Where it is fetched, of the commit that was asked about where the hub names one.
    pub(crate) address: String,
}

impl Client {
    /// Asks for a file's size and checksum.
    ///
    /// # Errors
    /// If the hub cannot be reached, does not let it be read, or does not have it.
    pub fn find(&self, repository: &str, path: &str) -> Result<Remote> {
        match self.hub() {
            Hub::HuggingFace => self.find_at_hugging_face(repository, path),
            Hub::ModelScope => self.find_at_modelscope(repository, path),
        }
    }

    /// What the hub says of a repository's licence, such as `apache-2.0`; `None` if it says nothing.
    pub fn licence(&self, repository: &str) -> Option<String> {
        let name = escaped(repository);
        let endpoint = self.endpoint();
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        match self.hub() {
            Hub::HuggingFace => {
                let about: Value = self.json(&format!("{endpoint}/api/models/{name}"), repository, "").ok()?;
                let tag = || {
                    let tags = about["tags"].as_array()?;
                    tags.iter().find_map(|tag| tag.as_str()?.strip_prefix("license:").map(str::to_owned))
                };
                text(&about["cardData"]["license"]).or_else(tag)
            }
            Hub::ModelScope => {
                let about: Value = self.json(&format!("{endpoint}/api/v1/models/{name}"), repository, "").ok()?;
                text(&about["Data"]["License"])
            }
        }
    }

    /// The answer to `HEAD` says it all, in headers of its own where the file lies on another host.
    fn find_at_hugging_face(&self, repository: &str, path: &str) -> Result<Remote> {
        let hub = self.hub();
        let address = hub.file_address(self.endpoint(), repository, hub.branch(), path);
        let Answer { headers, .. } = self.head(&address, repository, path)?;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let wrong = |problem: &str| Error::Answer { address: address.clone(), problem: problem.to_owned() };
        let size = header("x-linked-size").or_else(|| header("content-length")).and_then(|text| text.parse().ok());
        let tag = header("x-linked-etag").or_else(|| header("etag")).unwrap_or_default();
        let tag = tag.trim_start_matches("W/").trim_matches('"');
        let commit = header("x-repo-commit").filter(|commit| commit.bytes().all(|byte| byte.is_ascii_hexdigit()));
        Ok(Remote {
            repository: repository.to_owned(),
            path: path.to_owned(),
            size_bytes: size.ok_or_else(|| wrong("without the file's size"))?,
            sha256: sha256(tag),
            address: match commit {
                Some(commit) => hub.file_address(self.endpoint(), repository, commit, path),
                None => address,
            },
        })
    }

    fn find_at_modelscope(&self, repository: &str, path: &str) -> Result<Remote> {
        let hub = self.hub();
        let (endpoint, branch) = (self.endpoint(), hub.branch());
        let name = escaped(repository);
        let address = format!("{endpoint}/api/v1/models/{name}/repo/files?Revision={branch}&Recursive=True");
        let Listing { data } = self.json(&address, repository, "")?;
        let file = data.files.into_iter().find(|file| file.path == path).ok_or_else(|| Error::NoFile {
            hub,
            repository: repository.to_owned(),
            path: path.to_owned(),
            endpoint: endpoint.to_owned(),
        })?;
        Ok(Remote {
            repository: repository.to_owned(),
            path: path.to_owned(),
            size_bytes: file.size,
            sha256: sha256(&file.sha256),
            address: hub.file_address(endpoint, repository, branch, path),
        })
    }
}

/// ModelScope's list of a repository's files.
#[derive(Deserialize)]
struct Listing {
    #[serde(rename = "Data")]
    data: Files,
}

#[derive(Deserialize)]
struct Files {
    #[serde(rename = "Files")]
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "Path")]
    path: String,
    #[serde(rename = "Size")]
    size: u64,
    #[serde(rename = "Sha256", default)]
    sha256: String,
}

/// Small files have a tag of another kind.
fn sha256(tag: &str) -> Option<String> {
    (tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| tag.to_ascii_lowercase())
}
