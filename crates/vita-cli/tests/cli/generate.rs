//! `generate`: what it writes and says when all is well, and how it stops.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{FILES, Folder, TINY, ended};

#[test]
fn the_last_line_says_file_seed_and_seconds() {
    let folder = Folder::new();
    let out = folder.success(&[&["generate", "a red ball moves to the right"], TINY].concat());
    let line = out.lines().last().unwrap();
    let rest = line.strip_prefix("a-red-ball-moves-to-the-right-7.mp4: seed 7, ").unwrap();
    assert!(rest.strip_suffix(" s").unwrap().parse::<f64>().is_ok(), "{line}");
    assert_eq!(folder.names(), ["a-red-ball-moves-to-the-right-7.mp4"]);
}

#[test]
fn a_default_name_replaces_nothing_and_equal_seeds_give_equal_videos() {
    let folder = Folder::new();
    let first = [&["generate", "红色的球"], TINY].concat();
    let other = [&first[..], &["--seed", "8"]].concat();
    (0..2).for_each(|_| drop(folder.success(&first)));
    folder.success(&other[..other.len() - 4].iter().chain(&other[other.len() - 2..]).copied().collect::<Vec<_>>());
    assert_eq!(folder.names(), ["红色的球-7-2.mp4", "红色的球-7.mp4", "红色的球-8.mp4"]);
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(bytes("红色的球-7.mp4"), bytes("红色的球-7-2.mp4"));
    assert_ne!(bytes("红色的球-7.mp4"), bytes("红色的球-8.mp4"));
}

