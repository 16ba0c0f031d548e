//! `/userdata`: workflows and other files that the page keeps.

use std::io::Write;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use vita_folders::{Folders, PartialFile, SafeName};

use super::send::{self, Described};
use super::stamp::{Stamp, milliseconds};
use super::{blocking, content_type, disk_refused, say, view};
use crate::App;
use crate::body::reply;

/// A tree deeper or larger than this is cut.
const ENTRY_COUNT_MAX: usize = 100_000;

/// The directory of the only user.
pub(crate) fn root(folders: &Folders) -> PathBuf {
    folders.user().join("default")
}

/// What to list, and how.
#[derive(Debug, Deserialize)]
pub(crate) struct ListQuery {
    dir: Option<String>,
    #[serde(default)]
    recurse: String,
    #[serde(default)]
    full_info: String,
    #[serde(default)]
    split: String,
}

/// `GET /userdata?dir=`: the files of a folder; paths are relative to it.
pub(crate) async fn list(State(app): State<Arc<App>>, Query(query): Query<ListQuery>) -> Response {
    let Some(dir) = query.dir.as_deref().filter(|dir| !dir.is_empty()) else {
        return say(StatusCode::BAD_REQUEST, "Directory not provided");
    };
    let Ok(folder) = SafeName::folder(dir) else { return say(StatusCode::FORBIDDEN, "Invalid directory") };
    let folder = folder.under(&root(&app.folders));
    blocking(move || {
        if !folder.is_dir() {
            return say(StatusCode::NOT_FOUND, "Directory not found");
        }
        let mut entries = walk(&folder, is_true(&query.recurse));
        entries.retain(|entry| !entry.is_folder);
        entries.sort_by(|one, two| one.path.cmp(&two.path));
        let shown = entries.iter().map(|entry| {
            if is_true(&query.full_info) {
                entry.info(&entry.path)
            } else if is_true(&query.split) {
                std::iter::once(entry.path.as_str()).chain(entry.path.split('/')).collect()
            } else {
                json!(entry.path)
            }
        });
        reply(&shown.collect::<Value>())
    })
    .await
}

/// Below what to list everything.
#[derive(Debug, Deserialize)]
pub(crate) struct TreeQuery {
    #[serde(default)]
    path: String,
}

/// `GET /v2/userdata?path=`: files and folders below a folder, folders first; paths relative to the user's directory.
pub(crate) async fn tree(State(app): State<Arc<App>>, Query(query): Query<TreeQuery>) -> Response {
    let Ok(folder) = SafeName::folder(&query.path) else { return say(StatusCode::FORBIDDEN, "Invalid directory") };
    blocking(move || {
        let path = folder.under(&root(&app.folders));
        if !path.is_dir() {
            let is_root = folder.as_str().is_empty();
            return if is_root { reply(&json!([])) } else { say(StatusCode::NOT_FOUND, "Directory not found") };
        }
        let mut entries = walk(&path, true);
        entries.sort_by(|one, two| two.is_folder.cmp(&one.is_folder).then_with(|| one.path.cmp(&two.path)));
        let prefix = if folder.as_str().is_empty() { String::new() } else { format!("{folder}/") };
        let shown = entries.iter().map(|entry| {
            let path = format!("{prefix}{}", entry.path);
            let name = path.rsplit('/').next().unwrap_or_default();
            if entry.is_folder {
                json!({ "name": name, "path": path, "type": "directory" })
            } else {
                let (size, modified) = (entry.stamp.size_bytes, milliseconds(entry.stamp.modified));
                json!({ "name": name, "path": path, "type": "file", "size": size, "modified": modified })
            }
        });
        reply(&shown.collect::<Value>())
    })
    .await
}

/// `GET /userdata/{file}`: the file, never shown as a page.
pub(crate) async fn read(State(app): State<Arc<App>>, Path(file): Path<String>, request: HeaderMap) -> Response {
    let Ok(name) = SafeName::new(&file) else { return StatusCode::FORBIDDEN.into_response() };
    // The one file that the page links as a style.
    let is_style = name.as_str() == "user.css";
    let guessed = content_type::of_name(name.file_name());
    let described = Described {
        content_type: Some(if content_type::is_active(guessed) && !is_style { content_type::BYTES } else { guessed }),
        disposition: Some(view::disposition(name.file_name(), !is_style)),
        no_sniff: true,
        has_compressed_siblings: false,
    };
    send::send(&name.under(&root(&app.folders)), &request, described).await
}

