//! MP4 files: pixels, timing, colour flags, layout and metadata, by our own decoder and by FFmpeg.

mod common;

use std::path::Path;

use common::{colour_bars, has_tool, metadata, mp4_options, names_in, output_of, psnr, rate, waves, write_mp4};
use vita_base::Hint;
use vita_media::{FrameRate, Frames, Metadata, Mp4Decoder, Mp4Encoder, decode_mp4, read_metadata};

#[test]
fn clips_return_in_order_and_close_to_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    for (name, frames, rate, quantizer, psnr_min) in [
        ("bars", colour_bars(128, 96, 33), "16", 18, 35.0),
        ("bars at another size", colour_bars(848, 480, 5), "23.976", 18, 35.0),
        ("waves", waves(130, 66, 12), "30", 18, 38.0),
        ("the smallest", waves(16, 16, 3), "12.5", 18, 35.0),
        ("upright", waves(48, 112, 9), "24", 12, 40.0),
        ("one frame", colour_bars(64, 64, 1), "16", 18, 33.0),
        ("coarse", waves(128, 128, 9), "16", 40, 25.0),
    ] {
        write_mp4(&path, &frames, mp4_options(rate, quantizer, Metadata::new()));
        let video = decode_mp4(&path).unwrap();
        assert_eq!(video.frames.count(), frames.count(), "{name}");
        assert_eq!(video.frame_rate, common::rate(rate), "{name}");
        assert!(video.metadata.is_empty(), "{name}");
        for (index, (found, source)) in video.frames.iter().zip(frames.iter()).enumerate() {
            let psnr = psnr(found.data(), source.data());
            assert!(psnr > psnr_min, "{name}, frame {index}: {psnr:.1} dB");
        }
    }
}

#[test]
fn a_smaller_quantizer_is_larger_and_closer() {
    let folder = tempfile::tempdir().unwrap();
    let frames = waves(160, 128, 8);
    let mut last: Option<(u64, f64)> = None;
    for quantizer in [12, 18, 24, 30, 40, 51] {
        let path = folder.path().join("clip.mp4");
        write_mp4(&path, &frames, mp4_options("16", quantizer, Metadata::new()));
        let bytes = std::fs::metadata(&path).unwrap().len();
        let psnr = psnr(decode_mp4(&path).unwrap().frames.as_bytes(), frames.as_bytes());
        if let Some((last_bytes, last_psnr)) = last {
            assert!(bytes < last_bytes && psnr < last_psnr, "{quantizer}: {bytes} bytes, {psnr:.1} dB");
        }
        last = Some((bytes, psnr));
    }
}

#[test]
fn no_frame_is_skipped_however_long_nothing_moves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("still.mp4");
    let still = colour_bars(64, 48, 1);
    let mut frames = Frames::empty(64, 48).unwrap();
    (0..400).for_each(|_| frames.push(still.frame(0).unwrap()).unwrap());
    write_mp4(&path, &frames, mp4_options("60", 30, Metadata::new()));
    assert_eq!(decode_mp4(&path).unwrap().frames.count(), 400);
}

#[test]
fn equal_input_gives_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let frames = waves(96, 64, 7);
    let files = ["a.mp4", "b.mp4"].map(|name| {
        let path = folder.path().join(name);
        write_mp4(&path, &frames, mp4_options("16", 20, metadata(&[("seed", "1")])));
        std::fs::read(path).unwrap()
    });
    assert!(files[0] == files[1]);
}

#[test]
fn the_header_comes_before_the_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    write_mp4(&path, &waves(64, 64, 5), mp4_options("16", 20, Metadata::new()));
    let file = std::fs::read(&path).unwrap();
    let mut boxes = Vec::new();
    let mut rest = file.as_slice();
    while let Some(header) = rest.first_chunk::<8>() {
        let size = u32::from_be_bytes(*header.first_chunk().unwrap()) as usize;
        boxes.push(String::from_utf8(header[4..].to_vec()).unwrap());
        rest = &rest[size..];
    }
    assert_eq!(boxes.join(" "), "ftyp moov free mdat");
    assert!(rest.is_empty());
}

