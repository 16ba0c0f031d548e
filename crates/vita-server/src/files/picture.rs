//! Pictures with their transparency: decoded for previews and masks, encoded as WebP, JPEG and PNG.

use std::io::Cursor;
use std::path::Path;

use image_webp::WebPDecoder;
use png::{ColorType, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// The most pixels that are decoded; a header may claim any size.
const PIXEL_COUNT_MAX: u64 = 1 << 26;
/// The largest file that is read for it.
const FILE_BYTES_MAX: u64 = 1 << 28;

/// A picture, 8 bits a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub width: u32,
    pub height: u32,
    /// Red, green, blue, alpha; row by row.
    pub rgba: Vec<u8>,
    /// Whether the file had transparency.
    pub has_alpha: bool,
    /// Keyword and text of a PNG's text chunks.
    pub texts: Vec<(String, String)>,
}

impl Picture {
    /// Decodes a PNG, JPEG or WebP file, whatever its name says. Of an animation the first picture is taken.
    ///
    /// # Errors
    /// Why it is no such picture.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes_len = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
        if bytes_len > FILE_BYTES_MAX {
            return Err("the file is larger than 256 MiB".into());
        }
        Self::decode(std::fs::read(path).map_err(|error| error.to_string())?)
    }

    fn decode(bytes: Vec<u8>) -> Result<Self, String> {
        match bytes.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => decode_png(bytes),
            [0xff, 0xd8, ..] => decode_jpeg(bytes),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => decode_webp(bytes),
            _ => Err("it is not a PNG, JPEG or WebP picture".into()),
        }
    }

    /// Red, green and blue only.
    pub fn rgb(&self) -> Vec<u8> {
        self.rgba.as_chunks::<4>().0.iter().flat_map(|&[red, green, blue, _]| [red, green, blue]).collect()
    }

    /// Makes all but the transparency black, as an alpha mask.
    pub fn keep_alpha_only(&mut self) {
        for pixel in self.rgba.as_chunks_mut::<4>().0 {
            *pixel = [0, 0, 0, pixel[3]];
        }
        self.has_alpha = true;
    }

    /// Takes over the transparency of another picture, scaled by nearest pixels where the sizes differ.
    pub fn take_alpha_of(&mut self, mask: &Self) {
        let (width, height) = (self.width as usize, self.height as usize);
        for (index, pixel) in self.rgba.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let x = (index % width) * mask.width as usize / width;
            let y = (index / width) * mask.height as usize / height;
            pixel[3] = mask.rgba[(y * mask.width as usize + x) * 4 + 3];
        }
        self.has_alpha = true;
    }

    /// A lossy WebP file; `quality` is 0 to 100.
    ///
    /// # Errors
    /// A side above 16383, which the format cannot hold.
    pub fn to_webp(&self, quality: f32) -> Result<Vec<u8>, String> {
        if self.width > 16383 || self.height > 16383 {
            return Err("WebP pictures have at most 16383 pixels a side".into());
        }
        let encoded = if self.has_alpha {
            webp::Encoder::from_rgba(&self.rgba, self.width, self.height).encode_simple(false, quality)
        } else {
            webp::Encoder::from_rgb(&self.rgb(), self.width, self.height).encode_simple(false, quality)
        };
        encoded.map(|bytes| bytes.to_vec()).map_err(|error| format!("{error:?}"))
    }

    /// A JPEG file without transparency; `quality` is 1 to 100.
    ///
    /// # Errors
    /// A side above 65535.
    pub fn to_jpeg(&self, quality: u8) -> Result<Vec<u8>, String> {
        let (Ok(width), Ok(height)) = (u16::try_from(self.width), u16::try_from(self.height)) else {
            return Err("JPEG pictures have at most 65535 pixels a side".into());
        };
        let mut bytes = Vec::new();
        jpeg_encoder::Encoder::new(&mut bytes, quality)
            .encode(&self.rgb(), width, height, jpeg_encoder::ColorType::Rgb)
            .map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    /// A PNG file with the text chunks; RGBA or, without transparency, RGB.
    ///
    /// # Errors
    /// A text that the format cannot hold.
    pub fn to_png(&self, with_alpha: bool) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(if with_alpha { ColorType::Rgba } else { ColorType::Rgb });
        encoder.set_compression(png::Compression::Fast);
        for (keyword, text) in &self.texts {
            encoder.add_itxt_chunk(keyword.clone(), text.clone()).map_err(|error| error.to_string())?;
        }
        let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
        let pixels = if with_alpha { &self.rgba } else { &self.rgb() };
        writer.write_image_data(pixels).and_then(|()| writer.finish()).map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}

