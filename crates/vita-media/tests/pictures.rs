//! PNG frames, animated WebP, single pictures, previews, and the choice between them by name.

mod common;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use common::{colour_bars, metadata, names_in, psnr, rate, waves};
use image_webp::WebPDecoder;
use vita_base::Hint;
use vita_media::{
    Frames, Metadata, PngFolder, SinkOptions, WebpEncoder, WebpOptions, WebpQuality, encode_jpeg, encode_png,
    open_sink, read_image, read_metadata, write_png,
};

#[test]
fn png_frames_return_exactly_with_their_texts() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("frames");
    let texts = metadata(&[("prompt", "{\"1\": {}}"), ("workflow", "球 → \"x\""), ("latin", "é\n"), ("empty", "")]);
    let frames = waves(33, 17, 3);
    let mut png = PngFolder::create(&target, "shot", texts.clone()).unwrap();
    for frame in frames.iter() {
        png.push(frame).unwrap();
    }
    let written = png.finish().unwrap();
    assert_eq!(names_in(&target), ["shot_00001.png", "shot_00002.png", "shot_00003.png"]);
    assert_eq!((written.frame_count, written.path.as_path()), (3, target.as_path()));
    for (name, frame) in names_in(&target).iter().zip(frames.iter()) {
        let path = target.join(name);
        assert_eq!(read_image(&path).unwrap().as_bytes(), frame.data());
        assert_eq!(read_metadata(&path).unwrap(), texts);
    }
}

#[test]
fn unfinished_png_frames_are_removed_but_not_what_others_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let frames = waves(16, 16, 2);
    for (name, prepare, expected) in [("new", false, &[][..]), ("old", true, &["note.txt"])] {
        let target = folder.path().join(name);
        if prepare {
            std::fs::create_dir(&target).unwrap();
            std::fs::write(target.join("note.txt"), "mine").unwrap();
        }
        let mut png = PngFolder::create(&target, "frame", Metadata::new()).unwrap();
        frames.iter().for_each(|frame| png.push(frame).unwrap());
        drop(png);
        assert_eq!(target.exists(), prepare);
        if prepare {
            assert_eq!(names_in(&target), expected);
        }
    }
}

#[test]
fn png_names_that_the_format_cannot_hold_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let frames = waves(2, 2, 1);
    let long = "x".repeat(80);
    for (key, text, reason) in [
        ("", "", "a name must have 1 to 79 characters"),
        (long.as_str(), "", "a name must have 1 to 79 characters"),
        ("球", "", "a name must be printable Latin-1 without spaces at its ends or in a row"),
        (" a", "", "a name must be printable Latin-1 without spaces at its ends or in a row"),
        ("a", "\0", "a text must not contain a zero byte"),
    ] {
        let error = write_png(&path, frames.frame(0).unwrap(), &metadata(&[(key, text)])).unwrap_err();
        assert_eq!(error.to_string(), format!("metadata `{key}` cannot be stored in PNG: {reason}"));
    }
    assert!(names_in(folder.path()).is_empty());
}

#[test]
fn animated_webp_returns_close_or_exactly_and_keeps_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.webp");
    let texts = metadata(&[("prompt", "{\"1\": {}}"), ("workflow", "球 : \"x\""), ("seed", "7")]);
    for (frames, quality, psnr_min, expected_texts) in [
        // Hard edges between saturated colours suffer where a decoder interpolates colour.
        (colour_bars(96, 64, 9), WebpQuality::Lossy(80.0), 28.0, texts.clone()),
        (waves(64, 48, 9), WebpQuality::Lossy(90.0), 33.0, Metadata::new()),
        (waves(33, 17, 9), WebpQuality::Lossless, f64::INFINITY, texts.clone()),
    ] {
        let options =
            WebpOptions { frame_rate: rate("29.97"), quality, loop_count: 3, metadata: expected_texts.clone() };
        let mut webp = WebpEncoder::create(&path, frames.width(), frames.height(), options).unwrap();
        frames.iter().for_each(|frame| webp.push(frame).unwrap());
        let written = webp.finish().unwrap();
        assert_eq!(written.bytes, std::fs::metadata(&path).unwrap().len());

        let (decoded, milliseconds) = decode_webp(&path);
        assert_eq!(decoded.count(), frames.count());
        let psnr = psnr(decoded.as_bytes(), frames.as_bytes());
        assert!(psnr >= psnr_min, "{quality:?}: {psnr:.1} dB");
        // 9 frames of 1001/30 ms: none drifts.
        assert_eq!(milliseconds, [33, 34, 33, 33, 34, 33, 34, 33, 33]);
        assert_eq!(read_metadata(&path).unwrap(), expected_texts);
    }
}

