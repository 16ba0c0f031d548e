//! Files that are cut short, damaged or made to do harm: an error or a poorer picture, never a panic.

mod common;

use std::path::{Path, PathBuf};

use common::{metadata, mp4_options, rate, waves, write_mp4};
use vita_media::{
    Error, Metadata, Mp4Decoder, WebpEncoder, WebpOptions, WebpQuality, decode_mp4, encode_jpeg, read_image,
    read_metadata, write_png,
};

/// Where the first box of that name begins.
fn find(file: &[u8], name: &[u8]) -> usize {
    file.windows(name.len()).position(|window| window == name).unwrap() - 4
}

fn small_mp4(folder: &Path) -> (PathBuf, Vec<u8>) {
    let path = folder.join("clip.mp4");
    let texts = metadata(&[("prompt", "some text"), ("seed", "1")]);
    write_mp4(&path, &waves(32, 32, 4), mp4_options("16", 24, texts));
    let file = std::fs::read(&path).unwrap();
    (path, file)
}

#[test]
fn an_mp4_cut_anywhere_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = small_mp4(folder.path());
    for length in (0..file.len()).step_by(7).chain([file.len() - 1]) {
        std::fs::write(&path, &file[..length]).unwrap();
        let error = decode_mp4(&path).err().unwrap_or_else(|| panic!("{length} of {} bytes decoded", file.len()));
        assert!(matches!(error, Error::Malformed { .. }), "{length} bytes: {error:?}");
    }
}

#[test]
fn any_damaged_byte_of_the_header_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = small_mp4(folder.path());
    let header_end = find(&file, b"mdat") + 8;
    for index in 0..header_end {
        for value in [0, 0x7f, 0xff] {
            let mut damaged = file.clone();
            damaged[index] = value;
            std::fs::write(&path, &damaged).unwrap();
            // Whatever comes out, it must be a value. Frames are only looked at one by one.
            let _ = read_metadata(&path);
            if let Ok(mut decoder) = Mp4Decoder::open(&path) {
                for _ in 0..8 {
                    if !matches!(decoder.next_frame(), Ok(Some(_))) {
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn damaged_pictures_are_survived() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = small_mp4(folder.path());
    let start = find(&file, b"mdat") + 8;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..300 {
        let mut damaged = file.clone();
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let index = start + (state >> 33) as usize % (file.len() - start);
            damaged[index] = (state >> 20) as u8;
        }
        std::fs::write(&path, &damaged).unwrap();
        let _ = decode_mp4(&path);
    }
}

#[test]
fn lies_in_the_tables_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = small_mp4(folder.path());
    let at = |name: &[u8; 4], offset: usize| find(&file, name) + 8 + offset;
    for (what, offset, bytes, expected) in [
        (
            "huge box",
            find(&file, b"moov"),
            &[0xff; 4][..],
            "box `moov` at byte 32 is 4294967295 bytes long, the file has",
        ),
        (
            "tiny box",
            find(&file, b"moov"),
            &[0, 0, 0, 3],
            "box `moov` claims to be 3 bytes long, less than its own header",
        ),
        ("no moov", find(&file, b"moov") + 4, b"junk", "it has no `moov` box"),
        ("sample count", at(b"stsz", 8), &[0x7f, 0xff, 0xff, 0xff], "it claims to hold 2147483647 frames"),
        (
            "sample count within reason",
            at(b"stsz", 8),
            &[0, 0xff, 0xff, 0xff],
            "box `stsz` is cut short of its 16777215 sizes",
        ),
        (
            "one size for many",
            at(b"stsz", 4),
            &[0, 0, 0, 9, 0, 0xff, 0xff, 0xff],
            "it claims 16777215 frames of 9 bytes, more than the file holds",
        ),
        ("sample size", at(b"stsz", 12), &[0x7f, 0xff, 0xff, 0xff], "frame 0 lies beyond its end, at byte"),
        ("chunk offset", at(b"stco", 8), &[0xff; 4], "frame 0 lies beyond its end, at byte 4294967295"),
        ("no chunks", at(b"stsc", 12), &[0; 4], "its tables do not say where the last 4 frames lie"),
        ("no timescale", at(b"mdhd", 12), &[0; 4], "its times make no sense"),
        ("no duration", at(b"stts", 12), &[0; 4], "its times make no sense"),
        ("parameter sets", at(b"avcC", 6), &[0xff; 2], "box `avcC` is cut short"),
        ("not a video", at(b"hdlr", 8), b"soun", "it holds no video"),
        ("another codec", at(b"stsd", 12), b"hvc1", "its video is coded as `hvc1`, only H.264 (`avc1`) is read"),
    ] {
        let mut damaged = file.clone();
        damaged[offset..offset + bytes.len()].copy_from_slice(bytes);
        std::fs::write(&path, &damaged).unwrap();
        let message = decode_mp4(&path).err().unwrap_or_else(|| panic!("{what} was decoded")).to_string();
        assert!(message.contains(expected), "{what}: {message}");
    }
}

#[test]
fn other_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for content in [&b""[..], b"plain text that is no picture at all", &[0; 64], &[0xff; 64]] {
        std::fs::write(&path, content).unwrap();
        assert!(matches!(decode_mp4(&path), Err(Error::Malformed { .. })), "{content:?}");
        assert!(matches!(read_metadata(&path), Err(Error::Unsupported { .. })), "{content:?}");
        assert!(matches!(read_image(&path), Err(Error::Unsupported { .. } | Error::Malformed { .. })), "{content:?}");
    }
    let missing = folder.path().join("missing");
    for error in [decode_mp4(&missing).err(), read_metadata(&missing).err(), read_image(&missing).err()] {
        let message = error.unwrap().to_string();
        assert!(message.starts_with("cannot open `") && message.ends_with("missing`"), "{message}");
    }
}

#[test]
fn damaged_pictures_of_other_kinds_are_survived() {
    let folder = tempfile::tempdir().unwrap();
    let frames = waves(16, 16, 2);
    let texts = metadata(&[("prompt", "text"), ("workflow", "球")]);
    let png = folder.path().join("a.png");
    write_png(&png, frames.frame(0).unwrap(), &texts).unwrap();
    let webp = folder.path().join("a.webp");
    let options =
        WebpOptions { frame_rate: rate("16"), quality: WebpQuality::Lossy(50.0), loop_count: 0, metadata: texts };
    let mut encoder = WebpEncoder::create(&webp, 16, 16, options).unwrap();
    frames.iter().for_each(|frame| encoder.push(frame).unwrap());
    encoder.finish().unwrap();
    let jpeg = folder.path().join("a.jpg");
    std::fs::write(&jpeg, encode_jpeg(frames.frame(0).unwrap(), 80).unwrap()).unwrap();
    for path in [png, webp, jpeg] {
        let file = std::fs::read(&path).unwrap();
        for index in 0..file.len() {
            std::fs::write(&path, &file[..index]).unwrap();
            let _: Result<Metadata, Error> = read_metadata(&path);
            let _ = read_image(&path);
            let mut damaged = file.clone();
            damaged[index] ^= 0xff;
            std::fs::write(&path, &damaged).unwrap();
            let _ = read_metadata(&path);
            let _ = read_image(&path);
        }
    }
}