#[test]
fn an_empty_prompt_works_and_an_unnamed_seed_is_drawn() {
    let folder = Folder::new();
    let out = folder.success(&["generate", "", "--size", "16x16", "--frames", "1", "--steps", "1", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let seed = json["seed"].as_u64().unwrap();
    assert_eq!(folder.names(), [format!("video-{seed}.mp4")]);
    assert_eq!(json["file"], format!("video-{seed}.mp4"));
    assert_eq!(json["settings"]["prompt"], "");
    assert!(json["stage_seconds"]["sampling"].as_f64().unwrap() > 0.0);
    assert!(json["seconds"].as_f64().unwrap() > 0.0 && json["memory_estimate_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn the_extension_decides_what_is_written() {
    let folder = Folder::new();
    let frames = ["--size", "32x16", "--frames", "5", "--steps", "1", "--seed", "1", "--fps", "12"];
    for output in ["x.mp4", "x.webp", "x.png", "frames/"] {
        folder.success(&[&["generate", "x", "-o", output], &frames[..]].concat());
    }
    let mut want = vec!["frames".to_owned(), "x.mp4".to_owned(), "x.webp".to_owned()];
    want.extend((1..=5).map(|number| format!("x_{number:05}.png")));
    assert_eq!(folder.names(), want);
    assert_eq!(std::fs::read_dir(folder.path().join("frames")).unwrap().count(), 5);
    let video = vita_media::decode_mp4(folder.path().join("x.mp4")).unwrap();
    assert_eq!((video.frames.width(), video.frames.height(), video.frames.count()), (32, 16, 5));
    for file in ["x.mp4", "x.webp", "x_00003.png", "frames/frame_00005.png"] {
        let made = &vita_media::read_metadata(folder.path().join(file)).unwrap()["vitascope"];
        let made: serde_json::Value = serde_json::from_str(made).unwrap();
        assert_eq!((&made["model"], &made["settings"]["fps"]), (&"nano-t2v".into(), &12.0.into()), "{file}");
    }
}

#[test]
fn files_by_flag_and_by_folder_give_what_the_built_in_model_gives() {
    let folder = Folder::new();
    folder.add_nano();
    folder.success(&[&["generate", "x", "-o", "built-in.mp4"], TINY].concat());
    folder.success(&[&["generate", "x", "-o", "files.mp4"], FILES, TINY].concat());
    // The names of Wan 1.3B, so that a model in the folder is found and preferred.
    for (part, place) in [
        ("dit", "models/diffusion_models/wan2.1_t2v_1.3B_bf16.safetensors"),
        ("umt5", "models/text_encoders/umt5_xxl_fp16.safetensors"),
        ("vae", "models/vae/wan_2.1_vae.safetensors"),
    ] {
        let place = folder.path().join(place);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::rename(folder.path().join(format!("{part}.safetensors")), place).unwrap();
    }
    // The built-in model's settings, so that only the files are others.
    let nano = vita_pipeline::Preset::named("nano-t2v").unwrap().defaults;
    let [cfg, shift, fps] = [nano.cfg, nano.shift, nano.fps].map(|value| value.to_string());
    let same =
        ["--cfg", &cfg, "--shift", &shift, "--fps", &fps, "--sampler", nano.sampler, "--scheduler", nano.scheduler];
    let ended = folder.run(&[&["generate", "x", "-o", "folder.mp4"], TINY, &same].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("wan2.1-t2v-1.3b: 16x16, 1 frame at 16 a second"), "{}", ended.stderr);
    let frames = |name: &str| vita_media::decode_mp4(folder.path().join(name)).unwrap().frames;
    // Not `assert_eq`, which would print every pixel.
    assert!(frames("files.mp4") == frames("built-in.mp4"), "files by flag");
    assert!(frames("folder.mp4") == frames("built-in.mp4"), "files by folder");
}

#[test]
fn every_built_in_model_makes_a_video_of_what_it_takes() {
    let folder = Folder::new();
    folder.add_picture("start.png", 60, 36);
    folder.add_picture("end.png", 40, 40);
    let short = ["--frames", "5", "--steps", "4", "--seed", "3", "--json"];
    // The shape of the picture, about the area of the model's own 64x64, in steps of 16 or 32.
    for (flags, model, size, settings) in [
        (&["--model", "nano-t2v"][..], "nano-t2v", (64, 64), json!({"image": null, "boundary": null})),
        (&["--image", "start.png"], "nano-i2v", (80, 48), json!({"image": "start.png", "boundary": null})),
        (
            &["--image", "start.png", "--last-image", "end.png", "--cfg-low", "1"],
            "nano-i2v-a14b",
            (80, 48),
            json!({"last_image": "end.png", "boundary": 0.9, "cfg_low": 1.0}),
        ),
        (
            &["--model", "nano-i2v-a14b", "--image", "start.png", "--size", "32x32", "--switch-step", "1"],
            "nano-i2v-a14b",
            (32, 32),
            json!({"switch_step": 1, "boundary": null}),
        ),
        (&["--model", "nano-ti2v"], "nano-ti2v", (64, 64), json!({"image": null})),
        (&["--model", "nano-ti2v", "--image", "start.png"], "nano-ti2v", (64, 32), json!({"image": "start.png"})),
        (&["--sampler", "wrapper:dpm++"], "nano-t2v", (64, 64), json!({"sampler": "wrapper:dpm++"})),
    ] {
        let out = folder.success(&[&["generate", "a red ball", "-o", "x.mp4"], flags, &short].concat());
        let done: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&done["model"], &done["frame_count"]), (&model.into(), &5.into()), "{flags:?}");
        for (name, want) in settings.as_object().unwrap() {
            assert_eq!(&done["settings"][name], want, "{flags:?}: {name}");
        }
        let video = vita_media::decode_mp4(folder.path().join("x.mp4")).unwrap();
        assert_eq!((video.frames.width(), video.frames.height()), size, "{flags:?}");
    }
}

#[test]
fn a_video_is_made_over_in_its_own_shape_length_and_speed() {
    let folder = Folder::new();
    let given = ["--size", "48x32", "--frames", "9", "--fps", "10", "--steps", "1", "--seed", "1"];
    folder.success(&[&["generate", "a red ball", "-o", "given.mp4"], &given[..]].concat());
    let over = ["--video", "given.mp4", "--steps", "2", "--seed", "2", "--json"];
    let out = folder.success(&[&["generate", "a blue ball", "-o", "over.mp4"], &over[..]].concat());
    let done: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&done["settings"]["denoise"], &done["settings"]["video"]), (&0.7.into(), &"given.mp4".into()));
    let video = vita_media::decode_mp4(folder.path().join("over.mp4")).unwrap();
    assert_eq!((video.frames.width(), video.frames.height(), video.frames.count()), (64, 48, 9));
    assert_eq!(video.frame_rate.as_f64(), 10.0);
    // Of fewer frames, the first.
    folder.success(&[&["generate", "x", "-o", "short.mp4", "--frames", "5", "--size", "32x32"], &over[..]].concat());
    assert_eq!(vita_media::decode_mp4(folder.path().join("short.mp4")).unwrap().frames.count(), 5);
}

