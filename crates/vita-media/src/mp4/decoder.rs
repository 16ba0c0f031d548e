//! Frames from an H.264 MP4, one by one or all at once.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::frame::{Frame, Frames};
use crate::frame_rate::FrameRate;
use crate::h264::{H264Decoder, Picture};
use crate::metadata::Metadata;
use crate::mp4::parse;
use crate::mp4::tables::{self, Track, TrackError};

const FORMAT: &str = "MP4";
/// The most that `decode_mp4` gathers in memory.
const DECODED_BYTES_MAX: u64 = 16 << 30;

/// A whole video in memory.
#[derive(Clone, Debug)]
pub struct Video {
    /// Every picture, in the order they are shown.
    pub frames: Frames,
    /// Frames per second.
    pub frame_rate: FrameRate,
    /// What was written beside the pixels.
    pub metadata: Metadata,
}

/// Decodes a whole H.264 MP4. [`Mp4Decoder`] takes the memory of one frame instead.
///
/// # Errors
/// A file that cannot be read, is damaged, is not H.264, or decodes to more than 16 GiB.
pub fn decode_mp4(path: impl AsRef<Path>) -> Result<Video> {
    let path = path.as_ref();
    let mut decoder = Mp4Decoder::open(path)?;
    let mut frames: Option<Frames> = None;
    while let Some(frame) = decoder.next_frame()? {
        let frames = match &mut frames {
            Some(frames) => frames,
            None => frames.insert(Frames::empty(frame.width(), frame.height())?),
        };
        frames.push(frame)?;
        if frames.as_bytes().len() as u64 > DECODED_BYTES_MAX {
            return Err(Error::unsupported(path, "it decodes to more than 16 GiB"));
        }
    }
    let frames = frames.ok_or_else(|| Error::NoFrames { path: path.to_owned() })?;
    Ok(Video { frames, frame_rate: decoder.frame_rate(), metadata: decoder.metadata })
}

/// Reads the frames of an H.264 MP4 in the order they are shown.
pub struct Mp4Decoder {
    path: PathBuf,
    file: File,
    file_bytes: u64,
    track: Track,
    metadata: Metadata,
    decoder: H264Decoder,
    sample_index: usize,
    sample: Vec<u8>,
    picture: Picture,
    /// Pictures that the decoder held back until the end.
    held_back: Option<VecDeque<Picture>>,
    /// Size of the first picture.
    size: Option<(u32, u32)>,
}

impl Mp4Decoder {
    /// Reads the header.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or holds no H.264 video.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| Error::io("open", path, source))?;
        let (file, file_bytes, moov) = read_moov(path, file)?;
        let track = tables::video_track(&moov, file_bytes).map_err(|error| match error {
            TrackError::Malformed(problem) => Error::malformed(path, FORMAT, problem),
            TrackError::Unsupported(problem) => Error::unsupported(path, problem),
        })?;
        let decoder = H264Decoder::new(&track.parameter_sets, track.length_bytes)
            .map_err(|problem| Error::malformed(path, FORMAT, problem))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            file_bytes,
            track,
            metadata: tables::metadata(&moov),
            decoder,
            sample_index: 0,
            sample: Vec::new(),
            picture: Picture { width: 0, height: 0, rgb: Vec::new() },
            held_back: None,
            size: None,
        })
    }

    /// Frames per second; the mean, where they last unequally.
    pub fn frame_rate(&self) -> FrameRate {
        self.track.frame_rate
    }

    /// How many frames the header lists.
    pub fn frame_count(&self) -> usize {
        self.track.samples.len()
    }

    /// What was written beside the pixels.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The next frame, or `None` behind the last.
    ///
    /// # Errors
    /// A frame that lies beyond the end of the file, is damaged, or has another size than the first.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>> {
        if !self.advance()? {
            return Ok(None);
        }
        let (width, height) = (self.picture.width, self.picture.height);
        let expected = *self.size.get_or_insert((width, height));
        if (width, height) != expected {
            let problem = format!("its size changes from {}x{} to {width}x{height}", expected.0, expected.1);
            return Err(Error::unsupported(&self.path, problem));
        }
        Frame::new(width, height, &self.picture.rgb).map(Some)
    }

    /// Puts the next picture in `self.picture`; false when there is none.
    fn advance(&mut self) -> Result<bool> {
        while self.sample_index < self.track.samples.len() {
            self.read_sample()?;
            let index = self.sample_index;
            self.sample_index += 1;
            let shown = self.decoder.decode(&self.sample, self.track.color_space, &mut self.picture);
            if shown.map_err(|problem| self.damaged(index, problem))? {
                return Ok(true);
            }
        }
        if self.held_back.is_none() {
            let pictures = self.decoder.flush(self.track.color_space);
            self.held_back = Some(pictures.map_err(|problem| self.damaged(self.sample_index, problem))?.into());
        }
        match self.held_back.as_mut().and_then(VecDeque::pop_front) {
            Some(picture) => {
                self.picture = picture;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn read_sample(&mut self) -> Result<()> {
        let index = self.sample_index;
        let sample = self.track.samples[index];
        if sample.offset.saturating_add(u64::from(sample.bytes)) > self.file_bytes {
            let problem = format!("frame {index} lies beyond its end, at byte {}", sample.offset);
            return Err(Error::malformed(&self.path, FORMAT, problem));
        }
        if i32::try_from(sample.bytes).is_err() {
            return Err(self.damaged(index, format!("{} bytes are too many", sample.bytes)));
        }
        self.sample.resize(sample.bytes as usize, 0);
        self.file
            .seek(SeekFrom::Start(sample.offset))
            .and_then(|_| self.file.read_exact(&mut self.sample))
            .map_err(|source| Error::io("read", &self.path, source))
    }

    fn damaged(&self, index: usize, problem: String) -> Error {
        Error::malformed(&self.path, FORMAT, format!("frame {index} cannot be decoded: {problem}"))
    }
}

/// The texts in the header of an MP4; none is an empty map.
pub(crate) fn read_metadata(path: &Path, file: File) -> Result<Metadata> {
    let (_, _, moov) = read_moov(path, file)?;
    Ok(tables::metadata(&moov))
}

fn read_moov(path: &Path, mut file: File) -> Result<(File, u64, Vec<u8>)> {
    let file_bytes = file.metadata().map_err(|source| Error::io("read", path, source))?.len();
    let moov = parse::read_moov(&mut file, file_bytes).map_err(|problem| Error::malformed(path, FORMAT, problem))?;
    Ok((file, file_bytes, moov))
}
