//! Videos to and from files: what the nodes that load, save and take apart videos share.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use vita_graph::{Context, NodeError};
use vita_media::{Frame, FrameRate, Mp4Encoder, Mp4Options};
use vita_tensor::Tensor;

use crate::data::{Audio, Image, Video, VideoSource};
use crate::ffmpeg;
use crate::studio::Studio;

/// A video taken apart.
pub(crate) struct Parts {
    pub images: Arc<Image>,
    pub frame_rate: FrameRate,
    pub audio: Option<Arc<Audio>>,
}

impl Video {
    /// Pictures, rate and sound; a file is decoded.
    ///
    /// # Errors
    /// A file that cannot be read, or a run that was asked to stop.
    pub(crate) fn parts(&self, context: &mut Context<'_>) -> Result<Parts, NodeError> {
        match &self.source {
            VideoSource::Frames { images, frame_rate, audio } => {
                Ok(Parts { images: images.clone(), frame_rate: *frame_rate, audio: audio.clone() })
            }
            VideoSource::File(path) => {
                let (images, frame_rate) = read(path, context)?;
                let audio = has_sound(path).then(|| Arc::new(Audio { file: path.clone() }));
                Ok(Parts { images: Arc::new(images), frame_rate, audio })
            }
        }
    }
}

/// H.264 in MP4 natively, anything else through FFmpeg.
fn read(path: &Path, context: &mut Context<'_>) -> Result<(Image, FrameRate), NodeError> {
    let native = read_mp4(path, context);
    let studio: &Studio = context.host();
    match (native, studio.settings.ffmpeg.as_deref()) {
        (Err(NodeError::Interrupted), _) => Err(NodeError::Interrupted),
        (Err(_), Some(program)) => ffmpeg::decode(program, path, context),
        (Err(NodeError::Failed { kind, message, .. }), None) => {
            let hint = "only H.264 in MP4 is read without FFmpeg: install it so that `ffmpeg` is on the PATH, \
                        or convert the file";
            Err(NodeError::Failed { kind, message, hint: Some(hint.into()) })
        }
        (native, _) => native,
    }
}

fn read_mp4(path: &Path, context: &mut Context<'_>) -> Result<(Image, FrameRate), NodeError> {
    let failed = |error: vita_media::Error| NodeError::of(&error);
    let mut decoder = vita_media::Mp4Decoder::open(path).map_err(failed)?;
    let (frame_rate, count) = (decoder.frame_rate(), decoder.frame_count());
    let mut values = Vec::new();
    let mut size = [0; 2];
    let mut found = 0;
    while let Some(frame) = decoder.next_frame().map_err(failed)? {
        size = [frame.height() as usize, frame.width() as usize];
        if found == 0 {
            Image::check([count.max(1), size[0], size[1], 3])?;
        }
        found += 1;
        Image::check([found, size[0], size[1], 3])?;
        values.extend(frame.data().iter().map(|&byte| f32::from(byte) / 255.0));
        context.check()?;
        context.progress(found as u64, count.max(found) as u64);
    }
    if found == 0 {
        return Err(NodeError::value(format!("there are no pictures in `{}`", path.display())));
    }
    Ok((Image::new(Tensor::from_vec(values, [found, size[0], size[1], 3])), frame_rate))
}

/// Quality of H.264: hard to tell from the source.
const QUANTIZER: u8 = 18;

/// Writes pictures as an H.264 MP4, with the sound of a file.
///
/// # Errors
/// Pictures that H.264 cannot hold, a disk that refuses, sound without FFmpeg, or a run that was asked to stop.
pub(crate) fn write_mp4(
    path: &Path,
    parts: &Parts,
    texts: Vec<(String, String)>,
    context: &mut Context<'_>,
) -> Result<(), NodeError> {
    let program = match &parts.audio {
        Some(_) => Some(context.host::<Studio>().ffmpeg("the sound of a video is written")?.to_owned()),
        None => None,
    };
    let silent = path.with_extension("silent.mp4");
    let target = if program.is_some() { &silent } else { path };
    write_pictures(target, parts, texts, context)?;
    if let (Some(program), Some(audio)) = (program, &parts.audio) {
        let added = ffmpeg::add_sound(&program, &silent, &audio.file, path);
        let _ = std::fs::remove_file(&silent);
        added?;
    }
    Ok(())
}

fn write_pictures(
    path: &Path,
    parts: &Parts,
    texts: Vec<(String, String)>,
    context: &mut Context<'_>,
) -> Result<(), NodeError> {
    let failed = |error: vita_media::Error| NodeError::of(&error);
    let images = parts.images.rgb();
    let (width, height) = (images.width() as u32, images.height() as u32);
    let options =
        Mp4Options { frame_rate: parts.frame_rate, quantizer: QUANTIZER, metadata: texts.into_iter().collect() };
    let mut encoder = Mp4Encoder::create(path, width, height, options).map_err(failed)?;
    for index in 0..images.count() {
        context.check()?;
        let bytes = images.bytes(index);
        encoder.push(Frame::new(width, height, &bytes).map_err(failed)?).map_err(failed)?;
        context.progress(index as u64 + 1, images.count() as u64);
    }
    encoder.finish().map(|_| ()).map_err(failed)
}

/// Boxes that hold boxes on the way to a track's kind.
const CONTAINERS: [&[u8]; 3] = [b"moov", b"trak", b"mdia"];

/// Whether an MP4 or QuickTime file has a track of sound. Of other kinds of files FFmpeg is left to find out.
fn has_sound(path: &Path) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let Ok(length) = file.seek(SeekFrom::End(0)) else { return false };
    sound_in(&mut file, 0, length).unwrap_or(false)
}

fn sound_in(file: &mut File, mut at: u64, end: u64) -> std::io::Result<bool> {
    while at + 8 <= end {
        file.seek(SeekFrom::Start(at))?;
        let mut header = [0; 16];
        file.read_exact(&mut header[..8])?;
        let (mut size, mut start) = (u64::from(u32::from_be_bytes([header[0], header[1], header[2], header[3]])), 8);
        if size == 1 {
            file.read_exact(&mut header[8..])?;
            size = u64::from_be_bytes(header[8..].try_into().expect("eight bytes"));
            start = 16;
        }
        let next = if size == 0 { end } else { at.saturating_add(size) };
        if next < at + start || next > end {
            return Ok(false);
        }
        let kind = &header[4..8];
        if kind == b"hdlr" {
            let mut handler = [0; 12];
            file.seek(SeekFrom::Start(at + start))?;
            file.read_exact(&mut handler)?;
            if &handler[8..] == b"soun" {
                return Ok(true);
            }
        } else if CONTAINERS.contains(&kind) && sound_in(file, at + start, next)? {
            return Ok(true);
        }
        at = next;
    }
    Ok(false)
}