/// How to write, and what to answer.
#[derive(Debug, Deserialize)]
pub(crate) struct WriteQuery {
    #[serde(default)]
    overwrite: String,
    #[serde(default)]
    full_info: String,
}

impl WriteQuery {
    /// Overwriting is the rule.
    pub fn may_overwrite(&self) -> bool {
        self.overwrite != "false"
    }

    /// A path, or what there is to say of the file.
    pub fn reply(&self, name: &SafeName, path: &FilePath) -> Response {
        if !is_true(&self.full_info) {
            return reply(&name.as_str());
        }
        match std::fs::metadata(path) {
            Ok(data) => {
                let entry = Entry { path: String::new(), is_folder: false, stamp: Stamp::of(&data) };
                reply(&entry.info(name.as_str()))
            }
            Err(_) => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

/// `POST /userdata/{file}`: the body becomes the file.
pub(crate) async fn write(
    State(app): State<Arc<App>>,
    Path(file): Path<String>,
    Query(query): Query<WriteQuery>,
    body: Bytes,
) -> Response {
    let Ok(name) = SafeName::new(&file) else { return StatusCode::FORBIDDEN.into_response() };
    blocking(move || {
        let path = name.under(&root(&app.folders));
        match store(&path, &body, query.may_overwrite()) {
            Ok(true) => query.reply(&name, &path),
            Ok(false) => say(StatusCode::CONFLICT, "File already exists"),
            Err(error) => disk_refused(&error),
        }
    })
    .await
}

/// False where the name is taken and may not be overwritten.
fn store(path: &FilePath, body: &[u8], may_overwrite: bool) -> vita_folders::Result<bool> {
    if may_overwrite {
        return vita_folders::replace_file(path, body).map(|()| true);
    }
    if path.exists() {
        return Ok(false);
    }
    let io = |action, source| vita_folders::Error::Io { action, path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| io("create", source))?;
    }
    let mut file = PartialFile::create(path)?;
    file.write_all(body).map_err(|source| io("write", source))?;
    Ok(file.commit_new()?.is_ok())
}

/// `DELETE /userdata/{file}`
pub(crate) async fn delete(State(app): State<Arc<App>>, Path(file): Path<String>) -> Response {
    let Ok(name) = SafeName::new(&file) else { return StatusCode::FORBIDDEN.into_response() };
    blocking(move || {
        let path = name.under(&root(&app.folders));
        if !path.is_file() {
            return StatusCode::NOT_FOUND.into_response();
        }
        match std::fs::remove_file(&path) {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(source) => disk_refused(&vita_folders::Error::Io { action: "remove", path, source }),
        }
    })
    .await
}

/// One file or folder below another.
struct Entry {
    /// Relative, with `/`.
    path: String,
    is_folder: bool,
    stamp: Stamp,
}

impl Entry {
    fn info(&self, path: &str) -> Value {
        json!({
            "path": path,
            "size": self.stamp.size_bytes,
            "modified": milliseconds(self.stamp.modified),
            "created": milliseconds(self.stamp.created),
        })
    }
}

/// Everything below a folder but what begins with a dot. Links to folders are not followed.
fn walk(folder: &FilePath, recurse: bool) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = open.pop() {
        for found in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(name) = found.file_name().into_string() else { continue };
            if name.starts_with('.') || entries.len() >= ENTRY_COUNT_MAX {
                continue;
            }
            let Ok(data) = std::fs::metadata(found.path()) else { continue };
            let path = format!("{prefix}{name}");
            if data.is_dir() && recurse && !found.path().is_symlink() {
                open.push((found.path(), format!("{path}/")));
            }
            entries.push(Entry { path, is_folder: data.is_dir(), stamp: Stamp::of(&data) });
        }
    }
    entries
}

fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}
