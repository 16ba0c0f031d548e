//! Metadata as EXIF: one ASCII entry `name:text` each, as ComfyUI writes and reads it in WebP.
//!
//! `prompt` is in the tag Model (0x0110), the others count down from Make (0x010f).

use crate::error::{Error, Result};
use crate::metadata::Metadata;

const TAG_PROMPT: u16 = 0x0110;
const TYPE_ASCII: u16 = 2;
const HEADER_BYTES: usize = 8;
const ENTRY_BYTES: usize = 12;
/// Entries besides the prompt: tags 0x010f down to 0x0001.
const OTHERS_MAX: usize = TAG_PROMPT as usize - 1;
const BYTES_MAX: usize = 64 << 20;

/// Refuses what `write` could not represent.
pub(super) fn check(metadata: &Metadata) -> Result<()> {
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
pub(super) fn write(metadata: &Metadata) -> Vec<u8> {
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

/// The texts of the first directory that look like `name:text`; of either byte order.
pub(super) fn read(exif: &[u8]) -> Metadata {
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let little = exif.starts_with(b"II");
    let u16_at = |offset: usize| {
        let bytes = *exif.get(offset..)?.first_chunk()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let u32_at = |offset: usize| {
        let bytes = *exif.get(offset..)?.first_chunk()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) } as usize)
    };
    let text_at = |entry: usize| -> Option<(String, String)> {
        let length = (u16_at(entry + 2)? == TYPE_ASCII).then(|| u32_at(entry + 4))??;
        let start = if length <= 4 { entry + 8 } else { u32_at(entry + 8)? };
        let text = String::from_utf8_lossy(exif.get(start..start.checked_add(length)?)?);
        let (key, value) = text.trim_end_matches('\0').split_once(':')?;
        Some((key.to_owned(), value.to_owned()))
    };
    let Some(directory) = u32_at(4) else { return Metadata::new() };
    let count = u16_at(directory).unwrap_or_default();
    (0..usize::from(count)).filter_map(|index| text_at(directory.checked_add(2 + index * ENTRY_BYTES)?)).collect()
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
            }
        }
    }
}
