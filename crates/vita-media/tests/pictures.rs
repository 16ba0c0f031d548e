//! PNG frames, animated WebP, single pictures, previews, and the choice between them by name.

mod common;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use common::{colour_bars, metadata, names_in, psnr, rate, waves};
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, ImageFormat};
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
    let decoder = WebPDecoder::new(BufReader::new(File::open(path).unwrap())).unwrap();
    let pictures = decoder.into_frames().collect_frames().unwrap();
    let milliseconds = pictures.iter().map(|picture| picture.delay().numer_denom_ms().0).collect();
    let size = pictures[0].buffer().dimensions();
    let bytes =
        pictures.iter().flat_map(|picture| picture.buffer().pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]));
    (Frames::new(size.0, size.1, bytes.collect()).unwrap(), milliseconds)
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

#[test]
fn pictures_are_read_by_content_not_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let frames = colour_bars(64, 48, 1);
    let picture = image::RgbImage::from_raw(64, 48, frames.as_bytes().to_vec()).unwrap();
    for (format, psnr_min) in
        [(ImageFormat::Png, f64::INFINITY), (ImageFormat::WebP, f64::INFINITY), (ImageFormat::Jpeg, 30.0)]
    {
        let path = folder.path().join("picture.bin");
        picture.save_with_format(&path, format).unwrap();
        let read = read_image(&path).unwrap();
        assert_eq!((read.width(), read.height(), read.count()), (64, 48, 1));
        let psnr = psnr(read.as_bytes(), frames.as_bytes());
        assert!(psnr >= psnr_min, "{format:?}: {psnr:.1} dB");
    }
}

#[test]
fn previews_are_ordinary_files() {
    let frames = colour_bars(64, 48, 1);
    let frame = frames.frame(0).unwrap();
    let jpeg = image::load_from_memory_with_format(&encode_jpeg(frame, 90).unwrap(), ImageFormat::Jpeg).unwrap();
    let quality = psnr(jpeg.to_rgb8().as_raw(), frames.as_bytes());
    assert!(quality > 30.0, "{quality:.1} dB");
    let png = image::load_from_memory_with_format(&encode_png(frame).unwrap(), ImageFormat::Png).unwrap();
    assert_eq!(png.to_rgb8().as_raw(), frames.as_bytes());
    assert_eq!(encode_jpeg(frame, 0).unwrap_err().to_string(), "the JPEG quality is 0, expected from 1 to 100");
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
