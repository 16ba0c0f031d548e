//! A batch as numbered PNG files: what `SaveImage` and the previews share.

use serde_json::Value as Json;
use vita_folders::{Naming, Place};
use vita_graph::{Context, NodeError};

use super::{next_path, shown, texts, write_file};
use crate::data::Image;
use crate::pictures::{PngOptions, encode_png};

/// How a batch is written.
pub(crate) struct Numbered<'a> {
    /// Where.
    pub place: Place,
    /// Folders, then the beginning of the names. `%batch_num%` becomes the picture's place in the batch.
    pub prefix: &'a str,
    /// Of the compression, 0 to 9.
    pub level: u8,
}

/// Writes each picture of a batch under the next number, and says what the page is told of them.
///
/// # Errors
/// A prefix that would leave the directory, a disk that refuses, or a run that was asked to stop.
pub(crate) fn save_pictures(
    image: &Image,
    numbered: &Numbered<'_>,
    context: &mut Context<'_>,
) -> Result<Vec<Json>, NodeError> {
    let size = [image.width(), image.height()];
    let path = next_path(context, numbered.place, Naming::Core, numbered.prefix, size)?;
    let text = texts(context);
    let options = PngOptions { size, channels: image.channels(), level: numbered.level, text: &text, animation: None };
    let count = image.count();
    let mut files = Vec::with_capacity(count);
    for index in 0..count {
        context.check()?;
        let name = path.file_name(path.counter + index as u64, "png").replace("%batch_num%", &index.to_string());
        write_file(&path.folder.join(&name), numbered.place, &encode_png(&[image.bytes(index)], &options)?)?;
        files.push(shown(&name, &path, numbered.place));
        if count > 1 {
            context.progress(index as u64 + 1, count as u64);
        }
    }
    Ok(files)
}

/// A prefix for previews, which no earlier preview has.
pub(crate) fn preview_prefix(context: &Context<'_>) -> String {
    let studio: &crate::studio::Studio = context.host();
    format!("ComfyUI_temp_{}", studio.letters())
}
