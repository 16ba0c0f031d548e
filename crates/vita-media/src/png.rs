//! PNG files with text, alone or numbered in a folder.

use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use png::text_metadata::{ITXtChunk, TEXtChunk};

use crate::error::{Error, Result};
use crate::frame::{Frame, check_same_size};
use crate::metadata::Metadata;
use crate::output_file::OutputFile;
use crate::sink::{FrameSink, Written};

/// Keywords of PNG are 1 to 79 characters of Latin-1.
const KEY_CHARACTERS_MAX: usize = 79;

/// Writes one frame as a PNG file, with its metadata as text chunks. Returns the file's size.
///
/// # Errors
/// Metadata names that PNG cannot hold, or a disk that refuses.
pub fn write_png(path: impl AsRef<Path>, frame: Frame<'_>, metadata: &Metadata) -> Result<u64> {
    check_metadata(metadata)?;
    let mut file = OutputFile::create(path.as_ref())?;
    file.write(&encode(frame, metadata, 0)?)?;
    file.commit()
}

/// Writes frames as `{stem}_00001.png`, `{stem}_00002.png` and so on.
///
/// Dropped before `finish`, it removes the files it wrote, and the folder if it made it.
pub struct PngFolder {
    folder: PathBuf,
    stem: String,
    metadata: Metadata,
    size: Option<(u32, u32)>,
    written: Vec<PathBuf>,
    bytes: u64,
    folder_is_ours: bool,
    finished: bool,
}

impl PngFolder {
    /// Makes the folder if it is not there yet; its parent must be.
    ///
    /// # Errors
    /// Metadata names that PNG cannot hold, or a folder that cannot be made or written.
    pub fn create(folder: impl AsRef<Path>, stem: &str, metadata: Metadata) -> Result<Self> {
        let folder = folder.as_ref();
        check_metadata(&metadata)?;
        let folder_is_ours = !folder.as_os_str().is_empty() && !folder.is_dir();
        if folder_is_ours {
            fs::create_dir(folder).map_err(|source| Error::io("create", folder, source))?;
        }
        let folder = folder.to_owned();
        let stem = stem.to_owned();
        let this =
            Self { folder, stem, metadata, size: None, written: Vec::new(), bytes: 0, folder_is_ours, finished: false };
        // A folder that cannot be written is found now, not after the work.
        drop(OutputFile::create(&this.path(0))?);
        Ok(this)
    }

    /// Writes one frame as the next file.
    ///
    /// # Errors
    /// A frame of another size than the first, or a disk that refuses.
    pub fn push(&mut self, frame: Frame<'_>) -> Result<()> {
        let index = self.written.len() as u64;
        check_same_size(frame, *self.size.get_or_insert((frame.width(), frame.height())), index)?;
        let path = self.path(index);
        let mut file = OutputFile::create(&path)?;
        file.write(&encode(frame, &self.metadata, index)?)?;
        self.bytes += file.commit()?;
        self.written.push(path);
        Ok(())
    }

    /// Keeps the files.
    ///
    /// # Errors
    /// No frame was pushed.
    pub fn finish(mut self) -> Result<Written> {
        if self.written.is_empty() {
            return Err(Error::NoFrames { path: self.folder.clone() });
        }
        self.finished = true;
        Ok(Written { path: self.folder.clone(), frame_count: self.written.len() as u64, bytes: self.bytes })
    }

    fn path(&self, index: u64) -> PathBuf {
        self.folder.join(format!("{}_{:05}.png", self.stem, index + 1))
    }
}

impl FrameSink for PngFolder {
    fn push(&mut self, frame: Frame<'_>) -> Result<()> {
        self.push(frame)
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        (*self).finish()
    }
}

impl Drop for PngFolder {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        for path in &self.written {
            let _ = fs::remove_file(path);
        }
        if self.folder_is_ours {
            // Only if nobody else put something there.
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// A whole PNG file in memory. `index` is only for the error.
pub(crate) fn encode(frame: Frame<'_>, metadata: &Metadata, index: u64) -> Result<Vec<u8>> {
    let mut file = Vec::with_capacity(frame.data().len() / 2);
    write(&mut file, frame, metadata).map_err(|error| Error::Encode {
        format: "PNG",
        index,
        message: error.to_string(),
    })?;
    Ok(file)
}

fn write(out: impl Write, frame: Frame<'_>, metadata: &Metadata) -> Result<(), png::EncodingError> {
    let mut encoder = png::Encoder::new(out, frame.width(), frame.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    let mut writer = encoder.write_header()?;
    for (key, value) in metadata {
        // tEXt holds Latin-1; anything else needs iTXt, which fewer tools read.
        if value.chars().all(|character| u32::from(character) < 256 && character != '\0') {
            writer.write_text_chunk(&TEXtChunk::new(key, value))?;
        } else {
            writer.write_text_chunk(&ITXtChunk::new(key, value))?;
        }
    }
    writer.write_image_data(frame.data())?;
    writer.finish()
}

/// The text chunks of a PNG file; none is an empty map.
pub(crate) fn read_metadata(path: &Path, file: File) -> Result<Metadata> {
    let malformed = |error: png::DecodingError| Error::malformed(path, "PNG", error.to_string());
    let mut reader = png::Decoder::new(BufReader::new(file)).read_info().map_err(malformed)?;
    // Text may also follow the pixels.
    reader.finish().map_err(malformed)?;
    let info = reader.info();
    let latin1 = info.uncompressed_latin1_text.iter().map(|chunk| (chunk.keyword.clone(), Ok(chunk.text.clone())));
    let compressed = info.compressed_latin1_text.iter().map(|chunk| (chunk.keyword.clone(), chunk.get_text()));
    let utf8 = info.utf8_text.iter().map(|chunk| (chunk.keyword.clone(), chunk.get_text()));
    latin1.chain(compressed).chain(utf8).map(|(key, text)| Ok((key, text.map_err(malformed)?))).collect()
}

fn check_metadata(metadata: &Metadata) -> Result<()> {
    for (key, value) in metadata {
        let printable = |character: char| matches!(u32::from(character), 0x20..=0x7e | 0xa1..=0xff);
        let reason = if key.is_empty() || key.chars().count() > KEY_CHARACTERS_MAX {
            "a name must have 1 to 79 characters"
        } else if !key.chars().all(printable) || key.trim() != key || key.contains("  ") {
            "a name must be printable Latin-1 without spaces at its ends or in a row"
        } else if value.contains('\0') {
            "a text must not contain a zero byte"
        } else {
            continue;
        };
        return Err(Error::MetadataUnsupported { format: "PNG", key: key.clone(), reason });
    }
    Ok(())
}
