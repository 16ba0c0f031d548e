//! One way to write frames whatever the format, chosen by the name of the output.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::frame_rate::FrameRate;
use crate::metadata::Metadata;
use crate::mp4::{Mp4Encoder, Mp4Options};
use crate::png::PngFolder;
use crate::webp::{WebpEncoder, WebpOptions, WebpQuality};

/// Endings that [`open_sink`] understands. A name that ends in `/` is a folder of PNG frames.
pub const SINK_EXTENSIONS: &[&str] = &[".mp4", ".webp", ".png", "/"];

/// Takes frames one by one. Dropped before `finish`, it leaves nothing behind.
pub trait FrameSink: Send {
    /// Writes one frame.
    ///
    /// # Errors
    /// A frame of another size, or a disk or encoder that refuses.
    fn push(&mut self, frame: Frame<'_>) -> Result<()>;

    /// Makes the output appear under its name.
    ///
    /// # Errors
    /// No frame was pushed, or the disk refused.
    fn finish(self: Box<Self>) -> Result<Written>;
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The file, or the folder of frames.
    pub path: PathBuf,
    /// How many frames are in it.
    pub frame_count: u64,
    /// Its size on disk, all files together.
    pub bytes: u64,
}

/// How frames are written, whatever the format.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkOptions {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: FrameRate,
    /// H.264 quantizer, 12 (best) to 51; see [`Mp4Options`].
    pub mp4_quantizer: u8,
    /// See [`WebpQuality`].
    pub webp_quality: WebpQuality,
    /// Written into the file, for PNG frames into each.
    pub metadata: Metadata,
}

/// Opens what the name asks for: `.mp4`, `.webp` (animated), `.png` (numbered files with that
/// stem), or a folder of PNG frames when the name ends in `/` or is a folder.
///
/// # Errors
/// An unknown ending, options or a size that the format refuses, or a folder that cannot be written.
pub fn open_sink(path: impl AsRef<Path>, options: SinkOptions) -> Result<Box<dyn FrameSink>> {
    let path = path.as_ref();
    let SinkOptions { width, height, frame_rate, mp4_quantizer: quantizer, webp_quality, metadata } = options;
    let is_folder = path.is_dir() || path.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
    if is_folder {
        return Ok(Box::new(PngFolder::create(path, "frame", metadata)?));
    }
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    Ok(match extension.as_deref() {
        Some("mp4") => {
            Box::new(Mp4Encoder::create(path, width, height, Mp4Options { frame_rate, quantizer, metadata })?)
        }
        Some("webp") => {
            let options = WebpOptions { frame_rate, quality: webp_quality, loop_count: 0, metadata };
            Box::new(WebpEncoder::create(path, width, height, options)?)
        }
        Some("png") => {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            Box::new(PngFolder::create(path.parent().unwrap_or(Path::new("")), &stem, metadata)?)
        }
        _ => return Err(Error::UnknownExtension { path: path.to_owned() }),
    })
}
