//! Single pictures: PNG, JPEG and WebP files in; JPEG and PNG bytes for previews out.

use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageReader};

use crate::error::{Error, Result};
use crate::frame::{Frame, Frames};
use crate::metadata::Metadata;
use crate::png;

/// Reads a PNG, JPEG or WebP file as one RGB picture, whatever its name says it is.
///
/// Turned upright as its EXIF orientation says. Transparency is dropped, 16 bits become 8, and
/// of an animation the first picture is taken.
///
/// # Errors
/// A file that cannot be read, is damaged, or is of another kind.
pub fn read_image(path: impl AsRef<Path>) -> Result<Frames> {
    let path = path.as_ref();
    let explain = |error: ImageError| match error {
        ImageError::IoError(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            Error::io("read", path, source)
        }
        ImageError::Unsupported(_) => {
            Error::unsupported(path, "this is not a PNG, JPEG or WebP file that is read here")
        }
        error => Error::malformed(path, "picture", error.to_string()),
    };
    let reader = ImageReader::open(path).map_err(|source| Error::io("open", path, source))?;
    let reader = reader.with_guessed_format().map_err(|source| Error::io("read", path, source))?;
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let orientation = decoder.orientation().map_err(explain)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(explain)?;
    picture.apply_orientation(orientation);
    let picture = picture.into_rgb8();
    Frames::new(picture.width(), picture.height(), picture.into_raw())
}

/// A JPEG file in memory, for previews. `quality` is 1 to 100; 85 is fine for looking at.
///
/// # Errors
/// A quality out of range, or a side above 65535.
pub fn encode_jpeg(frame: Frame<'_>, quality: u8) -> Result<Vec<u8>> {
    if !(1..=100).contains(&quality) {
        return Err(Error::Setting { name: "the JPEG quality", found: quality.to_string(), expected: "from 1 to 100" });
    }
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality)
        .encode(frame.data(), frame.width(), frame.height(), ExtendedColorType::Rgb8)
        .map_err(|error| Error::Encode { format: "JPEG", index: 0, message: error.to_string() })?;
    Ok(file)
}

/// A PNG file in memory, for previews.
///
/// # Errors
/// A picture that PNG cannot hold.
pub fn encode_png(frame: Frame<'_>) -> Result<Vec<u8>> {
    png::encode(frame, &Metadata::new(), 0)
}
