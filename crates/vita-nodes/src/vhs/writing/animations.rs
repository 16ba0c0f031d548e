//! Animated pictures: GIF and WebP.

use std::path::PathBuf;

use gif::{DisposalMethod, Encoder, EncodingError, Repeat};
use vita_graph::{Context, NodeError};
use vita_media::{FrameRate, WebpEncoder, WebpOptions, WebpQuality};

use super::{Work, bytes};
use crate::save::write_file;

/// Of 1 (slow) to 30: how closely the 256 colours are chosen.
const SPEED: i32 = 10;

/// # Errors
/// Pictures that GIF cannot hold, a disk that refuses, or a run that was asked to stop.
pub fn gif(work: &Work<'_>, context: &mut Context<'_>) -> Result<Vec<PathBuf>, NodeError> {
    let failed = |error: EncodingError| NodeError::value(format!("cannot write a GIF: {error}"));
    let images = work.images.with_channels(3);
    let [width, height] = sides(images.width(), images.height())?;
    let mut file = Vec::new();
    {
        let mut encoder = Encoder::new(&mut file, width, height, &[]).map_err(failed)?;
        encoder
            .set_repeat(if work.loop_count == 0 { Repeat::Infinite } else { Repeat::Finite(work.loop_count) })
            .map_err(failed)?;
        for (done, &index) in work.order.iter().enumerate() {
            context.check()?;
            let mut pixels = bytes(&images, index);
            let mut frame = match images.channels() {
                4 => gif::Frame::from_rgba_speed(width, height, &mut pixels, SPEED),
                _ => gif::Frame::from_rgb_speed(width, height, &pixels, SPEED),
            };
            // In hundredths of a second, from whole milliseconds.
            frame.delay = ((1000.0 / work.frame_rate).round() / 10.0) as u16;
            frame.dispose = DisposalMethod::Background;
            encoder.write_frame(&frame).map_err(failed)?;
            context.progress(done as u64 + 1, work.order.len() as u64);
        }
    }
    let path = work.file();
    write_file(&path, work.place, &file)?;
    Ok(vec![path])
}

fn sides(width: usize, height: usize) -> Result<[u16; 2], NodeError> {
    match (u16::try_from(width), u16::try_from(height)) {
        (Ok(width), Ok(height)) => Ok([width, height]),
        _ => Err(NodeError::value(format!("{width}x{height} pixels are too many for a GIF, which holds 65535 a side"))),
    }
}

/// # Errors
/// Pictures that WebP cannot hold, a disk that refuses, or a run that was asked to stop.
pub fn webp(work: &Work<'_>, context: &mut Context<'_>) -> Result<Vec<PathBuf>, NodeError> {
    let failed = |error: vita_media::Error| NodeError::of(&error);
    let images = work.images.rgb();
    let [width, height] = [images.width(), images.height()].map(|side| side as u32);
    let quality = if work.widgets.is_on("lossless") { WebpQuality::Lossless } else { WebpQuality::Lossy(80.0) };
    let options = WebpOptions {
        frame_rate: FrameRate::from_f64(work.frame_rate).map_err(failed)?,
        quality,
        loop_count: work.loop_count,
        metadata: work.texts.iter().cloned().collect(),
    };
    let path = work.file();
    let mut encoder = WebpEncoder::create(&path, width, height, options).map_err(failed)?;
    for (done, &index) in work.order.iter().enumerate() {
        context.check()?;
        let pixels = bytes(&images, index);
        encoder.push(vita_media::Frame::new(width, height, &pixels).map_err(failed)?).map_err(failed)?;
        context.progress(done as u64 + 1, work.order.len() as u64);
    }
    encoder.finish().map_err(failed)?;
    Ok(vec![path])
}