#[test]
fn metadata_returns_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let texts = metadata(&[
        ("prompt", r#"{"3": {"class_type": "KSampler", "inputs": {"seed": 42}}}"#),
        ("workflow", r#"{"nodes": [], "note": "一个红色的球向右移动 \" = ; \\ \n"}"#),
        ("my key", "with spaces\nand lines"),
        ("empty", ""),
        ("long", &"0123456789".repeat(30_000)),
    ]);
    write_mp4(&path, &colour_bars(64, 64, 3), mp4_options("16", 20, texts.clone()));
    assert_eq!(read_metadata(&path).unwrap(), texts);
    let mut decoder = Mp4Decoder::open(&path).unwrap();
    assert_eq!((decoder.metadata(), decoder.frame_count()), (&texts, 3));
    assert!(decoder.next_frame().unwrap().is_some());
}

#[test]
fn ffprobe_agrees_on_count_duration_rate_colour_and_metadata() {
    if !has_tool("ffprobe", "what ffprobe says of an MP4") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (rate, count, duration, shown) in [
        ("16", 33, 2.0625, "16/1"),
        ("23.976", 25, 25.0 * 1001.0 / 24000.0, "24000/1001"),
        ("29.97", 10, 10.0 * 1001.0 / 30000.0, "30000/1001"),
        ("12.5", 5, 0.4, "25/2"),
        ("7.3", 4, 4.0 / 7.3, "73/10"),
    ] {
        let path = folder.path().join("clip.mp4");
        let texts = metadata(&[("prompt", r#"{"a": 1}"#), ("workflow", "红球"), ("my key", "v")]);
        write_mp4(&path, &colour_bars(96, 64, count), mp4_options(rate, 20, texts));
        let path = path.to_str().unwrap();
        let json = output_of(
            "ffprobe",
            &["-v", "error", "-count_frames", "-show_format", "-show_streams", "-of", "json", path],
        );
        let json = String::from_utf8(json).unwrap();
        for expected in [
            r#""codec_name": "h264""#,
            r#""pix_fmt": "yuv420p""#,
            r#""color_range": "tv""#,
            r#""color_space": "bt709""#,
            r#""color_transfer": "bt709""#,
            r#""color_primaries": "bt709""#,
            r#""chroma_location": "left""#,
            r#""width": 96"#,
            r#""height": 64"#,
            r#""has_b_frames": 0"#,
            r#""start_pts": 0"#,
            r#""sample_aspect_ratio": "1:1""#,
            &format!(r#""nb_frames": "{count}""#),
            &format!(r#""nb_read_frames": "{count}""#),
            &format!(r#""r_frame_rate": "{shown}""#),
            &format!(r#""avg_frame_rate": "{shown}""#),
            r#""prompt": "{\"a\": 1}""#,
            r#""workflow": "红球""#,
            r#""my key": "v""#,
        ] {
            assert!(json.contains(expected), "{rate}: no {expected} in {json}");
        }
        let durations: Vec<f64> = json
            .lines()
            .filter_map(|line| line.trim().strip_prefix(r#""duration": ""#)?.split('"').next()?.parse().ok())
            .collect();
        assert_eq!(durations.len(), 2, "{json}");
        assert!(durations.iter().all(|found| (found - duration).abs() < 2e-6), "{rate}: {durations:?} s");
    }
}

#[test]
fn ffmpeg_decodes_the_same_pictures_without_a_complaint() {
    if !has_tool("ffmpeg", "decoding our MP4 with FFmpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    for (frames, psnr_min) in [(colour_bars(256, 144, 20), 35.0), (waves(256, 144, 20), 37.0)] {
        write_mp4(&path, &frames, mp4_options("16", 18, Metadata::new()));
        let file = path.to_str().unwrap();
        // No word about colour: FFmpeg must find it in the file.
        let arguments = ["-v", "error", "-xerror", "-i", file, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"];
        let theirs = output_of("ffmpeg", &arguments);
        let psnr_source = psnr(&theirs, frames.as_bytes());
        let psnr_ours = psnr(&theirs, decode_mp4(&path).unwrap().frames.as_bytes());
        assert!(psnr_source > psnr_min, "FFmpeg against the source: {psnr_source:.1} dB");
        assert!(psnr_ours > 45.0, "FFmpeg against our decoder: {psnr_ours:.1} dB");
        eprintln!("FFmpeg against the source {psnr_source:.2} dB, against our decoder {psnr_ours:.2} dB");
    }
}

#[test]
fn files_by_ffmpeg_are_read_in_display_order() {
    if !has_tool("ffmpeg", "reading an MP4 by FFmpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("raw.rgb");
    let frames = waves(160, 96, 24);
    std::fs::write(&raw, frames.as_bytes()).unwrap();
    for (name, extra) in [
        ("B-frames", &["-bf", "3"][..]),
        ("no B-frames", &["-bf", "0"]),
        ("baseline", &["-profile:v", "baseline"]),
        ("header at the end", &["-movflags", "+use_metadata_tags"]),
        ("header first", &["-movflags", "+faststart+use_metadata_tags"]),
    ] {
        let path = folder.path().join("theirs.mp4");
        let mut arguments =
            vec!["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "160x96", "-r", "30000/1001", "-i"];
        arguments.extend([
            raw.to_str().unwrap(),
            "-vf",
            "scale=out_color_matrix=bt709",
            "-c:v",
            "libx264",
            "-crf",
            "12",
        ]);
        arguments.extend(["-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709"]);
        arguments.extend(["-color_trc", "bt709", "-metadata", "prompt={}"]);
        arguments.extend_from_slice(extra);
        arguments.push(path.to_str().unwrap());
        output_of("ffmpeg", &arguments);
        let video = decode_mp4(&path).unwrap();
        assert_eq!(video.frame_rate, rate("29.97"), "{name}");
        assert_eq!(video.frames.count(), 24, "{name}");
        let psnr = psnr(video.frames.as_bytes(), frames.as_bytes());
        assert!(psnr > 35.0, "{name}: {psnr:.1} dB");
        if extra.contains(&"-movflags") {
            assert_eq!(read_metadata(&path).unwrap().get("prompt").map(String::as_str), Some("{}"), "{name}");
        }
    }
}

#[test]
fn dropping_before_the_end_leaves_nothing_and_spares_the_older_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    std::fs::write(&path, "older").unwrap();
    let frames = waves(64, 64, 3);
    let mut encoder = Mp4Encoder::create(&path, 64, 64, mp4_options("16", 20, Metadata::new())).unwrap();
    for frame in frames.iter() {
        encoder.push(frame).unwrap();
    }
    assert_eq!(names_in(folder.path()).len(), 2);
    drop(encoder);
    assert_eq!(names_in(folder.path()), ["clip.mp4"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"older");

    write_mp4(&path, &frames, mp4_options("16", 20, Metadata::new()));
    assert_eq!(names_in(folder.path()), ["clip.mp4"]);
    assert_eq!(decode_mp4(&path).unwrap().frames.count(), 3);
}

#[test]
fn every_refusal_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let create = |path: &str, width, height, quantizer, texts: &[(&str, &str)]| {
        let options = mp4_options("16", quantizer, metadata(texts));
        let error = Mp4Encoder::create(folder.path().join(path), width, height, options).err().expect(path);
        let folder = folder.path().to_str().unwrap();
        (error.to_string().replace(folder, "DIR"), error.hint().unwrap_or_default().replace(folder, "DIR"))
    };
    for ((message, hint), expected_message, expected_hint) in [
        (
            create("a.mp4", 833, 480, 20, &[]),
            "H.264 in MP4 cannot hold pictures of 833x480 pixels: both sides must be even, since two by two pixels share their colour",
            "the nearest size that fits is 832x480; PNG frames take any size",
        ),
        (
            create("a.mp4", 8, 480, 20, &[]),
            "H.264 in MP4 cannot hold pictures of 8x480 pixels: both sides must be at least 16",
            "PNG frames take any size",
        ),
        (
            create("a.mp4", 3842, 2160, 20, &[]),
            "H.264 in MP4 cannot hold pictures of 3842x2160 pixels: the most is 3840x2160, or 2160x3840",
            "PNG frames take any size",
        ),
        (
            create("a.mp4", 64, 64, 11, &[]),
            "the quantizer is 11, expected from 12 (best) to 51 (smallest)",
            "choose the quantizer from 12 (best) to 51 (smallest)",
        ),
        (
            create("a.mp4", 64, 64, 20, &[("", "x")]),
            "metadata `` cannot be stored in MP4: a name must not be empty",
            "shorten or rename that entry",
        ),
        (
            create("no/such/a.mp4", 64, 64, 20, &[]),
            "cannot create `DIR/no/such/a.mp4`",
            "check the name; the folder `DIR/no/such` must exist",
        ),
        (
            create("file/a.mp4", 64, 64, 20, &[]),
            "cannot create `DIR/file/a.mp4`",
            "`DIR/file` is a file; choose a folder",
        ),
        (create("", 64, 64, 20, &[]), "cannot create `DIR/`", "that is a folder; choose a file name inside it"),
    ] {
        assert_eq!((message.as_str(), hint.as_str()), (expected_message, expected_hint));
    }
    assert_eq!(names_in(folder.path()), ["file"]);
}

#[test]
fn a_video_without_frames_or_with_two_sizes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let create = || Mp4Encoder::create(&path, 64, 64, mp4_options("16", 20, Metadata::new())).unwrap();
    let message = create().finish().unwrap_err().to_string();
    assert!(message.ends_with("clip.mp4` would hold no frame"), "{message}");
    let message = create().push(waves(64, 66, 1).frame(0).unwrap()).unwrap_err().to_string();
    assert_eq!(message, "frame 0 is 64x66 pixels, but this video is 64x64");
    assert!(names_in(folder.path()).is_empty());
}

/// A folder on a disk that is too small: found where one can be mounted, else said to be skipped.
#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().to_str().unwrap();
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=128k", "tmpfs", disk]).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a full disk, since a small one cannot be mounted here");
        return;
    }
    let result = fill(folder.path());
    let left = names_in(folder.path());
    output_of("umount", &[disk]);
    let (message, hint) = result;
    assert!(message.starts_with("cannot write `") && message.ends_with("clip.mp4`"), "{message}");
    assert!(hint.contains("is full; free some space or write to another one"), "{hint}");
    assert!(left.is_empty(), "{left:?}");
}

fn fill(folder: &Path) -> (String, String) {
    let frames = waves(256, 256, 60);
    let options = mp4_options("16", 12, Metadata::new());
    let mut encoder = Mp4Encoder::create(folder.join("clip.mp4"), 256, 256, options).unwrap();
    let pushed = frames.iter().try_for_each(|frame| encoder.push(frame));
    let error = match pushed {
        Ok(()) => encoder.finish().unwrap_err(),
        Err(error) => error,
    };
    (error.to_string(), error.hint().unwrap_or_default())
}

#[test]
fn frame_rates_keep_their_fraction_through_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    for (numerator, denominator) in [(1, 10), (24000, 1001), (999, 1000), (1000, 1), (60, 1), (7, 3)] {
        let frame_rate = FrameRate::new(numerator, denominator).unwrap();
        write_mp4(&path, &waves(32, 32, 4), mp4_options(&frame_rate.to_string(), 30, Metadata::new()));
        assert_eq!(Mp4Decoder::open(&path).unwrap().frame_rate(), frame_rate);
    }
}
