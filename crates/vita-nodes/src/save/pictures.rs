//! A batch as numbered PNG files: what `SaveImage` and the previews share.

use serde_json::{Value as Json, json};
use vita_folders::{Naming, Place};
use vita_graph::{Context, NodeError};

use super::{next_paths, texts, write_file};
use crate::data::Image;
use crate::pictures::{PngOptions, encode_png};
use crate::studio::studio;

/// Where a batch is written, and under which names.
pub(crate) enum Target<'a> {
    /// Among the results. A prefix is folders, then the beginning of the names; `%batch_num%` becomes the picture's
    /// place in the batch.
    Results {
        /// The prefix.
        prefix: &'a str,
    },
    /// Beside the results, under names of the program's own.
    Previews {
        /// Of the compression, 0 to 9.
        level: u8,
    },
}

/// Of the compression of results.
const RESULT_LEVEL: u8 = 4;

/// Writes each picture of a batch under the next number, and says what the page is told of them.
///
/// # Errors
/// A prefix that would leave the directory, a disk that refuses, or a run that was asked to stop.
pub(crate) fn save_pictures(
    image: &Image,
    target: &Target<'_>,
    context: &mut Context<'_>,
) -> Result<Vec<Json>, NodeError> {
    let size = [image.width(), image.height()];
    let count = image.count() as u64;
    let studio = studio(context.host);
    // Held until the last picture is written.
    let mut path = None;
    let (place, level, folder, subfolder, stem, first) = match target {
        Target::Results { prefix } => {
            let path = path.insert(next_paths(context, Place::Output, Naming::Core, prefix, size, count)?);
            let (folder, subfolder, stem) = (path.folder.clone(), path.subfolder.clone(), path.stem.clone());
            (Place::Output, RESULT_LEVEL, folder, subfolder, stem, path.counter)
        }
        Target::Previews { level } => {
            let folder = studio.folders.temp().to_owned();
            let (stem, first) = studio.preview_names(count);
            (Place::Temp, *level, folder, String::new(), stem, first)
        }
    };
    let text = texts(context);
    let options = PngOptions { size, channels: image.channels(), level, text: &text, animation: None };
    let mut files = Vec::with_capacity(image.count());
    for index in 0..image.count() {
        context.check()?;
        let stem = stem.replace("%batch_num%", &index.to_string());
        let name = format!("{stem}_{:05}_.png", first + index as u64);
        write_file(&folder.join(&name), place, &encode_png(&[image.bytes(index)], &options)?)?;
        files.push(json!({ "filename": name, "subfolder": subfolder, "type": place.name() }));
        if count > 1 {
            context.progress(index as u64 + 1, count);
        }
    }
    Ok(files)
}
