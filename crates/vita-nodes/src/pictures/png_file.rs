//! PNG and APNG files in.

use std::io::{BufRead, Seek};

use png::{BlendOp, ColorType, Decoder, DisposeOp, Transformations};

use super::{Canvas, Pictures, Place};

/// All pictures of a file, each as it is shown.
pub fn read(file: impl BufRead + Seek) -> Result<Pictures, String> {
    let mut decoder = Decoder::new(file);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let text = |error: png::DecodingError| error.to_string();
    let mut reader = decoder.read_info().map_err(text)?;
    let info = reader.info();
    let (width, height) = info.size();
    let mut pictures = Pictures::new(width, height)?;
    // A single transparent colour beside plain red, green and blue is no mask, as in Pillow.
    let has_alpha = matches!(info.color_type, ColorType::Rgba | ColorType::GrayscaleAlpha)
        || (info.color_type == ColorType::Indexed && info.trns.is_some());
    let frames = info.animation_control().map_or(1, |control| control.num_frames);
    // A first picture that is not part of the animation comes before it.
    let count = frames + u32::from(info.animation_control().is_some() && info.frame_control().is_none());
    let exif = info.exif_metadata.as_deref().map(<[u8]>::to_vec);
    let mut canvas = Canvas::new(width as usize, height as usize);
    let mut buffer = vec![0; reader.output_buffer_size().ok_or("it is too large")?];
    for _ in 0..count {
        let output = reader.next_frame(&mut buffer).map_err(text)?;
        let rgba = to_rgba(&buffer[..output.buffer_size()], output.color_type)?;
        let Some(control) = reader.info().frame_control().copied() else {
            pictures.push_rgba(&rgba, has_alpha)?;
            continue;
        };
        let place = Place {
            left: control.x_offset as usize,
            top: control.y_offset as usize,
            width: output.width as usize,
            height: output.height as usize,
        };
        let before = matches!(control.dispose_op, DisposeOp::Previous).then(|| canvas.rgba.clone());
        canvas.draw(&rgba, place, control.blend_op == BlendOp::Over);
        pictures.push_rgba(&canvas.rgba, has_alpha)?;
        match (control.dispose_op, before) {
            (DisposeOp::Background, _) => canvas.clear(place),
            (_, Some(before)) => canvas.rgba = before,
            _ => {}
        }
    }
    Ok(pictures.upright(exif.as_deref()))
}

fn to_rgba(pixels: &[u8], color: ColorType) -> Result<Vec<u8>, String> {
    Ok(match color {
        ColorType::Rgba => pixels.to_vec(),
        ColorType::Rgb => pixels.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect(),
        ColorType::Grayscale => pixels.iter().flat_map(|&grey| [grey, grey, grey, 255]).collect(),
        ColorType::GrayscaleAlpha => {
            pixels.as_chunks::<2>().0.iter().flat_map(|&[grey, alpha]| [grey, grey, grey, alpha]).collect()
        }
        ColorType::Indexed => return Err("its palette could not be resolved".into()),
    })
}
