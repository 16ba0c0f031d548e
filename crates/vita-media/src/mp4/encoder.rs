//! Frames to an H.264 MP4, one by one.

use std::path::Path;

use crate::color::Yuv420;
use crate::error::{Error, Result};
use crate::frame::{Frame, check_same_size};
use crate::frame_rate::FrameRate;
use crate::h264::{self, H264Encoder};
use crate::metadata::Metadata;
use crate::mp4::boxes::{self, MovieHeader};
use crate::output_file::OutputFile;
use crate::sink::{FrameSink, Written};

const FORMAT: &str = "H.264 in MP4";
/// Players round times to ticks, so there are at least this many in a second.
const TIMESCALE_MIN: u32 = 10_000;
/// All metadata together, so that players that read the whole header do not choke.
const METADATA_BYTES_MAX: usize = 64 << 20;

/// How an MP4 is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Mp4Options {
    /// Frames per second.
    pub frame_rate: FrameRate,
    /// H.264 quantizer of every frame, 12 to 51; smaller is better and larger in bytes.
    /// 18 is hard to tell from the source, 28 is small and shows it.
    pub quantizer: u8,
    /// Written into the file; FFmpeg and ComfyUI show it by these names.
    pub metadata: Metadata,
}

/// Writes an H.264 MP4 that starts playing before it is loaded (header first), in BT.709.
///
/// Every pushed frame becomes one picture of equal duration. The file appears under its name when
/// `finish` returns; dropped before that, nothing is left.
pub struct Mp4Encoder {
    file: OutputFile,
    encoder: H264Encoder,
    options: Mp4Options,
    picture: Yuv420,
    sample: Vec<u8>,
    sample_sizes: Vec<u32>,
    keyframes: Vec<u32>,
}

impl Mp4Encoder {
    /// Starts a video of `width` x `height` pixels in a temporary file beside `path`.
    ///
    /// # Errors
    /// An odd side (4:2:0 colour has none), a side below 16, more than 3840x2160 either way up,
    /// a quantizer out of range, metadata that does not fit, or a folder that cannot be written.
    pub fn create(path: impl AsRef<Path>, width: u32, height: u32, options: Mp4Options) -> Result<Self> {
        check_size(width, height)?;
        if !(h264::QUANTIZER_MIN..=h264::QUANTIZER_MAX).contains(&options.quantizer) {
            let found = options.quantizer.to_string();
            return Err(Error::Setting { name: "the quantizer", found, expected: "from 12 (best) to 51 (smallest)" });
        }
        check_metadata(&options.metadata)?;
        let encoder = H264Encoder::new(width, height, options.frame_rate.as_f64(), options.quantizer)
            .map_err(|message| Error::Encode { format: "H.264", index: 0, message })?;
        let mut file = OutputFile::create(path.as_ref())?;
        file.write(boxes::FTYP)?;
        file.write(&boxes::mdat_header(0))?;
        Ok(Self {
            file,
            encoder,
            options,
            picture: Yuv420::new(width as usize, height as usize),
            sample: Vec::new(),
            sample_sizes: Vec::new(),
            keyframes: Vec::new(),
        })
    }

    /// Encodes and writes one frame.
    ///
    /// # Errors
    /// A frame of another size, a full disk, or a failing encoder.
    pub fn push(&mut self, frame: Frame<'_>) -> Result<()> {
        let index = self.sample_sizes.len() as u32;
        check_same_size(frame, (self.picture.width as u32, self.picture.height as u32), u64::from(index))?;
        self.picture.fill_from_rgb(frame);
        self.sample.clear();
        let keyframe = self.encoder.encode(&self.picture, &mut self.sample).map_err(|message| Error::Encode {
            format: "H.264",
            index: u64::from(index),
            message,
        })?;
        self.file.write(&self.sample)?;
        self.sample_sizes.push(self.sample.len() as u32);
        if keyframe {
            self.keyframes.push(index);
        }
        Ok(())
    }

