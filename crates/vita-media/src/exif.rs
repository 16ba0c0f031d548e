//! EXIF: which way up a picture is, and metadata as ComfyUI writes and reads it in WebP: one ASCII
//! entry `name:text` each, `prompt` in the tag Model (0x0110), the others counting down from Make.

use crate::error::{Error, Result};
use crate::metadata::Metadata;

const TAG_PROMPT: u16 = 0x0110;
const TAG_ORIENTATION: u16 = 0x0112;
const TYPE_ASCII: u16 = 2;
const TYPE_SHORT: u16 = 3;
const HEADER_BYTES: usize = 8;
const ENTRY_BYTES: usize = 12;
/// Entries besides the prompt: tags 0x010f down to 0x0001.
const OTHERS_MAX: usize = TAG_PROMPT as usize - 1;
const BYTES_MAX: usize = 64 << 20;

/// Refuses what `write` could not represent.
pub(crate) fn check(metadata: &Metadata) -> Result<()> {
    let mut bytes = 0;
    for (index, (key, value)) in metadata.iter().enumerate() {
        bytes += key.len() + value.len();
        let reason = if key.is_empty() || key.contains([':', '\0']) {
            "a name must not be empty or contain a colon or zero byte"
        } else if value.contains('\0') {
            "a text must not contain a zero byte"
        } else if bytes > BYTES_MAX {
            "it takes more than 64 MiB in all"
        } else if index >= OTHERS_MAX {
            "there are more than 271 names"
        } else {
            continue;
        };
        return Err(Error::MetadataUnsupported { format: "WebP", key: key.clone(), reason });
    }
    Ok(())
}

/// A little-endian TIFF structure with one directory of texts.
pub(crate) fn write(metadata: &Metadata) -> Vec<u8> {
    let mut others = (1..TAG_PROMPT).rev();
    let mut entries: Vec<(u16, String)> = metadata
        .iter()
        .map(|(key, value)| {
            let tag = if key == "prompt" { TAG_PROMPT } else { others.next().expect("`check` counted the names") };
            (tag, format!("{key}:{value}\0"))
        })
        .collect();
    entries.sort();

    let mut directory = (entries.len() as u16).to_le_bytes().to_vec();
    let mut texts = Vec::new();
    let texts_start = HEADER_BYTES + 2 + entries.len() * ENTRY_BYTES + 4;
    for (tag, text) in &entries {
        directory.extend_from_slice(&tag.to_le_bytes());
        directory.extend_from_slice(&TYPE_ASCII.to_le_bytes());
        directory.extend_from_slice(&(text.len() as u32).to_le_bytes());
        let mut place = ((texts_start + texts.len()) as u32).to_le_bytes();
        if text.len() <= 4 {
            // Short texts lie in the place of their offset.
            place = [0; 4];
            place[..text.len()].copy_from_slice(text.as_bytes());
        } else {
            texts.extend_from_slice(text.as_bytes());
        }
        directory.extend_from_slice(&place);
    }
    let no_next_directory = [0; 4];
    [b"II*\0\x08\0\0\0".as_slice(), &directory, &no_next_directory, &texts].concat()
}

/// The texts of the first directory that look like `name:text`.
pub(crate) fn read(exif: &[u8]) -> Metadata {
    let tiff = Tiff::new(exif);
    let text_at = |entry: usize| -> Option<(String, String)> {
        let length = (tiff.u16_at(entry + 2)? == TYPE_ASCII).then(|| tiff.u32_at(entry + 4))??;
        let start = if length <= 4 { entry + 8 } else { tiff.u32_at(entry + 8)? };
        let text = String::from_utf8_lossy(tiff.bytes.get(start..start.checked_add(length)?)?);
        let (key, value) = text.trim_end_matches('\0').split_once(':')?;
        Some((key.to_owned(), value.to_owned()))
    };
    tiff.entries().filter_map(text_at).collect()
}

/// Which way up the picture is; upright where nothing sensible is said.
pub(crate) fn orientation(exif: &[u8]) -> Orientation {
    let tiff = Tiff::new(exif);
    let value = tiff
        .entries()
        .find(|&entry| tiff.u16_at(entry) == Some(TAG_ORIENTATION) && tiff.u16_at(entry + 2) == Some(TYPE_SHORT))
        .and_then(|entry| tiff.u16_at(entry + 8));
    match value {
        Some(value @ 2..=8) => Orientation(value),
        _ => Orientation::UPRIGHT,
    }
}

