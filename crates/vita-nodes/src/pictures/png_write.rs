//! PNG and APNG bytes out, with text.

use std::borrow::Cow;

use png::chunk::ChunkType;
use png::text_metadata::{ITXtChunk, TEXtChunk};
use png::{BitDepth, ColorType, DeflateCompression, Encoder, EncodingError};
use vita_graph::NodeError;

/// How a PNG is written.
#[derive(Clone, Copy)]
pub(crate) struct PngOptions<'a> {
    /// Width and height.
    pub size: [usize; 2],
    /// 3, or 4 with transparency.
    pub channels: usize,
    /// 0 (fast and large) to 9.
    pub level: u8,
    /// Keys and texts.
    pub text: &'a [(String, String)],
    /// Whether the pictures are an animation.
    pub animation: Option<Animation>,
}

/// How an animation plays; for ever.
#[derive(Clone, Copy)]
pub(crate) struct Animation {
    /// Of each picture.
    pub milliseconds: u32,
}

/// Where ComfyUI keeps the text of animations.
const COMF: ChunkType = ChunkType(*b"comf");

/// A file of one picture, or of several as an animation; each `[height, width, channels]`.
///
/// # Errors
/// A picture that PNG cannot hold.
pub(crate) fn encode_png<P: AsRef<[u8]>>(pictures: &[P], options: &PngOptions<'_>) -> Result<Vec<u8>, NodeError> {
    let mut file = Vec::new();
    match write(&mut file, pictures, options) {
        Ok(()) => Ok(file),
        Err(error) => Err(NodeError::value(format!("cannot write a PNG: {error}"))),
    }
}

fn write<P: AsRef<[u8]>>(file: &mut Vec<u8>, pictures: &[P], options: &PngOptions<'_>) -> Result<(), EncodingError> {
    let [width, height] = options.size.map(|side| side as u32);
    let mut encoder = Encoder::new(file, width, height);
    encoder.set_color(match options.channels {
        1 => ColorType::Grayscale,
        2 => ColorType::GrayscaleAlpha,
        3 => ColorType::Rgb,
        _ => ColorType::Rgba,
    });
    encoder.set_depth(BitDepth::Eight);
    encoder.set_deflate_compression(match options.level {
        0 => DeflateCompression::NoCompression,
        1 => DeflateCompression::FdeflateUltraFast,
        level => DeflateCompression::Level(level),
    });
    if let Some(Animation { milliseconds }) = options.animation {
        encoder.set_animated(pictures.len() as u32, 0)?;
        let (count, per_second) = match u16::try_from(milliseconds) {
            Ok(milliseconds) => (milliseconds, 1000),
            Err(_) => (u16::try_from(milliseconds / 1000).unwrap_or(u16::MAX), 1),
        };
        encoder.set_frame_delay(count, per_second)?;
    }
    let mut writer = encoder.write_header()?;
    if options.animation.is_none() {
        for (key, text) in options.text {
            // tEXt holds Latin-1; anything else needs iTXt, which fewer tools read.
            if text.chars().all(|character| u32::from(character) < 256) {
                writer.write_text_chunk(&TEXtChunk::new(key.as_str(), text.as_str()))?;
            } else {
                writer.write_text_chunk(&ITXtChunk::new(key.as_str(), text.as_str()))?;
            }
        }
    }
    for picture in pictures {
        writer.write_image_data(picture.as_ref())?;
    }
    if options.animation.is_some() {
        for (key, text) in options.text {
            let chunk: Cow<'_, [u8]> = [key.as_bytes(), b"\0", text.as_bytes()].concat().into();
            writer.write_chunk(COMF, &chunk)?;
        }
    }
    writer.finish()
}
