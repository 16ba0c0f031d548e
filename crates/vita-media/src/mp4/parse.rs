//! Boxes as they come from a file that nobody vouches for: every length is checked, nothing recurses.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// What is wrong with the file, and where; the caller adds its name.
pub(crate) type Problem = String;

/// The longest `moov` box that is read. Real ones take some 20 bytes a frame, plus metadata.
const MOOV_BYTES_MAX: u64 = 128 << 20;

/// A four-letter box name.
pub(crate) type Name = [u8; 4];

/// One box: its name and what is inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Atom<'a> {
    pub name: Name,
    pub content: &'a [u8],
}

/// Reads the `moov` box, wherever in the file it lies.
pub(crate) fn read_moov(file: &mut File, file_bytes: u64) -> Result<Vec<u8>, Problem> {
    let mut offset = 0;
    while offset + 8 <= file_bytes {
        let mut header = [0; 16];
        let header_bytes = header.len().min((file_bytes - offset) as usize);
        file.seek(SeekFrom::Start(offset)).map_err(|e| e.to_string())?;
        file.read_exact(&mut header[..header_bytes]).map_err(|e| e.to_string())?;
        let left = file_bytes - offset;
        let (name, start, size) = header_of(&header[..header_bytes], left)?;
        if size > left {
            return Err(format!(
                "box `{}` at byte {offset} is {size} bytes long, the file has {left} left",
                text(&name)
            ));
        }
        if name == *b"moov" {
            if size > MOOV_BYTES_MAX {
                return Err(format!("the header box is {size} bytes long, more than any real one"));
            }
            let mut content = vec![0; (size - start) as usize];
            file.seek(SeekFrom::Start(offset + start)).map_err(|e| e.to_string())?;
            file.read_exact(&mut content).map_err(|e| e.to_string())?;
            return Ok(content);
        }
        offset += size;
    }
    Err("it has no `moov` box".to_owned())
}

/// The boxes that lie side by side in `content`, until it ends or stops making sense.
pub(crate) fn atoms(mut content: &[u8]) -> impl Iterator<Item = Atom<'_>> {
    std::iter::from_fn(move || {
        let (name, start, size) = header_of(content, content.len() as u64).ok()?;
        let (atom, rest) = content.split_at_checked(usize::try_from(size).ok()?)?;
        content = rest;
        Some(Atom { name, content: atom.get(start as usize..)? })
    })
}

/// The first box of that name.
pub(crate) fn child<'a>(content: &'a [u8], name: &Name) -> Option<&'a [u8]> {
    atoms(content).find(|atom| atom.name == *name).map(|atom| atom.content)
}

/// The first box at the end of a path of names.
pub(crate) fn descend<'a>(content: &'a [u8], path: &[&Name]) -> Option<&'a [u8]> {
    path.iter().try_fold(content, |content, name| child(content, name))
}

/// Big-endian number at a byte offset.
pub(crate) fn u16_at(content: &[u8], offset: usize) -> Option<u16> {
    content.get(offset..)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// Big-endian number at a byte offset.
pub(crate) fn u32_at(content: &[u8], offset: usize) -> Option<u32> {
    content.get(offset..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// Big-endian number at a byte offset.
pub(crate) fn u64_at(content: &[u8], offset: usize) -> Option<u64> {
    content.get(offset..)?.first_chunk().copied().map(u64::from_be_bytes)
}

/// A box name for people, with what is not printable as `?`.
pub(crate) fn text(name: &Name) -> String {
    name.iter().map(|&byte| if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '?' }).collect()
}

/// Name, bytes before the content, and whole size of the box that `header` starts with.
fn header_of(header: &[u8], left: u64) -> Result<(Name, u64, u64), Problem> {
    let short = || "a box header is cut short".to_owned();
    let size = u32_at(header, 0).ok_or_else(short)?;
    let name: Name = header.get(4..).and_then(|rest| rest.first_chunk().copied()).ok_or_else(short)?;
    let (start, size) = match size {
        0 => (8, left), // to the end
        1 => (16, u64_at(header, 8).ok_or_else(short)?),
        size => (8, u64::from(size)),
    };
    if size < start {
        return Err(format!("box `{}` claims to be {size} bytes long, less than its own header", text(&name)));
    }
    Ok((name, start, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_lie_end_the_walk() {
        for (content, expected) in [
            (&b"\0\0\0\x09abcd!\0\0\0\x08efgh"[..], "abcd efgh"),
            (b"\0\0\0\0abcdefgh", "abcd"),
            (b"\0\0\0\x01abcd\0\0\0\0\0\0\0\x11!", "abcd"),
            (b"\0\0\0\x01abcd\xff\xff\xff\xff\xff\xff\xff\xff!", ""),
            (b"\0\0\0\x07abcd", ""),
            (b"\0\0\0\x09abcd", ""),
            (b"\0\0\0", ""),
            (b"", ""),
        ] {
            let names: Vec<_> = atoms(content).map(|atom| text(&atom.name)).collect();
            assert_eq!(names.join(" "), expected, "{content:?}");
        }
    }
}