fn decode_png(bytes: Vec<u8>) -> Result<Picture, String> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let (width, height) = reader.info().size();
    check_size(width, height)?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("it is too large")?];
    let frame = reader.next_frame(&mut pixels).map_err(|error| error.to_string())?;
    pixels.truncate(frame.buffer_size());
    // Text behind the pixels counts too; a damaged end does not spoil what was decoded.
    let _ = reader.finish();
    let (rgba, has_alpha) = match frame.color_type {
        ColorType::Rgba => (pixels, true),
        ColorType::Rgb => (with_opaque_alpha(&pixels), false),
        ColorType::Grayscale => (pixels.iter().flat_map(|&grey| [grey, grey, grey, 255]).collect(), false),
        ColorType::GrayscaleAlpha => {
            (pixels.as_chunks::<2>().0.iter().flat_map(|&[grey, alpha]| [grey, grey, grey, alpha]).collect(), true)
        }
        ColorType::Indexed => return Err("its palette could not be resolved".into()),
    };
    let info = reader.info();
    let plain = info.uncompressed_latin1_text.iter().map(|chunk| (chunk.keyword.clone(), chunk.text.clone()));
    let packed =
        info.compressed_latin1_text.iter().filter_map(|chunk| Some((chunk.keyword.clone(), chunk.get_text().ok()?)));
    let unicode = info.utf8_text.iter().filter_map(|chunk| Some((chunk.keyword.clone(), chunk.get_text().ok()?)));
    let texts = plain.chain(packed).chain(unicode).collect();
    Ok(Picture { width, height, rgba, has_alpha, texts })
}

fn decode_jpeg(bytes: Vec<u8>) -> Result<Picture, String> {
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions().ok_or("it has no size")?;
    let (width, height) = (width as u32, height as u32);
    check_size(width, height)?;
    let rgb = decoder.decode().map_err(|error| error.to_string())?;
    Ok(Picture { width, height, rgba: with_opaque_alpha(&rgb), has_alpha: false, texts: Vec::new() })
}

fn decode_webp(bytes: Vec<u8>) -> Result<Picture, String> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    decoder.set_memory_limit(PIXEL_COUNT_MAX as usize * 4);
    let mut pixels = vec![0; decoder.output_buffer_size().ok_or("it is too large")?];
    decoder.read_image(&mut pixels).map_err(|error| error.to_string())?;
    let has_alpha = decoder.has_alpha();
    let rgba = if has_alpha { pixels } else { with_opaque_alpha(&pixels) };
    Ok(Picture { width, height, rgba, has_alpha, texts: Vec::new() })
}

fn with_opaque_alpha(rgb: &[u8]) -> Vec<u8> {
    rgb.as_chunks::<3>().0.iter().flat_map(|&[red, green, blue]| [red, green, blue, 255]).collect()
}

fn check_size(width: u32, height: u32) -> Result<(), String> {
    if width == 0 || height == 0 || u64::from(width) * u64::from(height) > PIXEL_COUNT_MAX {
        return Err(format!("{width}x{height} pixels are none or more than 8192x8192, the most that is read"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn png_keeps_pixels_and_texts() {
        let rgba = (0..6 * 4 * 4).map(|index| index as u8).collect();
        let texts = vec![("prompt".to_owned(), "{\"1\": \"\u{fc}\"}".to_owned())];
        let picture = Picture { width: 6, height: 4, rgba, has_alpha: true, texts };
        assert_eq!(Picture::decode(picture.to_png(true).unwrap()).unwrap(), picture);
        let opaque = Picture::decode(picture.to_png(false).unwrap()).unwrap();
        assert!(!opaque.has_alpha && opaque.rgba[3] == 255 && opaque.rgba[..3] == picture.rgba[..3]);
    }

    #[test]
    fn other_formats_are_close() {
        let rgba = [200, 100, 50, 255].repeat(16 * 16);
        let picture = Picture { width: 16, height: 16, rgba, has_alpha: false, texts: Vec::new() };
        for bytes in [picture.to_webp(90.0).unwrap(), picture.to_jpeg(90).unwrap()] {
            let back = Picture::decode(bytes).unwrap();
            assert_eq!((back.width, back.height), (16, 16));
            assert!(back.rgba.iter().zip(&picture.rgba).all(|(&one, &two)| one.abs_diff(two) < 12));
        }
    }

    #[test]
    fn a_mask_gives_its_transparency() {
        let mut picture = Picture { width: 4, height: 2, rgba: vec![9; 32], has_alpha: false, texts: Vec::new() };
        let mask =
            Picture { width: 2, height: 1, rgba: vec![0, 0, 0, 10, 0, 0, 0, 20], has_alpha: true, texts: Vec::new() };
        picture.take_alpha_of(&mask);
        let alphas: Vec<u8> = picture.rgba.as_chunks::<4>().0.iter().map(|pixel| pixel[3]).collect();
        assert_eq!(alphas, [10, 10, 20, 20, 10, 10, 20, 20]);
        picture.keep_alpha_only();
        assert_eq!(picture.rgba[..4], [0, 0, 0, 10]);
    }

    #[test]
    fn damaged_files_are_refused() {
        for bytes in [&b""[..], b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"<svg/>"] {
            assert!(Picture::decode(bytes.to_vec()).is_err(), "{bytes:?}");
        }
    }
}
