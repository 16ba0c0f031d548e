//! What results are called, what is written beside their pixels, and what the page is told of them.

mod pictures;
mod python_json;

use std::io::Write;
use std::path::Path;

use serde_json::{Value as Json, json};
use vita_folders::{Naming, PartialFile, Place, SavePath, SaveRequest};
use vita_graph::{Context, NodeError};

use crate::studio::Studio;

pub(crate) use pictures::{Target, save_pictures};
pub(crate) use python_json::dumps;

/// The next free name of a result, nobody else's until the path is dropped. `size` is width and height.
///
/// # Errors
/// A prefix that would leave the directory, or a folder that cannot be written.
pub(crate) fn next_path(
    context: &Context<'_>,
    place: Place,
    naming: Naming,
    prefix: &str,
    size: [usize; 2],
) -> Result<SavePath, NodeError> {
    next_paths(context, place, naming, prefix, size, 1)
}

/// The first of so many free names in a row.
///
/// # Errors
/// As [`next_path`].
fn next_paths(
    context: &Context<'_>,
    place: Place,
    naming: Naming,
    prefix: &str,
    size: [usize; 2],
    count: u64,
) -> Result<SavePath, NodeError> {
    let studio: &Studio = context.host();
    let [width, height] = size.map(|side| side as u32);
    let request = SaveRequest { prefix, width, height, now: studio.now(), naming, count };
    studio.folders.save_path(place, &request).map_err(|error| NodeError::of(&error))
}

/// The texts that travel with a result: the prompt, then what the client wants embedded. None if that is off.
pub(crate) fn texts(context: &Context<'_>) -> Vec<(String, String)> {
    let studio: &Studio = context.host();
    if studio.settings.disable_metadata {
        return Vec::new();
    }
    let mut texts = Vec::new();
    if !context.prompt.is_null() {
        texts.push(("prompt".to_owned(), dumps(context.prompt)));
    }
    if let Json::Object(extra) = context.extra_pnginfo {
        texts.extend(extra.iter().map(|(key, value)| (key.clone(), dumps(value))));
    }
    texts
}

/// A file as the page is told of it.
pub(crate) fn shown(file_name: &str, path: &SavePath, place: Place) -> Json {
    json!({ "filename": file_name, "subfolder": path.subfolder, "type": place.name() })
}

/// Writes a whole file under its final name at once. What lies in `temp` is gone with the next start, and need
/// not be on the disk before the work goes on.
///
/// # Errors
/// If the disk refuses.
pub(crate) fn write_file(path: &Path, place: Place, bytes: &[u8]) -> Result<(), NodeError> {
    if place == Place::Temp {
        let written = std::fs::write(path, bytes).or_else(|error| match (error.kind(), path.parent()) {
            // Somebody tidied up.
            (std::io::ErrorKind::NotFound, Some(folder)) => {
                std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, bytes))
            }
            _ => Err(error),
        });
        return written.map_err(|error| disk(path, &error));
    }
    let mut file = PartialFile::create(path).map_err(|error| NodeError::of(&error))?;
    file.write_all(bytes).map_err(|error| disk(path, &error))?;
    file.commit().map(|_| ()).map_err(|error| NodeError::of(&error))
}

/// A disk that refused.
pub(crate) fn disk(path: &Path, error: &std::io::Error) -> NodeError {
    let hint = match error.kind() {
        std::io::ErrorKind::StorageFull => Some("make room on the disk".into()),
        std::io::ErrorKind::PermissionDenied => Some("check who owns the folder, or choose another".into()),
        _ => None,
    };
    NodeError::Failed { kind: "OSError", message: format!("cannot write `{}`: {error}", path.display()), hint }
}
