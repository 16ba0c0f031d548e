//! Single pictures: PNG, JPEG and WebP files in; JPEG and PNG bytes for previews out.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use image_webp::WebPDecoder;
use png::{ColorType, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::error::{Error, Result};
use crate::exif::{self, Orientation};
use crate::file_kind::{self, FileKind};
use crate::frame::{Frame, Frames};
use crate::metadata::Metadata;

/// The most pixels that are read; a header may claim any size.
const PIXEL_COUNT_MAX: u64 = 1 << 26;

/// Reads a PNG, JPEG or WebP file as one RGB picture, whatever its name says it is.
///
/// Turned upright as its EXIF orientation says. Transparency is dropped, 16 bits become 8, and
/// of an animation the first picture is taken.
///
/// # Errors
/// A file that cannot be read, is damaged, is of another kind, or has more than 2^26 pixels (8192x8192).
pub fn read_image(path: impl AsRef<Path>) -> Result<Frames> {
    let path = path.as_ref();
    let (file, kind) = file_kind::open(path)?;
    let decoded = match kind {
        Some(FileKind::Png) => read_png(file).map_err(|problem| Error::malformed(path, "PNG", problem)),
        Some(FileKind::Jpeg) => read_jpeg(file).map_err(|problem| Error::malformed(path, "JPEG", problem)),
        Some(FileKind::Webp) => read_webp(file).map_err(|problem| Error::malformed(path, "WebP", problem)),
        Some(FileKind::Mp4) | None => Err(Error::unsupported(path, "this is not a PNG, JPEG or WebP picture")),
    }?;
    let frames = Frames::new(decoded.width, decoded.height, decoded.rgb)?;
    Ok(match decoded.orientation {
        Orientation::UPRIGHT => frames,
        orientation => upright(&frames, orientation),
    })
}

/// A JPEG file in memory, for previews. `quality` is 1 to 100; 85 is fine for looking at.
///
/// # Errors
/// A quality out of range, or a side above 65535.
pub fn encode_jpeg(frame: Frame<'_>, quality: u8) -> Result<Vec<u8>> {
    if !(1..=100).contains(&quality) {
        return Err(Error::Setting { name: "the JPEG quality", found: quality.to_string(), expected: "from 1 to 100" });
    }
    let (Ok(width), Ok(height)) = (u16::try_from(frame.width()), u16::try_from(frame.height())) else {
        let (width, height, reason) = (frame.width(), frame.height(), "both sides must be at most 65535");
        return Err(Error::SizeUnsupported { format: "JPEG", width, height, reason, nearest: None });
    };
    let mut file = Vec::new();
    jpeg_encoder::Encoder::new(&mut file, quality)
        .encode(frame.data(), width, height, jpeg_encoder::ColorType::Rgb)
        .map_err(|error| Error::Encode { format: "JPEG", index: 0, message: error.to_string() })?;
    Ok(file)
}

/// A PNG file in memory, for previews.
///
/// # Errors
/// A picture that PNG cannot hold.
pub fn encode_png(frame: Frame<'_>) -> Result<Vec<u8>> {
    crate::png::encode(frame, &Metadata::new(), 0)
}

/// A picture as its file stores it, perhaps lying on its side.
struct Decoded {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    orientation: Orientation,
}

fn read_png(file: File) -> Result<Decoded, String> {
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let (width, height) = reader.info().size();
    check_size(width, height)?;
    let bytes = reader.output_buffer_size().ok_or("it is too large")?;
    let mut pixels = vec![0; bytes];
    let frame = reader.next_frame(&mut pixels).map_err(|error| error.to_string())?;
    pixels.truncate(frame.buffer_size());
    let rgb = match frame.color_type {
        ColorType::Rgb => pixels,
        ColorType::Rgba => pixels.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect(),
        ColorType::Grayscale => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
        ColorType::GrayscaleAlpha => pixels.as_chunks::<2>().0.iter().flat_map(|&[grey, _]| [grey; 3]).collect(),
        ColorType::Indexed => return Err("its palette could not be resolved".to_owned()),
    };
    let orientation = reader.info().exif_metadata.as_deref().map(exif::orientation).unwrap_or_default();
    Ok(Decoded { width, height, rgb, orientation })
}

fn read_jpeg(mut file: File) -> Result<Decoded, String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    // Damaged files from cameras are common and mostly fine to look at, so not strict.
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
    let orientation = decoder.exif().map(|exif| exif::orientation(exif)).unwrap_or_default();
    let rgb = decoder.decode().map_err(|error| error.to_string())?;
    Ok(Decoded { width, height, rgb, orientation })
}

fn read_webp(file: File) -> Result<Decoded, String> {
    let mut decoder = WebPDecoder::new(BufReader::new(file)).map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    let bytes = decoder.output_buffer_size().ok_or("it is too large")?;
    let mut pixels = vec![0; bytes];
    decoder.set_memory_limit(PIXEL_COUNT_MAX as usize * 4);
    decoder.read_image(&mut pixels).map_err(|error| error.to_string())?;
    let rgb = if decoder.has_alpha() {
        pixels.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect()
    } else {
        pixels
    };
    // Damaged EXIF does not spoil a picture that was decoded.
    let orientation = decoder.exif_metadata().ok().flatten().map(|exif| exif::orientation(&exif)).unwrap_or_default();
    Ok(Decoded { width, height, rgb, orientation })
}

fn check_size(width: u32, height: u32) -> Result<(), String> {
    if u64::from(width) * u64::from(height) > PIXEL_COUNT_MAX {
        return Err(format!("{width}x{height} pixels are more than 8192x8192, the most that is read"));
    }
    Ok(())
}

/// Mirrors and turns a picture so that its top is up.
fn upright(picture: &Frames, orientation: Orientation) -> Frames {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (turned_width, turned_height) = if orientation.swaps_sides() { (height, width) } else { (width, height) };
    let mut rgb = Vec::with_capacity(picture.as_bytes().len());
    for y in 0..turned_height {
        for x in 0..turned_width {
            let (source_x, source_y) = orientation.source_of(x, y, width, height);
            let at = (source_y * width + source_x) * 3;
            rgb.extend_from_slice(&picture.as_bytes()[at..at + 3]);
        }
    }
    Frames::new(turned_width as u32, turned_height as u32, rgb).expect("turning keeps the number of pixels")
}
