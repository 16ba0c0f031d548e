//! A video as numbered PNG files, of one or two bytes a value.

use std::path::PathBuf;

use png::{BitDepth, ColorType, Encoder, EncodingError};
use vita_graph::{Context, NodeError};

use super::{Work, bytes, deep_bytes};
use crate::save::write_file;

/// # Errors
/// A disk that refuses, or a run that was asked to stop.
pub fn write(work: &Work<'_>, bits: u8, context: &mut Context<'_>) -> Result<Vec<PathBuf>, NodeError> {
    let images = work.images.with_channels(3);
    for (done, &index) in work.order.iter().enumerate() {
        context.check()?;
        let (depth, pixels) = match bits {
            16 => (BitDepth::Sixteen, deep_bytes(&images, index)),
            _ => (BitDepth::Eight, bytes(&images, index)),
        };
        let color = if images.channels() == 4 { ColorType::Rgba } else { ColorType::Rgb };
        let file = encode([images.width(), images.height()], color, depth, &pixels)
            .map_err(|error| NodeError::value(format!("cannot write a PNG: {error}")))?;
        write_file(&named(work, &format!("{:03}", done + 1)), work.place, &file)?;
        context.progress(done as u64 + 1, work.order.len() as u64);
    }
    // A single picture is shown; of several their common name is.
    Ok(vec![named(work, if work.order.len() == 1 { "001" } else { "%03d" })])
}

fn named(work: &Work<'_>, number: &str) -> PathBuf {
    work.path.path(&format!("{number}.{}", work.format.extension))
}

fn encode(size: [usize; 2], color: ColorType, depth: BitDepth, pixels: &[u8]) -> Result<Vec<u8>, EncodingError> {
    let mut file = Vec::new();
    let [width, height] = size.map(|side| side as u32);
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(file)
}
