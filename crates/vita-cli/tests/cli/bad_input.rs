//! Each kind of bad input, tested by its message. Commands run in a test's own folder and name files as
//! they were given, so messages hold nothing that changes from run to run.

use vita_tensor::Tensor;

use crate::support::{FILES, Folder, TINY, check};

#[test]
fn files_that_are_not_there_or_not_checkpoints() {
    let folder = Folder::new();
    folder.add_nano();
    folder.write("text.safetensors", "hello, I am a text and no checkpoint at all");
    folder.write("page.safetensors", "<!DOCTYPE html><title>Log in</title>");
    folder.write("empty.safetensors", "");
    folder.write("short.safetensors", [&100u64.to_le_bytes()[..], b"{\"x\":{\"dtype\":\"F32\""].concat());
    folder.write("huge.safetensors", [&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    let overlap = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    folder.write("overlap.safetensors", safetensors(overlap, 12));
    let cut = r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
    folder.write("cut.safetensors", safetensors(cut, 10));
    for (file, want) in [
        (
            "none.safetensors",
            "error: there is no file `none.safetensors`\n\nhint: check the path; relative paths start at the current folder",
        ),
        (".", "error: `.` is not a file\n\nhint: choose a `.safetensors` file, not the folder it is in"),
        (
            "text.safetensors",
            "error: `text.safetensors` is not a safetensors file\n\nhint: choose a `.safetensors` checkpoint",
        ),
        (
            "page.safetensors",
            "error: `page.safetensors` is not a safetensors file: it looks like an HTML page\n\nhint: the server answered with a page instead of the model",
        ),
        (
            "empty.safetensors",
            "error: `empty.safetensors` is empty\n\nhint: the download did not finish; download the file again",
        ),
        ("short.safetensors", "error: `short.safetensors` is cut short"),
        (
            "huge.safetensors",
            "error: the header of `huge.safetensors` is wrong: it claims a header of 18446744073709551615 bytes\n\nhint: the file is damaged",
        ),
        (
            "overlap.safetensors",
            "error: the header of `overlap.safetensors` is wrong: `a` and `b` share bytes\n\nhint: the file is damaged",
        ),
        ("cut.safetensors", "error: `cut.safetensors` is cut short: 6 bytes (6 B) of"),
    ] {
        let slot = |dit, vae| ["--dit", dit, "--text-encoder", "umt5.safetensors", "--vae", vae];
        for files in [slot(file, "vae.safetensors"), slot("dit.safetensors", file)] {
            check(&folder, &[&["generate", "x"], &files[..], TINY].concat(), want);
        }
        check(&folder, &["inspect", file], want);
    }
}

#[test]
fn a_file_in_the_wrong_place() {
    let folder = Folder::new();
    folder.add_nano();
    for (dit, text_encoder, vae, want) in [
        (
            "vae",
            "umt5",
            "vae",
            "error: `vae.safetensors` is not a Wan diffusion model: it seems to be a Wan 2.1-shaped VAE, dim 8 and 8, 16 latent channels\n\nhint: use this file as the VAE, and choose a Wan diffusion model here",
        ),
        ("dit", "dit", "vae", "error: `dit.safetensors` is not a UMT5 text encoder: it seems to be "),
        (
            "dit",
            "umt5",
            "umt5",
            "error: `umt5.safetensors` is not a Wan VAE: it seems to be a UMT5-shaped text encoder, dim 128, 2 layers\n\nhint: use this file as the text encoder, and choose a Wan VAE here",
        ),
    ] {
        let [dit, text_encoder, vae] = [dit, text_encoder, vae].map(|part| format!("{part}.safetensors"));
        let files = ["--dit", &dit, "--text-encoder", &text_encoder, "--vae", &vae];
        check(&folder, &[&["generate", "x"], &files[..], TINY].concat(), want);
    }
}

#[test]
fn tensors_that_are_missing_or_misshapen() {
    type Change = fn(&mut crate::support::Tensors);
    let cases: &[(&str, Change, &str)] = &[
        (
            "dit",
            |tensors| drop(tensors.remove("blocks.1.ffn.2.bias")),
            "error: `dit.safetensors` does not fit a Wan diffusion model: `blocks.1.ffn.2.bias` is missing\n\nhint: this file seems to be ",
        ),
        (
            "dit",
            |tensors| drop(tensors.insert("blocks.0.self_attn.q.weight".into(), Tensor::zeros([256, 128]))),
            "error: `dit.safetensors` does not fit a Wan diffusion model: `blocks.0.self_attn.q.weight` is [256, 128], expected [256, 256]\n\nhint: this file seems to be ",
        ),
        (
            "umt5",
            |tensors| drop(tensors.remove("encoder.final_layer_norm.weight")),
            "error: `umt5.safetensors` does not fit a UMT5 text encoder: `encoder.final_layer_norm.weight` is missing",
        ),
        (
            "umt5",
            |tensors| drop(tensors.remove("spiece_model")),
            "error: the text encoder `umt5.safetensors` has no vocabulary inside, and no `spiece.model` or `tokenizer.json` is beside it\n\nhint: put `spiece.model` or `tokenizer.json` of google/umt5-xxl into the same folder",
        ),
        (
            "vae",
            |tensors| drop(tensors.insert("decoder.conv1.bias".into(), Tensor::zeros([3]))),
            "error: `vae.safetensors` does not fit a Wan VAE: `decoder.conv1.bias` is [3], expected [32]",
        ),
    ];
    for (part, change, want) in cases {
        let folder = Folder::new();
        folder.add_nano();
        folder.add_changed_nano(part, *change);
        check(&folder, &[&["generate", "x"], FILES, TINY].concat(), want);
    }
}

#[test]
fn weights_that_are_not_numbers() {
    let nan = |tensors: &mut crate::support::Tensors, name: &str| {
        let tensor = tensors.get_mut(name).unwrap_or_else(|| panic!("{name}"));
        let mut values = tensor.to_contiguous_f32();
        values.f32s_mut()[3] = f32::NAN;
        *tensor = values;
    };
    let folder = Folder::new();
    folder.add_nano();
    folder.add_changed_nano("dit", |tensors| nan(tensors, "blocks.2.ffn.0.weight"));
    let run = [&["generate", "x"], FILES, TINY].concat();
    check(
        &folder,
        &run,
        "error: the latent holds values that are not numbers after step 1 of 1\n\nhint: `blocks.2.ffn.0.weight` holds values that are not numbers",
    );
    let text = folder.success(&["inspect", "--values", "dit.safetensors"]);
    assert!(text.contains("1 of 131072 values of blocks.2.ffn.0.weight are infinite or not numbers"), "{text}");
    folder.add_nano();
    folder.add_changed_nano("umt5", |tensors| nan(tensors, "encoder.block.0.layer.0.SelfAttention.q.weight"));
    check(&folder, &run, "error: the text encoder `umt5.safetensors` gave values that are not numbers");
}

#[test]
fn numbers_and_names_that_cannot_be() {
    let folder = Folder::new();
    for (flags, want) in [
        (&["--frames", "16"][..], "error: 16 frames are not 4 n + 1; the nearest are 13 and 17"),
        (&["--frames", "0"], "error: 0 frames are not 4 n + 1; the nearest is 1"),
        (&["--size", "500x64"], "error: width 500 is not a multiple of 16; the nearest are 496 and 512"),
        (&["--size", "64x7"], "error: height 7 is not a multiple of 16; the nearest is 16"),
        (&["--steps", "10001", "--size", "16x16"], "error: steps is 10001; it must be 1 to 10000"),
        (&["--steps", "0"], "error: steps is 0; it must be at least 1"),
        (&["--shift", "-1"], "error: shift is -1; it must be a number above 0"),
        (&["--cfg", "nan"], "error: cfg is NaN; it must be a number"),
        (
            &["--model", "wan2.1-t2v-1.3b"],
            "error: `wan2.1-t2v-1.3b` needs its diffusion model, and none of its files is in `models/diffusion_models`\n\nhint: put one of these into `models/diffusion_models`: wan2.1_t2v_1.3B_bf16.safetensors, ",
        ),
    ] {
        check(&folder, &[&["generate", "x"], flags].concat(), want);
    }
}

#[test]
fn pictures_that_cannot_be_read() {
    let folder = Folder::new();
    folder.add_picture("good.png", 16, 16);
    folder.write("zero.png", "");
    folder.write("text.jpg", "hello, I am no picture at all");
    let png = std::fs::read(folder.path().join("good.png")).unwrap();
    folder.write("cut.png", &png[..png.len() - 30]);
    // 100 megapixels, as the header says; nothing of it is read.
    let mut huge = png;
    huge[16..24].copy_from_slice(&[0, 0, 0x27, 0x10, 0, 0, 0x27, 0x10]);
    folder.write("huge.png", with_checksum(huge));
    folder.write("huge.jpg", jpeg_header(10_000, 10_000));
    folder.write("huge.webp", webp_header(10_000, 10_000));
    folder.write("cut.mp4", "");
    for (flags, want) in [
        (&["--image", "none.png"][..], "error: there is no file `none.png`\n\nhint: check the path"),
        (&["--image", "zero.png"], "error: `zero.png` is empty\n\nhint: the download or copy did not finish"),
        (
            &["--image", "text.jpg"],
            "error: `text.jpg`: this is not a PNG, JPEG or WebP picture\n\nhint: choose a JPEG, PNG or WebP picture of at most 67 megapixels",
        ),
        (&["--image", "cut.png"], "error: `cut.png` is not a whole PNG file: unexpected end of file"),
        (
            &["--image", "huge.png"],
            "error: `huge.png` is not a whole PNG file: 10000x10000 pixels are more than 8192x8192, the most that is read\n\nhint: fetch or make it again if it is damaged; if it has more than 67 megapixels, make it smaller",
        ),
        (
            &["--image", "huge.jpg"],
            "error: `huge.jpg` is not a whole JPEG file: 10000x10000 pixels are more than 8192x8192, the most that is read",
        ),
        (
            &["--image", "huge.webp"],
            "error: `huge.webp` is not a whole WebP file: 10000x10000 pixels are more than 8192x8192, the most that is read",
        ),
        (&["--image", "good.png", "--last-image", "zero.png"], "error: `zero.png` is empty"),
        (&["--video", "cut.mp4"], "error: `cut.mp4` is empty"),
        (&["--video", "good.png"], "error: `good.png` is not a whole MP4 file"),
    ] {
        check(&folder, &[&["generate", "x"], flags, TINY].concat(), want);
    }
}

#[test]
fn pictures_and_files_that_a_system_does_not_take() {
    let folder = Folder::new();
    folder.add_picture("a.png", 32, 32);
    folder.add_nano_files(&["t2v-dit", "i2v-dit", "i2v-high", "i2v-low", "ti2v-dit", "umt5", "vae", "vae22"]);
    let files =
        |dit: &'static str, vae: &'static str| ["--dit", dit, "--text-encoder", "umt5.safetensors", "--vae", vae];
    let (t2v, i2v) = ("t2v-dit.safetensors", "i2v-dit.safetensors");
    let (high, low) = ("i2v-high.safetensors", "i2v-low.safetensors");
    let (vae, vae22) = ("vae.safetensors", "vae22.safetensors");
    let image = ["--image", "a.png"];
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (
            files(i2v, vae).to_vec(),
            "error: `i2v-dit.safetensors` is Wan-shaped diffusion model, dim 256, 5 layers, 36 to 16 channels, which needs an image to start from\n\nhint: give it an image, or take a text-to-video file",
        ),
        (
            [&files(t2v, vae)[..], &image].concat(),
            "error: `t2v-dit.safetensors` is Wan-shaped diffusion model, dim 256, 5 layers, 16 to 16 channels, which makes videos of text alone and takes no image\n\nhint: leave the image out",
        ),
        (
            [&files(i2v, vae)[..], &image].concat(),
            "error: `i2v-dit.safetensors` is Wan-shaped diffusion model, dim 256, 5 layers, 36 to 16 channels, which needs a CLIP vision encoder beside it\n\nhint: take `clip_vision_h.safetensors`",
        ),
        (
            [&files(low, vae)[..], &["--dit-low", high], &image].concat(),
            "error: the experts are swapped: `i2v-low.safetensors` was given for high noise, `i2v-high.safetensors` for low noise\n\nhint: give each file in the other's place",
        ),
        (
            [&files(high, vae)[..], &["--dit-low", t2v], &image].concat(),
            "error: the experts do not belong together: `i2v-high.safetensors` is Wan-shaped",
        ),
        (
            files(t2v, vae22).to_vec(),
            "error: the diffusion model `t2v-dit.safetensors` has 16 latent channels, but the VAE `vae22.safetensors` has 48\n\nhint: models of 16 latent channels take the VAE of Wan 2.1",
        ),
        (
            files("ti2v-dit.safetensors", vae).to_vec(),
            "error: the diffusion model `ti2v-dit.safetensors` has 48 latent channels, but the VAE `vae.safetensors` has 16",
        ),
        (
            [&files(t2v, vae)[..], &["--cfg-low", "2"]].concat(),
            "error: a second guidance is for systems of two experts, and `t2v-dit.safetensors` is one model",
        ),
        (
            [&files("ti2v-dit.safetensors", vae22)[..], &["--size", "48x32"]].concat(),
            "error: width 48 is not a multiple of 32; the nearest are 32 and 64",
        ),
    ];
    for (flags, want) in cases {
        check(
            &folder,
            &[&["generate", "x", "--frames", "1", "--steps", "1", "--seed", "1"], &flags[..]].concat(),
            want,
        );
    }
}

#[test]
fn a_device_that_is_not_there_is_an_error_and_auto_is_the_processor() {
    let folder = Folder::new();
    let run = |device: &str| folder.run(&[&["generate", "x", "-o", "x.png", "--device", device], TINY].concat());
    for (device, want, hint) in [
        ("cuda", "NVIDIA driver", "runs on the processor"),
        ("cuda:0,cuda:1", "error: --device cuda:0,cuda:1: this command works on one device", "`vitascope serve`"),
    ] {
        let refused = run(device);
        assert_eq!(refused.code, Some(1), "{device}: {}", refused.stderr);
        let (message, told) = refused.stderr.split_once("\n\nhint: ").expect("a hint");
        assert!(message.contains(want) && told.contains(hint), "{device}: {}", refused.stderr);
        assert!(folder.names().is_empty());
    }
    let made = run("auto");
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!(!made.stderr.contains("warning"), "{}", made.stderr);
}

#[test]
fn a_run_that_does_not_fit_in_memory_names_what_does() {
    let folder = Folder::new();
    let run = |size: &str, frames: &str, memory: &str| {
        let flags = ["--size", size, "--frames", frames, "--memory", memory, "--steps", "1", "-o", "x.mp4"];
        folder.run(&[&["generate", "x"], &flags[..]].concat())
    };
    // What even the smallest video takes, and a little more.
    let refused = run("16x16", "1", "1MiB").stderr;
    let needed = refused.split("needs about ").nth(1).and_then(|rest| rest.split(" MiB").next());
    let needed: f64 = needed.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{refused}"));
    assert!(refused.ends_with("takes more at the smallest size; take a smaller model\n"), "{refused}");
    let memory = format!("{}MiB", needed + 1.0);

    let refused = run("96x96", "25", &memory);
    assert_eq!(refused.code, Some(1));
    let (message, hint) = refused.stderr.split_once("\n\nhint: these would fit: ").expect("a hint");
    let said = &message[message.find("error:").expect("an error")..];
    assert!(said.starts_with("error: this run needs about ") && said.ends_with(" MiB are free"), "{said}");
    assert!(folder.names().is_empty());

    let (frames, size) = hint.trim_end().split_once(" frames at this size, or ").expect("both ways");
    let size = size.strip_suffix(" with these frames").expect("a size");
    for (size, frames) in [("96x96", frames), (size, "25")] {
        let ended = run(size, frames, &memory);
        assert_eq!(ended.code, Some(0), "{size}, {frames} frames: {}", ended.stderr);
    }
}

#[test]
fn outputs_that_cannot_be_written() {
    let folder = Folder::new();
    folder.write("file", "");
    for (output, want) in [
        (
            "x.avi",
            "error: `x.avi` does not end in a known extension\n\nhint: end the name in one of .mp4, .webp, .png, /",
        ),
        (
            "none/x.mp4",
            "error: cannot create `none/x.mp4`\n  caused by: No such file or directory (os error 2)\n\nhint: check the name; the folder `none` must exist",
        ),
        (
            "file/x.mp4",
            "error: cannot create `file/x.mp4`\n  caused by: Not a directory (os error 20)\n\nhint: `file` is a file; choose a folder",
        ),
    ] {
        check(&folder, &[&["generate", "x", "-o", output], TINY].concat(), want);
    }
    assert_eq!(folder.names(), ["file"]);
}

/// A limit on the size of files stands in for a disk that is full; the system refuses to write either way.
#[test]
#[cfg(unix)]
fn a_disk_that_refuses_leaves_nothing() {
    let folder = Folder::new();
    let command = folder.command(&[&["generate", "x", "-o", "x.mp4"], TINY].concat());
    let mut limited = std::process::Command::new("sh");
    // Without the trap the system would end the program instead of refusing.
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    let ended = crate::support::ended(limited.current_dir(folder.path()).output().unwrap());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("error: cannot write `x.mp4`\n  caused by: File too large"), "{}", ended.stderr);
    assert!(folder.names().is_empty());
}

/// A PNG whose header was changed, with the header's checksum made right.
fn with_checksum(mut png: Vec<u8>) -> Vec<u8> {
    let mut crc = !0u32;
    for &byte in &png[12..29] {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    png[29..33].copy_from_slice(&(!crc).to_be_bytes());
    png
}

/// A JPEG as far as its size: three components without subsampling.
fn jpeg_header(width: u16, height: u16) -> Vec<u8> {
    let frame = [&[0xff, 0xd8, 0xff, 0xc0, 0, 17, 8][..], &height.to_be_bytes(), &width.to_be_bytes()].concat();
    let scan = [0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0];
    [&frame[..], &[3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0], &scan, &[0xff, 0xd9]].concat()
}

/// A lossless WebP as far as its size.
fn webp_header(width: u32, height: u32) -> Vec<u8> {
    let size = (width - 1) | (height - 1) << 14;
    let chunk = [b"VP8L", &5u32.to_le_bytes()[..], &[0x2f], &size.to_le_bytes(), &[0]].concat();
    [b"RIFF", &(4 + chunk.len() as u32).to_le_bytes()[..], b"WEBP", &chunk].concat()
}

fn safetensors(header: &str, data_bytes: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data_bytes]].concat()
}