fn decode_webp(path: &Path) -> (Frames, Vec<u32>) {
    let mut decoder = WebPDecoder::new(BufReader::new(File::open(path).unwrap())).unwrap();
    let (width, height) = decoder.dimensions();
    assert!(!decoder.has_alpha());
    let mut frames = Frames::empty(width, height).unwrap();
    let mut pixels = vec![0; decoder.output_buffer_size().unwrap()];
    let milliseconds = (0..decoder.num_frames()).map(|_| {
        let milliseconds = decoder.read_frame(&mut pixels).unwrap();
        frames.push(vita_media::Frame::new(width, height, &pixels).unwrap()).unwrap();
        milliseconds
    });
    let milliseconds = milliseconds.collect();
    (frames, milliseconds)
}

#[test]
fn webp_refusals_name_the_setting_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.webp");
    let create = |width, height, quality, texts: &[(&str, &str)]| {
        let options = WebpOptions { frame_rate: rate("16"), quality, loop_count: 0, metadata: metadata(texts) };
        WebpEncoder::create(&path, width, height, options)
    };
    for (result, expected) in [
        (
            create(16384, 2, WebpQuality::Lossless, &[]),
            "WebP cannot hold pictures of 16384x2 pixels: both sides must be 1 to 16383",
        ),
        (
            create(0, 2, WebpQuality::Lossless, &[]),
            "WebP cannot hold pictures of 0x2 pixels: both sides must be 1 to 16383",
        ),
        (create(2, 2, WebpQuality::Lossy(101.0), &[]), "the WebP quality is 101, expected from 0 to 100"),
        (create(2, 2, WebpQuality::Lossy(f32::NAN), &[]), "the WebP quality is NaN, expected from 0 to 100"),
        (
            create(2, 2, WebpQuality::Lossless, &[("a:b", "")]),
            "metadata `a:b` cannot be stored in WebP: a name must not be empty or contain a colon or zero byte",
        ),
    ] {
        assert_eq!(result.err().unwrap().to_string(), expected);
    }
    let mut unfinished = create(16, 16, WebpQuality::Lossless, &[]).unwrap();
    unfinished.push(waves(16, 16, 1).frame(0).unwrap()).unwrap();
    drop(unfinished);
    assert!(create(16, 16, WebpQuality::Lossless, &[]).unwrap().finish().is_err());
    assert!(names_in(folder.path()).is_empty());
}

/// A still WebP of RGB or RGBA pixels, without loss.
fn webp_file(width: u32, height: u32, pixels: &[u8], color: image_webp::ColorType, exif: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = image_webp::WebPEncoder::new(&mut file);
    encoder.set_exif_metadata(exif.to_vec());
    encoder.encode(pixels, width, height, color).unwrap();
    file
}

fn png_file(width: u32, height: u32, pixels: &[u8], color: png::ColorType, depth: png::BitDepth) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == png::ColorType::Indexed {
        encoder.set_palette(vec![1, 2, 3, 4, 5, 6]);
    }
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    file
}

#[test]
fn pictures_are_read_by_content_not_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.bin");
    let frames = colour_bars(64, 48, 1);
    let frame = frames.frame(0).unwrap();
    for (name, file, psnr_min) in [
        ("PNG", encode_png(frame).unwrap(), f64::INFINITY),
        ("JPEG", encode_jpeg(frame, 95).unwrap(), 30.0),
        ("WebP", webp_file(64, 48, frame.data(), image_webp::ColorType::Rgb8, &[]), f64::INFINITY),
    ] {
        std::fs::write(&path, file).unwrap();
        let read = read_image(&path).unwrap();
        assert_eq!((read.width(), read.height(), read.count()), (64, 48, 1));
        let psnr = psnr(read.as_bytes(), frames.as_bytes());
        assert!(psnr >= psnr_min, "{name}: {psnr:.1} dB");
    }
}

