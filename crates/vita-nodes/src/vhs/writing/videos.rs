//! Video files: H.264 natively, the others by FFmpeg, and sound beside either.

use std::path::{Path, PathBuf};

use vita_graph::{Context, NodeError};
use vita_media::{Frame, FrameRate, Mp4Encoder, Mp4Options};

use super::{How, Work, bytes, deep_bytes};
use crate::data::Image;
use crate::ffmpeg::{self, Encode};
use crate::studio::Studio;

/// Least and greatest quantizer that is written; smaller is better.
const QUANTIZERS: [i64; 2] = [12, 51];

/// # Errors
/// No FFmpeg where one is needed, pictures that the format cannot hold, a disk that refuses, or a run that was asked
/// to stop.
pub fn write(work: Work<'_>, context: &mut Context<'_>) -> Result<Vec<PathBuf>, NodeError> {
    let images = even(work.images);
    let mut work = Work { images: &images, ..work };
    // A video file does not say how often it plays: it is longer.
    work.order = work.order.repeat(usize::from(work.loop_count) + 1);
    if work.widgets.has("save_metadata") && !work.widgets.is_on("save_metadata") {
        work.texts.clear();
    }
    let path = work.file();
    match work.format.how {
        How::H264(_) if work.widgets.text("pix_fmt") == "yuv420p" => native(&work, &path, context)?,
        How::H264(arguments) | How::Ffmpeg { arguments, .. } => by_ffmpeg(&work, arguments, &path, context)?,
        _ => unreachable!("other formats are written elsewhere"),
    }
    let mut files = vec![path];
    if let Some(audio) = work.audio {
        files.push(with_sound(&work, &files[0], &audio.file, context)?);
    }
    Ok(files)
}

/// With the last row and column once more where there is an odd number of them.
fn even(images: &Image) -> Image {
    let [count, height, width, channels] = images.sizes();
    if height % 2 == 0 && width % 2 == 0 {
        return images.clone();
    }
    let [rows, columns] = [height, width].map(|side| side.next_multiple_of(2));
    let mut values = Vec::with_capacity(count * rows * columns * channels);
    for picture in images.values().chunks_exact(height * width * channels) {
        for row in 0..rows {
            let line = &picture[row.min(height - 1) * width * channels..][..width * channels];
            values.extend_from_slice(line);
            values.extend_from_slice(&line[(width - (columns - width)) * channels..]);
        }
    }
    Image::new(vita_tensor::Tensor::from_vec(values, [count, rows, columns, channels]))
}

fn native(work: &Work<'_>, path: &Path, context: &mut Context<'_>) -> Result<(), NodeError> {
    let failed = |error: vita_media::Error| NodeError::of(&error);
    let images = work.images.rgb();
    let [width, height] = [images.width(), images.height()].map(|side| side as u32);
    let options = Mp4Options {
        frame_rate: FrameRate::from_f64(work.frame_rate).map_err(failed)?,
        quantizer: work.widgets.number("crf").clamp(QUANTIZERS[0], QUANTIZERS[1]) as u8,
        metadata: work.texts.iter().cloned().collect(),
    };
    let mut encoder = Mp4Encoder::create(path, width, height, options).map_err(failed)?;
    for (done, &index) in work.order.iter().enumerate() {
        context.check()?;
        let pixels = bytes(&images, index);
        encoder.push(Frame::new(width, height, &pixels).map_err(failed)?).map_err(failed)?;
        context.progress(done as u64 + 1, work.order.len() as u64);
    }
    encoder.finish().map(|_| ()).map_err(failed)
}

/// What is said of the pictures that FFmpeg is given: full range, and the curve of videos, so that it is kept.
const PICTURES: [&str; 8] =
    ["-color_range", "pc", "-colorspace", "rgb", "-color_primaries", "bt709", "-color_trc", "bt709"];

fn by_ffmpeg(work: &Work<'_>, arguments: &[&str], path: &Path, context: &mut Context<'_>) -> Result<(), NodeError> {
    let what = format!("`{}` files are written", work.format.name);
    let program = context.host::<Studio>().ffmpeg(&what)?.to_owned();
    let images = work.images.with_channels(3);
    let has_alpha = images.channels() == 4;
    let is_deep = work.format.is_deep(&work.widgets);
    let job = Encode {
        program: &program,
        pixels: match (is_deep, has_alpha) {
            (false, false) => "rgb24",
            (false, true) => "rgba",
            (true, false) => "rgb48be",
            (true, true) => "rgba64be",
        },
        input: &PICTURES,
        frame_rate: FrameRate::from_f64(work.frame_rate).map_err(|error| NodeError::of(&error))?,
        arguments: &work.format.arguments(arguments, &work.widgets, has_alpha),
        metadata: &work.texts,
    };
    let of = |&index: &usize| if is_deep { deep_bytes(&images, index) } else { bytes(&images, index) };
    ffmpeg::encode(&job, [images.width(), images.height()], &mut work.order.iter().map(of), path, context)
}

/// A second file with the sound, as long as the video unless it is to end with the sound.
fn with_sound(work: &Work<'_>, video: &Path, sound: &Path, context: &Context<'_>) -> Result<PathBuf, NodeError> {
    let program = context.host::<Studio>().ffmpeg("the sound of a video is written")?;
    let mut arguments: Vec<String> = work.format.sound.iter().map(|&argument| argument.into()).collect();
    if !work.widgets.is_on("trim_to_audio") {
        let seconds = work.order.len() as f64 / work.frame_rate + 1.0;
        arguments.extend(["-af".into(), format!("apad=whole_dur={seconds}")]);
    }
    let name = format!("{}_{:05}-audio.{}", work.path.stem, work.path.counter, work.format.extension);
    let path = work.path.folder.join(name);
    ffmpeg::join_sound(program, [video, sound], &arguments, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_sides_get_one_more() {
        let image = Image::new(vita_tensor::Tensor::from_vec((0..9).map(|i| i as f32).collect(), [1, 1, 3, 3]));
        let even = even(&image);
        assert_eq!(even.sizes(), [1, 2, 4, 3]);
        let line = [0., 1., 2., 3., 4., 5., 6., 7., 8., 6., 7., 8.];
        assert_eq!(even.values(), [line, line].concat());
    }
}
