//! WebP files in, animated or not.

use std::io::{BufRead, Seek};

use image_webp::WebPDecoder;

use super::{PIXEL_COUNT_MAX, Pictures};

/// All pictures of a file, each as it is shown.
pub fn read(file: impl BufRead + Seek) -> Result<Pictures, String> {
    let text = |error: image_webp::DecodingError| error.to_string();
    let mut decoder = WebPDecoder::new(file).map_err(text)?;
    let (width, height) = decoder.dimensions();
    let mut pictures = Pictures::new(width, height)?;
    decoder.set_memory_limit(PIXEL_COUNT_MAX as usize * 4);
    let has_alpha = decoder.has_alpha();
    let mut buffer = vec![0; decoder.output_buffer_size().ok_or("it is too large")?];
    let count = if decoder.is_animated() { decoder.num_frames() } else { 1 };
    for _ in 0..count {
        if decoder.is_animated() {
            decoder.read_frame(&mut buffer).map_err(text)?;
        } else {
            decoder.read_image(&mut buffer).map_err(text)?;
        }
        match has_alpha {
            true => pictures.push_rgba(&buffer, true)?,
            false => {
                let pixels = buffer.as_chunks::<3>().0;
                let rgba: Vec<u8> = pixels.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
                pictures.push_rgba(&rgba, false)?;
            }
        }
    }
    // Damaged EXIF does not spoil a picture that was decoded.
    let exif = decoder.exif_metadata().ok().flatten();
    Ok(pictures.upright(exif.as_deref()))
}
