//! What is written beside the pixels: named texts such as `prompt`, `workflow` or `seed`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::file_kind::{self, FileKind};
use crate::{mp4, png, webp};

/// Texts by name. `prompt` and `workflow` (JSON) are the names that ComfyUI looks for.
pub type Metadata = BTreeMap<String, String>;

/// Reads the metadata of an MP4, PNG or WebP file, whatever its name says it is.
/// A file without any gives an empty map.
///
/// # Errors
/// A file that cannot be read, is damaged, or is of another kind.
pub fn read_metadata(path: impl AsRef<Path>) -> Result<Metadata> {
    let path = path.as_ref();
    match file_kind::open(path)? {
        (file, Some(FileKind::Mp4)) => mp4::read_metadata(path, file),
        (file, Some(FileKind::Png)) => png::read_metadata(path, file),
        (file, Some(FileKind::Webp)) => webp::read_metadata(path, file),
        (_, Some(FileKind::Jpeg) | None) => Err(Error::unsupported(path, "this is not an MP4, PNG or WebP file")),
    }
}
