//! Clips, measures and optional tools that the tests share.
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::Path;
use std::process::Command;

use vita_media::{FrameRate, Frames, Metadata, Mp4Encoder, Mp4Options};

/// 75 % colour bars over a grey ramp, with a white box that moves two pixels a frame.
pub fn colour_bars(width: u32, height: u32, count: u32) -> Frames {
    const BARS: [[u8; 3]; 8] = [
        [191, 191, 191],
        [191, 191, 0],
        [0, 191, 191],
        [0, 191, 0],
        [191, 0, 191],
        [191, 0, 0],
        [0, 0, 191],
        [0, 0, 0],
    ];
    let mut data = Vec::new();
    for frame in 0..count {
        for y in 0..height {
            for x in 0..width {
                let box_x = (frame * 2) % width;
                let in_box = y / 8 == height / 16 && (box_x..box_x + 8).contains(&x);
                data.extend_from_slice(&if in_box {
                    [255; 3]
                } else if y < height * 3 / 4 {
                    BARS[(x * 8 / width) as usize]
                } else {
                    [(x * 255 / (width - 1)) as u8; 3]
                });
            }
        }
    }
    Frames::new(width, height, data).unwrap()
}

/// Smooth moving waves with a little noise: harder to code than bars, like real video.
pub fn waves(width: u32, height: u32, count: u32) -> Frames {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut data = Vec::with_capacity((width * height * count * 3) as usize);
    for frame in 0..count {
        for y in 0..height {
            for x in 0..width {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let noise = (state % 7) as f32 - 3.0;
                let (x, y, t) = (x as f32, y as f32, frame as f32);
                let wave = |a: f32, b: f32, c: f32| 128.0 + 90.0 * (a * x + b * y + c * t).sin() + noise;
                data.extend([wave(0.02, 0.01, 0.1), wave(0.013, 0.03, 0.07), wave(0.03, 0.0, 0.2)].map(|v| v as u8));
            }
        }
    }
    Frames::new(width, height, data).unwrap()
}

/// Peak signal to noise ratio in dB over all bytes; infinite when equal.
pub fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len(), "clips of different sizes");
    let squares: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a.abs_diff(b)).powi(2)).sum();
    10.0 * (255.0f64.powi(2) * a.len() as f64 / squares).log10()
}

/// Options as most tests want them.
pub fn mp4_options(frame_rate: &str, quantizer: u8, metadata: Metadata) -> Mp4Options {
    Mp4Options { frame_rate: frame_rate.parse().unwrap(), quantizer, metadata }
}

/// Writes a whole clip and checks the report against it.
pub fn write_mp4(path: &Path, frames: &Frames, options: Mp4Options) {
    let mut encoder = Mp4Encoder::create(path, frames.width(), frames.height(), options).unwrap();
    for frame in frames.iter() {
        encoder.push(frame).unwrap();
    }
    let written = encoder.finish().unwrap();
    assert_eq!(written.frame_count, frames.count() as u64);
    assert_eq!(written.bytes, std::fs::metadata(path).unwrap().len());
    assert_eq!(written.path, path);
}

pub fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub fn rate(text: &str) -> FrameRate {
    text.parse().unwrap()
}

/// Whether an optional tool is there; says so when a check is skipped.
pub fn has_tool(name: &str, check: &str) -> bool {
    let found = Command::new(name).arg("-version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: {check}, since `{name}` is not installed");
    }
    found
}

/// Standard output of a command that must succeed.
pub fn output_of(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    output.stdout
}

/// Names in a folder, sorted.
pub fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