#[test]
fn every_kind_of_pixel_becomes_rgb() {
    use png::{BitDepth, ColorType};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.bin");
    let rgba = [9, 8, 7, 0, 6, 5, 4, 255];
    for (name, file, expected) in [
        ("RGBA", png_file(2, 1, &rgba, ColorType::Rgba, BitDepth::Eight), [9, 8, 7, 6, 5, 4]),
        ("grey", png_file(2, 1, &[9, 200], ColorType::Grayscale, BitDepth::Eight), [9, 9, 9, 200, 200, 200]),
        ("grey, 1 bit", png_file(2, 1, &[0x40], ColorType::Grayscale, BitDepth::One), [0, 0, 0, 255, 255, 255]),
        (
            "grey, alpha",
            png_file(2, 1, &[9, 0, 7, 255], ColorType::GrayscaleAlpha, BitDepth::Eight),
            [9, 9, 9, 7, 7, 7],
        ),
        ("palette", png_file(2, 1, &[1, 0], ColorType::Indexed, BitDepth::Eight), [4, 5, 6, 1, 2, 3]),
        (
            "16 bits",
            png_file(2, 1, &[9, 1, 8, 2, 7, 3, 6, 4, 5, 5, 4, 6], ColorType::Rgb, BitDepth::Sixteen),
            [9, 8, 7, 6, 5, 4],
        ),
        ("WebP with alpha", webp_file(2, 1, &rgba, image_webp::ColorType::Rgba8, &[]), [9, 8, 7, 6, 5, 4]),
    ] {
        std::fs::write(&path, file).unwrap();
        assert_eq!(read_image(&path).unwrap().as_bytes(), expected, "{name}");
    }
}

#[test]
fn pictures_lying_on_their_side_are_turned_upright() {
    // Orientation 6: row 0 of the file is the right side.
    const EXIF: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.bin");
    let (a, b) = ([200, 0, 0], [0, 0, 200]);
    let pixels = [a, b].concat();
    let webp = webp_file(2, 1, &pixels, image_webp::ColorType::Rgb8, EXIF);
    let mut png = Vec::new();
    let mut info = png::Info::with_size(2, 1);
    info.color_type = png::ColorType::Rgb;
    info.bit_depth = png::BitDepth::Eight;
    info.exif_metadata = Some(EXIF.into());
    let mut writer = png::Encoder::with_info(&mut png, info).unwrap().write_header().unwrap();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    for file in [webp, png] {
        std::fs::write(&path, file).unwrap();
        let read = read_image(&path).unwrap();
        assert_eq!((read.width(), read.height()), (1, 2));
        assert_eq!(read.as_bytes(), pixels);
    }

    let large: Vec<u8> = std::iter::repeat_n(a, 16 * 16).chain(std::iter::repeat_n(b, 16 * 16)).flatten().collect();
    let mut jpeg = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 95);
    encoder.add_exif_metadata(EXIF).unwrap();
    encoder.encode(&large, 16, 32, jpeg_encoder::ColorType::Rgb).unwrap();
    std::fs::write(&path, jpeg).unwrap();
    let read = read_image(&path).unwrap();
    assert_eq!((read.width(), read.height()), (32, 16));
    // The file's top is the right side.
    let pixel = |x: usize| &read.as_bytes()[x * 3..x * 3 + 3];
    assert!(pixel(30)[0] > 150 && pixel(2)[2] > 150, "{:?} {:?}", pixel(30), pixel(2));
}

#[test]
fn jpeg_previews_refuse_a_quality_out_of_range() {
    let frames = colour_bars(64, 48, 1);
    for quality in [0, 101] {
        let message = encode_jpeg(frames.frame(0).unwrap(), quality).unwrap_err().to_string();
        assert_eq!(message, format!("the JPEG quality is {quality}, expected from 1 to 100"));
    }
}

#[test]
fn the_name_of_the_output_chooses_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let frames = waves(32, 32, 2);
    let options = SinkOptions {
        width: 32,
        height: 32,
        frame_rate: rate("16"),
        mp4_quantizer: 20,
        webp_quality: WebpQuality::Lossy(80.0),
        metadata: metadata(&[("seed", "1")]),
    };
    for (name, first_file) in
        [("a.mp4", "a.mp4"), ("b.WEBP", "b.WEBP"), ("c.png", "c_00001.png"), ("d/", "d/frame_00001.png")]
    {
        let mut sink = open_sink(folder.path().join(name), options.clone()).unwrap();
        frames.iter().for_each(|frame| sink.push(frame).unwrap());
        assert_eq!(sink.finish().unwrap().frame_count, 2);
        assert_eq!(read_metadata(folder.path().join(first_file)).unwrap(), options.metadata, "{name}");
    }
    let error = open_sink(folder.path().join("e.avi"), options).err().unwrap();
    assert!(error.to_string().ends_with("e.avi` does not end in a known extension"), "{error}");
    assert_eq!(error.hint().unwrap(), "end the name in one of .mp4, .webp, .png, /");
}
