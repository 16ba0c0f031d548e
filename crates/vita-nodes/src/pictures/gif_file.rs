//! GIF files in, animated or not.

use std::io::Read;

use gif::{ColorOutput, DecodeOptions, DisposalMethod};

use super::{Canvas, Pictures, Place};

/// All pictures of a file, each as it is shown.
pub fn read(file: impl Read) -> Result<Pictures, String> {
    let text = |error: gif::DecodingError| error.to_string();
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    let mut decoder = options.read_info(file).map_err(text)?;
    let (width, height) = (decoder.width().into(), decoder.height().into());
    let mut pictures = Pictures::new(width, height)?;
    let mut canvas = Canvas::new(width as usize, height as usize);
    let mut has_alpha = None;
    while let Some(frame) = decoder.read_next_frame().map_err(text)? {
        let place = Place {
            left: frame.left.into(),
            top: frame.top.into(),
            width: frame.width.into(),
            height: frame.height.into(),
        };
        // What the first picture says holds for all, so that masks are of one size.
        let has_alpha = *has_alpha.get_or_insert(frame.transparent.is_some());
        let before = (frame.dispose == DisposalMethod::Previous).then(|| canvas.rgba.clone());
        canvas.draw(&frame.buffer, place, true);
        pictures.push_rgba(&canvas.rgba, has_alpha)?;
        match (frame.dispose, before) {
            (DisposalMethod::Background, _) => canvas.clear(place),
            (_, Some(before)) => canvas.rgba = before,
            _ => {}
        }
    }
    if pictures.rgb.is_empty() { Err("there is no picture in it".into()) } else { Ok(pictures) }
}