/// The value of the EXIF tag Orientation, 1 to 8: what row 0 and column 0 of the file show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Orientation(u16);

impl Orientation {
    /// Row 0 is the top, column 0 the left.
    pub const UPRIGHT: Self = Self(1);

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        self.0 >= 5
    }

    /// Where the pixel at `(x, y)` of the upright picture lies in the file's `width` x `height`.
    pub fn source_of(self, x: usize, y: usize, width: usize, height: usize) -> (usize, usize) {
        match self.0 {
            2 => (width - 1 - x, y),
            3 => (width - 1 - x, height - 1 - y),
            4 => (x, height - 1 - y),
            5 => (y, x),
            6 => (y, height - 1 - x),
            7 => (width - 1 - y, height - 1 - x),
            8 => (width - 1 - y, x),
            _ => (x, y),
        }
    }
}

impl Default for Orientation {
    fn default() -> Self {
        Self::UPRIGHT
    }
}

/// The structure that EXIF borrows from TIFF, of either byte order.
struct Tiff<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl<'a> Tiff<'a> {
    fn new(exif: &'a [u8]) -> Self {
        let bytes = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        Self { bytes, little: bytes.starts_with(b"II") }
    }

    /// Offsets of the entries of the first directory.
    fn entries(&self) -> impl Iterator<Item = usize> + use<> {
        let directory = self.u32_at(4).unwrap_or(usize::MAX);
        let count = self.u16_at(directory).unwrap_or_default();
        (0..usize::from(count)).filter_map(move |index| directory.checked_add(2 + index * ENTRY_BYTES))
    }

    fn u16_at(&self, offset: usize) -> Option<u16> {
        let bytes = *self.bytes.get(offset..)?.first_chunk()?;
        Some(if self.little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32_at(&self, offset: usize) -> Option<usize> {
        let bytes = *self.bytes.get(offset..)?.first_chunk()?;
        Some(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) } as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_return_and_the_tags_are_sorted() {
        for pairs in [
            vec![],
            vec![("a", "b")],
            vec![("prompt", "{\"1\": {}}"), ("workflow", "图 : x"), ("seed", "7"), ("z", "")],
        ] {
            let metadata: Metadata = pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
            let exif = write(&metadata);
            assert_eq!(read(&exif), metadata);
            assert_eq!(read(&[b"Exif\0\0".as_slice(), &exif].concat()), metadata);
            let tags: Vec<_> =
                exif[10..10 + 12 * metadata.len()].chunks(12).map(|entry| [entry[1], entry[0]]).collect();
            assert!(tags.is_sorted(), "{tags:?}");
        }
    }

    #[test]
    fn damaged_exif_gives_less_and_never_panics() {
        let metadata: Metadata = [("prompt".to_owned(), "some text".to_owned())].into();
        let whole = write(&metadata);
        for length in 0..whole.len() {
            read(&whole[..length]);
        }
        for index in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[index] = value;
                read(&damaged);
                orientation(&damaged);
            }
        }
    }

    #[test]
    fn the_orientation_is_found_in_both_byte_orders() {
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        assert_eq!(orientation(little), Orientation(6));
        assert_eq!(orientation(big), Orientation(6));
        assert_eq!(orientation(b"MM"), Orientation::UPRIGHT);
    }

    /// Each value by what the EXIF standard says the file's row 0 and column 0 show.
    #[test]
    fn every_orientation_is_turned_upright() {
        // The upright picture is 2 wide, 3 high: A B / C D / E F.
        for (value, stored, width) in [
            (1, "ABCDEF", 2), // top, left
            (2, "BADCFE", 2), // top, right
            (3, "FEDCBA", 2), // bottom, right
            (4, "EFCDAB", 2), // bottom, left
            (5, "ACEBDF", 3), // left, top
            (6, "BDFACE", 3), // right, top
            (7, "FDBECA", 3), // right, bottom
            (8, "ECAFDB", 3), // left, bottom
        ] {
            let orientation = Orientation(value);
            let height = 6 / width;
            assert_eq!(orientation.swaps_sides(), width == 3, "{value}");
            let letter = |(x, y): (usize, usize)| {
                let (x, y) = orientation.source_of(x, y, width, height);
                stored.as_bytes()[y * width + x] as char
            };
            let upright: String = (0..6).map(|index| letter((index % 2, index / 2))).collect();
            assert_eq!(upright, "ABCDEF", "{value}");
        }
    }
}