#[test]
fn logs_are_asked_for() {
    let folder = Folder::new();
    let run = [&["generate", "x", "-o", "x.mp4"], TINY].concat();
    let quiet = ended(folder.command(&run).output().unwrap());
    assert!(!quiet.stderr.contains("DEBUG") && !quiet.stderr.contains("warning"), "{}", quiet.stderr);
    let verbose = ended(folder.command(&[&["-v"], &run[..]].concat()).output().unwrap());
    assert!(verbose.stderr.contains("DEBUG vitascope: instruction set: "), "{}", verbose.stderr);
    let wrong = ended(folder.command(&run).env("VITASCOPE_LOG", "a=b=c").output().unwrap());
    assert_eq!(wrong.code, Some(0));
    assert!(wrong.stderr.starts_with("warning: VITASCOPE_LOG=a=b=c is ignored: "), "{}", wrong.stderr);
}

/// Ctrl-C in the middle of a run, for each kind of output.
#[test]
#[cfg(unix)]
fn ctrl_c_leaves_nothing_and_ends_with_130() {
    for output in ["x.mp4", "x.webp", "frames/"] {
        let folder = Folder::new();
        let mut command = folder.command(&["generate", "x", "--steps", "10000", "-o", output]);
        let mut running = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        wait_until(|| !folder.names().is_empty());
        // In the middle of the sampling, not of the start.
        std::thread::sleep(Duration::from_millis(300));
        assert!(running.try_wait().unwrap().is_none(), "still running");
        interrupt(running.id());
        let status = running.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{output}");
        assert!(folder.names().is_empty(), "{output}: {:?}", folder.names());
    }
}

#[cfg(unix)]
fn interrupt(process: u32) {
    let status = std::process::Command::new("kill").args(["-INT", &process.to_string()]).status();
    assert!(status.expect("kill").success());
}

#[cfg(unix)]
fn wait_until(ready: impl Fn() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing happens");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_output_may_be_elsewhere() {
    let (folder, other) = (Folder::new(), Folder::new());
    let path = other.path().join("x.mp4").display().to_string();
    let out = folder.success(&[&["generate", "x", "-o", &path], TINY].concat());
    assert!(out.starts_with(&path), "{out}");
    assert!(Path::new(&path).is_file() && folder.names().is_empty());
}

#[test]
fn what_is_done_at_some_steps_is_recorded_and_changes_the_video() {
    let folder = Folder::new();
    let run = |flags: &[&str]| {
        let video = ["--size", "32x32", "--frames", "9", "--steps", "6", "--seed", "3", "-o", "x.png", "--json"];
        let text = folder.success(&[&["generate", "a red ball"], &video[..], flags].concat());
        let pixels: Vec<u8> = (1..=9)
            .flat_map(|number| {
                let path = folder.path().join(format!("x_{number:05}.png"));
                vita_media::read_image(&path).unwrap().as_bytes().to_vec()
            })
            .collect();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        (json["settings"]["features"].clone(), pixels)
    };
    let (none, plain) = run(&[]);
    assert!(none.is_null(), "{none}");
    for (flags, want) in [
        (&["--cache", "teacache-plain:0.5", "--cache-last-step", "4"][..], "cache teacache-plain:0.5 to 4"),
        (&["--cache", "lazycache:9"], "cache lazycache:9"),
        (&["--skip-layers", "2,3", "--skip-span", "0-1"], "skip-layers 2,3 scale 3 0-1"),
        (&["--skip-in-negative", "3"], "skip-in-negative 3 0.1-1"),
        (&["--cfg-zero-star=1"], "cfg-zero-star 1"),
        (&["--enhance", "9"], "enhance 9"),
        (&["--riflex", "1"], "riflex 1"),
        (&["--window", "5", "--window-overlap", "4"], "window 5 overlap 4"),
        (&["--nag", "a blue square", "--nag-scale", "7"], "nag 7 away from \"a blue square\""),
    ] {
        let (texts, pixels) = run(flags);
        assert_eq!(texts, json!([want]));
        assert!(pixels != plain, "{want} changes nothing");
    }
    let window = ["--window", "5", "--window-overlap", "5"];
    let ended =
        folder.run(&[&["generate", "x", "--size", "32x32", "--frames", "9", "--steps", "2"], &window[..]].concat());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("overlap"), "{}", ended.stderr);
    // Of ComfyUI's own samplers alone.
    let ended = folder.run(&["generate", "x", "--sampler", "wrapper:unipc", "--skip-layers", "2", "--steps", "2"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("SkipLayerGuidanceDiT"), "{}", ended.stderr);
}
