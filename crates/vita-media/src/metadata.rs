//! What is written beside the pixels: named texts such as `prompt`, `workflow` or `seed`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use crate::error::{Error, Result};
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
    let mut file = File::open(path).map_err(|source| Error::io("open", path, source))?;
    let mut start = Vec::new();
    file.by_ref().take(12).read_to_end(&mut start).map_err(|source| Error::io("read", path, source))?;
    file.rewind().map_err(|source| Error::io("read", path, source))?;
    match kind(&start) {
        Some(Kind::Mp4) => mp4::read_metadata(path, file),
        Some(Kind::Png) => png::read_metadata(path, file),
        Some(Kind::Webp) => webp::read_metadata(path, file),
        None => Err(Error::unsupported(path, "this is not an MP4, PNG or WebP file")),
    }
}

enum Kind {
    Mp4,
    Png,
    Webp,
}

fn kind(start: &[u8]) -> Option<Kind> {
    match start {
        [0x89, b'P', b'N', b'G', ..] => Some(Kind::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => Some(Kind::Webp),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] | [_, _, _, _, b'm', b'o', b'o', b'v', ..] => Some(Kind::Mp4),
        _ => None,
    }
}