    /// Puts the header in front, syncs, and gives the file its name.
    ///
    /// # Errors
    /// No frame was pushed, or the disk refused.
    pub fn finish(mut self) -> Result<Written> {
        if self.sample_sizes.is_empty() {
            return Err(Error::NoFrames { path: self.file.path().to_owned() });
        }
        let header_end = (boxes::FTYP.len() + boxes::MDAT_HEADER_BYTES) as u32;
        let samples_bytes = self.file.bytes() - u64::from(header_end);
        self.file.overwrite(boxes::FTYP.len() as u64, &boxes::mdat_header(samples_bytes))?;
        let moov = self.moov(header_end);
        self.file.insert(boxes::FTYP.len() as u64, &moov)?;
        let frame_count = self.sample_sizes.len() as u64;
        let path = self.file.path().to_owned();
        Ok(Written { bytes: self.file.commit()?, path, frame_count })
    }

    /// The header box, to be inserted in front of samples that begin at `offset` until then.
    fn moov(&self, offset: u32) -> Vec<u8> {
        let (timescale, frame_ticks) = ticks(self.options.frame_rate);
        let movie = |samples_offset| {
            boxes::moov(&MovieHeader {
                width: self.picture.width as u16,
                height: self.picture.height as u16,
                timescale,
                frame_ticks,
                sample_sizes: &self.sample_sizes,
                keyframes: &self.keyframes,
                parameter_sets: self.encoder.parameter_sets(),
                samples_offset,
                metadata: &self.options.metadata,
            })
        };
        let length = movie(0).len() as u32;
        movie(offset + length)
    }
}

impl FrameSink for Mp4Encoder {
    fn push(&mut self, frame: Frame<'_>) -> Result<()> {
        self.push(frame)
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        (*self).finish()
    }
}

/// Ticks per second and per frame: an exact multiple of the rate.
fn ticks(rate: FrameRate) -> (u32, u32) {
    let (mut timescale, mut frame_ticks) = (rate.numerator(), rate.denominator());
    while timescale < TIMESCALE_MIN {
        (timescale, frame_ticks) = (timescale * 2, frame_ticks * 2);
    }
    (timescale, frame_ticks)
}

fn check_size(width: u32, height: u32) -> Result<()> {
    let (longer, shorter) = (width.max(height), width.min(height));
    let (longer_max, shorter_max) = h264::SIDES_MAX;
    let refused = |reason, nearest| Error::SizeUnsupported { format: FORMAT, width, height, reason, nearest };
    if shorter < h264::SIDE_MIN {
        Err(refused("both sides must be at least 16", None))
    } else if longer > longer_max || shorter > shorter_max {
        Err(refused("the most is 3840x2160, or 2160x3840", None))
    } else if !(width.is_multiple_of(2) && height.is_multiple_of(2)) {
        let nearest = Some((width & !1, height & !1));
        Err(refused("both sides must be even, since two by two pixels share their colour", nearest))
    } else {
        Ok(())
    }
}

fn check_metadata(metadata: &Metadata) -> Result<()> {
    let mut bytes = 0;
    for (key, value) in metadata {
        bytes += key.len() + value.len();
        if key.is_empty() || bytes > METADATA_BYTES_MAX {
            let reason = if key.is_empty() { "a name must not be empty" } else { "it takes more than 64 MiB in all" };
            return Err(Error::MetadataUnsupported { format: "MP4", key: key.clone(), reason });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_lasts_a_whole_number_of_ticks() {
        for (rate, expected) in [
            ("16", (16384, 1024)),
            ("24", (12288, 512)),
            ("23.976", (24000, 1001)),
            ("0.1", (16384, 163_840)),
            ("0.001", (16384, 16_384_000)),
            ("12.5", (12800, 1024)),
        ] {
            assert_eq!(ticks(rate.parse().unwrap()), expected, "{rate}");
        }
    }

    #[test]
    fn the_media_header_is_short_behind_a_free_box_or_long() {
        assert_eq!(&boxes::mdat_header(5), b"\0\0\0\x08free\0\0\0\x0dmdat");
        assert_eq!(&boxes::mdat_header(1 << 32), b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\x10");
    }
}
