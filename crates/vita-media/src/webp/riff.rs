//! The chunks of an animated WebP, as developers.google.com/speed/webp/docs/riff_container says.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

const FLAG_ANIMATION: u8 = 0x02;
const FLAG_EXIF: u8 = 0x08;
/// Overwrite what was shown, then leave it standing.
const FRAME_FLAGS: u8 = 0x02;
/// Bytes of `ANMF` content before the picture's own chunks.
const FRAME_HEADER_BYTES: usize = 16;

/// `RIFF` with a length of 0, to be completed, then `VP8X`.
pub(super) fn file_header(width: u32, height: u32, has_exif: bool) -> Vec<u8> {
    let flags = FLAG_ANIMATION | if has_exif { FLAG_EXIF } else { 0 };
    let mut content = vec![flags, 0, 0, 0];
    content.extend_from_slice(&u24(width - 1));
    content.extend_from_slice(&u24(height - 1));
    [b"RIFF\0\0\0\0WEBP".as_slice(), &chunk(b"VP8X", &content)].concat()
}

/// `ANIM`: a transparent background, and how often to play.
pub(super) fn animation_header(loop_count: u16) -> Vec<u8> {
    let [low, high] = loop_count.to_le_bytes();
    chunk(b"ANIM", &[0, 0, 0, 0, low, high])
}

/// The start of an `ANMF` chunk that covers the canvas; `bitstream_bytes` follow, an even number.
pub(super) fn frame_header(width: u32, height: u32, duration_milliseconds: u32, bitstream_bytes: usize) -> Vec<u8> {
    let mut header = b"ANMF".to_vec();
    header.extend_from_slice(&((FRAME_HEADER_BYTES + bitstream_bytes) as u32).to_le_bytes());
    for value in [0, 0, width - 1, height - 1, duration_milliseconds] {
        header.extend_from_slice(&u24(value));
    }
    header.push(FRAME_FLAGS);
    header
}

/// A chunk with its name, length, and a byte of padding where the content is odd.
pub(super) fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = name.to_vec();
    chunk.extend_from_slice(&(content.len() as u32).to_le_bytes());
    chunk.extend_from_slice(content);
    if !content.len().is_multiple_of(2) {
        chunk.push(0);
    }
    chunk
}

/// The `VP8 ` or `VP8L` chunk of a still WebP in memory, header and padding included.
pub(super) fn bitstream_of(still: &[u8]) -> Option<&[u8]> {
    let mut rest = still.get(12..)?;
    loop {
        let (name, length) = chunk_header(rest)?;
        let bytes = 8 + length as usize + (length % 2) as usize;
        let (chunk, behind) = rest.split_at_checked(bytes)?;
        if matches!(&name, b"VP8 " | b"VP8L") {
            return Some(chunk);
        }
        rest = behind;
    }
}

/// The content of the first chunk of that name in a WebP file.
///
/// # Errors
/// `InvalidData` when a chunk is longer than the file or than `bytes_max`.
pub(super) fn read_chunk(file: File, name: &[u8; 4], bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file_bytes = file.metadata()?.len();
    let mut file = BufReader::new(file);
    let mut offset = 12;
    while offset + 8 <= file_bytes {
        file.seek(SeekFrom::Start(offset))?;
        let mut header = [0; 8];
        file.read_exact(&mut header)?;
        let Some((found, length)) = chunk_header(&header) else { break };
        let length = u64::from(length);
        if length > file_bytes - offset - 8 {
            let problem =
                format!("chunk `{}` at byte {offset} reaches beyond its end", String::from_utf8_lossy(&found));
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        if found == *name {
            if length > bytes_max {
                let problem = format!("chunk `{}` is {length} bytes long", String::from_utf8_lossy(&found));
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
            let mut content = vec![0; length as usize];
            file.read_exact(&mut content)?;
            return Ok(Some(content));
        }
        offset += 8 + length + length % 2;
    }
    Ok(None)
}

fn chunk_header(bytes: &[u8]) -> Option<([u8; 4], u32)> {
    Some((*bytes.first_chunk()?, u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?)))
}

fn u24(value: u32) -> [u8; 3] {
    let [a, b, c, _] = value.to_le_bytes();
    [a, b, c]
}
