//! Animated WebP: each frame coded by libwebp, the container around them written here, so that
//! frames can arrive one by one and text can travel with them.

mod riff;

use std::fs::File;
use std::path::Path;

use webp::{Encoder, PixelLayout, WebPConfig};

use crate::error::{Error, Result};
use crate::exif;
use crate::frame::{Frame, check_same_size};
use crate::frame_rate::FrameRate;
use crate::metadata::Metadata;
use crate::output_file::OutputFile;
use crate::sink::{FrameSink, Written};

const FORMAT: &str = "WebP";
/// The longest side that the format can say.
const SIDE_MAX: u32 = 16383;
/// Of libwebp's 0 (fast) to 6 (small).
const METHOD: i32 = 4;
/// The most that `read_metadata` gathers in memory.
const EXIF_BYTES_MAX: u64 = 128 << 20;

/// How well a WebP keeps the pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WebpQuality {
    /// 0 (small) to 100 (close to the source); 80 is usual.
    Lossy(f32),
    /// Every pixel as it was; several times larger.
    Lossless,
}

/// How an animated WebP is written.
#[derive(Clone, Debug, PartialEq)]
pub struct WebpOptions {
    /// Frames per second; times are rounded to milliseconds without drifting.
    pub frame_rate: FrameRate,
    /// How well the pixels are kept.
    pub quality: WebpQuality,
    /// How often it plays; 0 is for ever.
    pub loop_count: u16,
    /// Stored as EXIF texts `name:text`, where ComfyUI's tools look.
    pub metadata: Metadata,
}

/// Writes an animated WebP. The file appears under its name when `finish` returns; dropped before
/// that, nothing is left.
pub struct WebpEncoder {
    file: OutputFile,
    width: u32,
    height: u32,
    config: WebPConfig,
    options: WebpOptions,
    frame_count: u64,
}

impl WebpEncoder {
    /// Starts an animation of `width` x `height` pixels in a temporary file beside `path`.
    ///
    /// # Errors
    /// A side of 0 or above 16383, a quality out of range, metadata that does not fit, or a folder
    /// that cannot be written.
    pub fn create(path: impl AsRef<Path>, width: u32, height: u32, options: WebpOptions) -> Result<Self> {
        if !(1..=SIDE_MAX).contains(&width.min(height)) || width.max(height) > SIDE_MAX {
            let reason = "both sides must be 1 to 16383";
            return Err(Error::SizeUnsupported { format: FORMAT, width, height, reason, nearest: None });
        }
        exif::check(&options.metadata)?;
        let config = config(options.quality)?;
        let mut file = OutputFile::create(path.as_ref())?;
        let has_exif = !options.metadata.is_empty();
        file.write(&riff::file_header(width, height, has_exif))?;
        file.write(&riff::animation_header(options.loop_count))?;
        Ok(Self { file, width, height, config, options, frame_count: 0 })
    }

    /// Encodes and writes one frame.
    ///
    /// # Errors
    /// A frame of another size, a full disk, or a failing encoder.
    pub fn push(&mut self, frame: Frame<'_>) -> Result<()> {
        let index = self.frame_count;
        check_same_size(frame, (self.width, self.height), index)?;
        let failed = |message: String| Error::Encode { format: FORMAT, index, message };
        let still = Encoder::new(frame.data(), PixelLayout::Rgb, self.width, self.height)
            .encode_advanced(&self.config)
            .map_err(|error| failed(format!("{error:?}")))?;
        let bitstream = riff::bitstream_of(&still).ok_or_else(|| failed("libwebp gave no picture".to_owned()))?;
        let rate = self.options.frame_rate;
        // At most 1000 seconds, by the range of a frame rate; 24 bits hold four hours.
        let duration = (rate.start_milliseconds(index + 1) - rate.start_milliseconds(index)) as u32;
        let header = riff::frame_header(self.width, self.height, duration, bitstream.len());
        self.file.write(&header)?;
        self.file.write(bitstream)?;
        self.frame_count += 1;
        Ok(())
    }

    /// Completes the header, syncs, and gives the file its name.
    ///
    /// # Errors
    /// No frame was pushed, the file grew beyond 4 GiB, or the disk refused.
    pub fn finish(mut self) -> Result<Written> {
        let path = self.file.path().to_owned();
        if self.frame_count == 0 {
            return Err(Error::NoFrames { path });
        }
        if !self.options.metadata.is_empty() {
            let exif = riff::chunk(b"EXIF", &exif::write(&self.options.metadata));
            self.file.write(&exif)?;
        }
        // The length counts what follows it, and is even.
        let Some(length) = u32::try_from(self.file.bytes() - 8).ok().filter(|&length| length < u32::MAX - 10) else {
            return Err(Error::unsupported(&path, "a WebP file cannot be larger than 4 GiB"));
        };
        self.file.overwrite(4, &length.to_le_bytes())?;
        Ok(Written { bytes: self.file.commit()?, path, frame_count: self.frame_count })
    }
}

impl FrameSink for WebpEncoder {
    fn push(&mut self, frame: Frame<'_>) -> Result<()> {
        self.push(frame)
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        (*self).finish()
    }
}

/// The EXIF texts of a WebP file; none is an empty map.
pub(crate) fn read_metadata(path: &Path, file: File) -> Result<Metadata> {
    let exif = riff::read_chunk(file, b"EXIF", EXIF_BYTES_MAX).map_err(|source| match source.kind() {
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
            Error::malformed(path, FORMAT, source.to_string())
        }
        _ => Error::io("read", path, source),
    })?;
    Ok(exif.map(|exif| exif::read(&exif)).unwrap_or_default())
}

fn config(quality: WebpQuality) -> Result<WebPConfig> {
    let mut config = WebPConfig::new().map_err(|()| Error::Encode {
        format: FORMAT,
        index: 0,
        message: "libwebp does not start".to_owned(),
    })?;
    config.method = METHOD;
    match quality {
        WebpQuality::Lossy(quality) if (0.0..=100.0).contains(&quality) => {
            config.quality = quality;
            // Half again as slow, but edges of strong colours keep them.
            config.use_sharp_yuv = 1;
        }
        WebpQuality::Lossy(quality) => {
            let found = quality.to_string();
            return Err(Error::Setting { name: "the WebP quality", found, expected: "from 0 to 100" });
        }
        WebpQuality::Lossless => config.lossless = 1,
    }
    Ok(config)
}
