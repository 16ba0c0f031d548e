//! What a file is by its first bytes, whatever its name says.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use crate::error::{Error, Result};

/// The files that this crate reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Jpeg,
    Mp4,
    Png,
    Webp,
}

/// Opens a file and looks at its first bytes; reading starts at the beginning. `None` is another kind.
pub(crate) fn open(path: &Path) -> Result<(File, Option<FileKind>)> {
    let mut file = File::open(path).map_err(|source| Error::io("open", path, source))?;
    let mut start = Vec::new();
    file.by_ref()
        .take(12)
        .read_to_end(&mut start)
        .and_then(|_| file.rewind())
        .map_err(|source| Error::io("read", path, source))?;
    Ok((file, kind(&start)))
}

fn kind(start: &[u8]) -> Option<FileKind> {
    match start {
        [0x89, b'P', b'N', b'G', ..] => Some(FileKind::Png),
        [0xff, 0xd8, 0xff, ..] => Some(FileKind::Jpeg),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => Some(FileKind::Webp),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] | [_, _, _, _, b'm', b'o', b'o', b'v', ..] => Some(FileKind::Mp4),
        _ => None,
    }
}
