//! How long a usual clip takes to write and read back. Measures, judges nothing: run with
//! `cargo test --release -p vita-media --test speed -- --ignored --nocapture`.

mod common;

use std::time::Instant;

use common::{mp4_options, psnr, rate, waves, write_mp4};
use vita_media::{Metadata, PngFolder, WebpEncoder, WebpOptions, WebpQuality, decode_mp4};

#[test]
#[ignore = "a measurement, not a check"]
fn a_clip_of_832x480_and_81_frames() {
    let folder = tempfile::tempdir().unwrap();
    let frames = waves(832, 480, 81);
    for quantizer in [14, 18, 23, 28] {
        let path = folder.path().join("clip.mp4");
        let start = Instant::now();
        write_mp4(&path, &frames, mp4_options("16", quantizer, Metadata::new()));
        let encoded = start.elapsed();
        let decoded = decode_mp4(&path).unwrap();
        let both = start.elapsed();
        println!(
            "MP4, quantizer {quantizer}: {} KiB, {:.1} dB, written in {:.2} s, read in {:.2} s",
            std::fs::metadata(&path).unwrap().len() / 1024,
            psnr(decoded.frames.as_bytes(), frames.as_bytes()),
            encoded.as_secs_f64(),
            (both - encoded).as_secs_f64(),
        );
    }

    let start = Instant::now();
    let quality = WebpQuality::Lossy(80.0);
    let options = WebpOptions { frame_rate: rate("16"), quality, loop_count: 0, metadata: Metadata::new() };
    let mut webp = WebpEncoder::create(folder.path().join("clip.webp"), 832, 480, options).unwrap();
    frames.iter().for_each(|frame| webp.push(frame).unwrap());
    let written = webp.finish().unwrap();
    println!("WebP, quality 80: {} KiB, written in {:.2} s", written.bytes / 1024, start.elapsed().as_secs_f64());

    let start = Instant::now();
    let mut png = PngFolder::create(folder.path().join("frames"), "frame", Metadata::new()).unwrap();
    frames.iter().for_each(|frame| png.push(frame).unwrap());
    let written = png.finish().unwrap();
    println!("PNG: {} KiB, written in {:.2} s", written.bytes / 1024, start.elapsed().as_secs_f64());
}
