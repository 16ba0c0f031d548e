//! The workflows that clients of the Wan wrapper send, run by the executor with the small models under the names that
//! the clients use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use vita_base::Cancel;
use vita_folders::{Folders, LocalTime, Options};
use vita_graph::{End, Executor, Outcome, validate};
use vita_media::{decode_mp4, read_metadata};
use vita_nodes::{Settings, Studio, registry};
use vita_pipeline::Residency;

struct Program {
    directory: TempDir,
    studio: Arc<Studio>,
    executor: Executor,
}

/// Category, the client's name, file.
const MODELS: [(&str, &str, &str); 5] = [
    ("text_encoders", "wan2.1/umt5-xxl-enc-bf16.safetensors", "nano-umt5.safetensors"),
    ("diffusion_models", "Wan2_1-T2V-14B_fp8_e4m3fn.safetensors", "nano-t2v-dit.safetensors"),
    ("diffusion_models", "Wan2_1-I2V-14B-480P_fp8_e4m3fn.safetensors", "nano-i2v-dit.safetensors"),
    ("vae", "wan2.1/Wan2_1_VAE_bf16.safetensors", "nano-vae.safetensors"),
    (
        "clip_vision",
        "wan2.1/open-clip-xlm-roberta-large-vit-huge-14_visual_fp16.safetensors",
        "nano-clip-vision.safetensors",
    ),
];

impl Program {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { base: directory.path().into(), ..Options::default() };
        let mut folders = Folders::new(options, &|_| None).unwrap();
        folders.create().unwrap();
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano");
        for (category, name, file) in MODELS {
            folders.add_alias(category, name, assets.join(file));
        }
        let clock = || LocalTime { year: 2031, month: 2, day: 3, hour: 4, minute: 5, second: 6 };
        let settings = Settings { disable_metadata: false, ffmpeg: None };
        let studio = Arc::new(Studio::new(folders, Residency::many(None), settings, Box::new(clock), 7));
        let executor = Executor::new(registry(), studio.clone());
        Self { directory, studio, executor }
    }

    fn run(&mut self, prompt: &Value) -> Outcome {
        let plan = validate(&registry(), &*self.studio, prompt, None).unwrap_or_else(|fault| panic!("{fault:?}"));
        self.executor.run(&plan, &json!({ "workflow": { "id": "w" } }), &Cancel::default(), &mut ())
    }

    fn succeed(&mut self, prompt: &Value) -> Outcome {
        let outcome = self.run(prompt);
        assert_eq!(outcome.end, End::Success);
        outcome
    }

    fn output(&self, name: &str) -> PathBuf {
        self.directory.path().join("output").join(name)
    }
}

/// A guide's prompt, whose steps, size and seed are made small.
fn guide(name: &str, sampler: &str, sizes: (&str, Value)) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/guides").join(name);
    let mut prompt: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    prompt[sampler]["inputs"]["steps"] = json!(12);
    prompt[sampler]["inputs"]["seed"] = json!(900_000);
    let (node, sizes) = sizes;
    for (key, value) in sizes.as_object().unwrap() {
        prompt[node]["inputs"][key] = value.clone();
    }
    prompt
}

fn shown(outcome: &Outcome, node: &str) -> Value {
    outcome.outputs[node]["gifs"][0].clone()
}

#[test]
fn the_text_client_gets_the_video_that_it_describes() {
    let mut program = Program::new();
    let small = json!({ "width": 64, "height": 64, "num_frames": 17 });
    let mut prompt = guide("wan21_t2v_14b.json", "6", ("4", small));
    prompt["2"]["inputs"]["positive_prompt"] =
        json!("a clip of a red ball slides to the left in front of a black background");
    prompt["2"]["inputs"]["negative_prompt"] = json!("");
    prompt["6"]["inputs"]["cfg"] = json!(2.5);
    let outcome = program.succeed(&prompt);
    let entry = shown(&outcome, "8");
    assert_eq!(entry["filename"], "generated_video_00001.mp4");
    assert_eq!((&entry["subfolder"], &entry["type"]), (&json!(""), &json!("output")));

    let path = program.output("generated_video_00001.mp4");
    let video = decode_mp4(&path).unwrap();
    assert_eq!((video.frames.count(), video.frames.width(), video.frames.height()), (17, 64, 64));
    assert_eq!(video.frame_rate.to_string(), "16");
    let embedded: Value = serde_json::from_str(&read_metadata(&path).unwrap()["prompt"]).unwrap();
    assert_eq!(embedded["6"]["inputs"]["scheduler"], "dpm++");
    assert_eq!(read_metadata(path.with_extension("png")).unwrap()["workflow"], r#"{"id": "w"}"#);

    // A red ball on black that moves to the left: the mean place of what is red falls from frame to frame.
    let place = |frame: usize| {
        let frame = video.frames.frame(frame).unwrap();
        let red = frame.data().chunks(3).enumerate().filter(|(_, p)| p[0] > 150 && p[1] < 110 && p[2] < 110);
        let columns: Vec<usize> = red.map(|(index, _)| index % 64).collect();
        assert!(columns.len() > 40, "{} red pixels", columns.len());
        columns.iter().sum::<usize>() as f64 / columns.len() as f64
    };
    assert!(place(0) > place(8) + 2.0 && place(8) > place(16) + 2.0, "{} {} {}", place(0), place(8), place(16));
}

/// A picture of the input directory: a red disc on black, left of the middle.
fn put_picture(program: &Program, name: &str) {
    let side = 64;
    let pixel = |i: usize| {
        let (row, column) = ((i / side) as i64, (i % side) as i64);
        let is_in = (row - 32).pow(2) + (column - 20).pow(2) < 100;
        if is_in { [220, 30, 30] } else { [0, 0, 0] }
    };
    let bytes: Vec<u8> = (0..side * side).flat_map(pixel).collect();
    let file = std::fs::File::create(program.directory.path().join("input").join(name)).unwrap();
    let mut encoder = png::Encoder::new(file, side as u32, side as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
}

#[test]
fn the_picture_client_gets_a_video_that_begins_with_its_picture() {
    let mut program = Program::new();
    put_picture(&program, "girl.png");
    let small = json!({ "generation_width": 64, "generation_height": 64, "num_frames": 9 });
    let mut prompt = guide("wan21_i2v_14b.json", "52", ("50", small));
    prompt["42"]["inputs"]["image"] = json!("girl.png");
    prompt["52"]["inputs"]["cfg"] = json!(2.0);
    let outcome = program.succeed(&prompt);
    assert_eq!(shown(&outcome, "54")["filename"], "WanVideo2_1_00001.mp4");
    let video = decode_mp4(program.output("WanVideo2_1_00001.mp4")).unwrap();
    assert_eq!((video.frames.count(), video.frames.width(), video.frames.height()), (9, 64, 64));
    // Where the disc was it is red, and far from it black.
    let pixel = |row: usize, column: usize| {
        let at = (row * 64 + column) * 3;
        video.frames.frame(0).unwrap().data()[at..at + 3].to_vec()
    };
    let (disc, ground) = (pixel(32, 20), pixel(32, 56));
    assert!(
        disc[0] > disc[1] + 60 && disc[0] > disc[2] + 60 && ground.iter().all(|&value| value < 90),
        "{disc:?} {ground:?}"
    );

    // Pictures are nothing for a model of text alone.
    prompt["48"]["inputs"]["model"] = json!("Wan2_1-T2V-14B_fp8_e4m3fn.safetensors");
    let End::Failed(failure) = program.run(&prompt).end else { panic!("a text model took a picture") };
    assert!(failure.message.contains("takes no start or end image"), "{}", failure.message);
}

/// The same run by the newer nodes: pictures encoded apart, schedule and settings beside the sampler.
#[test]
fn other_nodes_lead_to_the_same_video() {
    let mut program = Program::new();
    put_picture(&program, "girl.png");
    let small = json!({ "generation_width": 64, "generation_height": 64, "num_frames": 9 });
    let mut prompt = guide("wan21_i2v_14b.json", "52", ("50", small));
    prompt["42"]["inputs"]["image"] = json!("girl.png");
    prompt["52"]["inputs"]["steps"] = json!(3);
    program.succeed(&prompt);
    let node = |class: &str, inputs: Value| json!({ "class_type": class, "inputs": inputs });
    prompt["60"] = node(
        "WanVideoClipVisionEncode",
        json!({
            "clip_vision": ["44", 0], "image_1": ["42", 0], "strength_1": 1.0, "strength_2": 1.0, "crop": "center",
            "combine_embeds": "average", "force_offload": true,
        }),
    );
    prompt["50"] = node(
        "WanVideoImageToVideoEncode",
        json!({
            "width": 64, "height": 64, "num_frames": 9, "noise_aug_strength": 0.0, "start_latent_strength": 1.0,
            "end_latent_strength": 1.0, "force_offload": true, "vae": ["43", 0], "clip_embeds": ["60", 0],
            "start_image": ["42", 0],
        }),
    );
    prompt["61"] = node(
        "WanVideoSchedulerv2",
        json!({
            "scheduler": "dpm++", "steps": 3, "shift": 5.0, "start_step": 0, "end_step": -1,
        }),
    );
    prompt["62"] = node(
        "CreateCFGScheduleFloatList",
        json!({
            "steps": 3, "cfg_scale_start": 6.0, "cfg_scale_end": 6.0, "interpolation": "linear", "start_percent": 0.0,
            "end_percent": 1.0,
        }),
    );
    prompt["63"] = node("WanVideoSamplerExtraArgs", json!({ "rope_function": "comfy" }));
    prompt["52"] = node(
        "WanVideoSamplerv2",
        json!({
            "model": ["48", 0], "image_embeds": ["50", 0], "cfg": ["62", 0], "seed": 900_000, "force_offload": true,
            "scheduler": ["61", 0], "text_embeds": ["49", 0], "extra_args": ["63", 0],
        }),
    );
    program.succeed(&prompt);
    let frames = |name: &str| decode_mp4(program.output(name)).unwrap().frames;
    let [old, new] = ["WanVideo2_1_00001.mp4", "WanVideo2_1_00002.mp4"].map(frames);
    assert!((0..9).all(|index| old.frame(index).unwrap().data() == new.frame(index).unwrap().data()));
}

/// The first steps by one sampler and the rest by another are all steps by one.
#[test]
fn samplers_go_on_from_each_other() {
    let mut program = Program::new();
    let small = json!({ "width": 64, "height": 64, "num_frames": 5 });
    let mut prompt = guide("wan21_t2v_14b.json", "6", ("4", small));
    prompt["6"]["inputs"]["steps"] = json!(4);
    prompt["6"]["inputs"]["scheduler"] = json!("euler");
    prompt["8"]["inputs"]["format"] = json!("video/8bit-png");
    program.succeed(&prompt);
    let mut first = prompt["6"].clone();
    first["inputs"]["end_step"] = json!(2);
    prompt["9"] = first;
    prompt["6"]["inputs"]["start_step"] = json!(2);
    prompt["6"]["inputs"]["samples"] = json!(["9", 0]);
    program.succeed(&prompt);
    let picture = |name: &str| vita_media::read_image(program.output(name)).unwrap().into_bytes();
    let [one, two] = ["generated_video_00001.004.png", "generated_video_00002.004.png"].map(picture);
    assert!(one.iter().zip(&two).all(|(a, b)| a.abs_diff(*b) <= 1));
}

#[test]
fn settings_of_other_nodes_reach_the_sampler() {
    let mut program = Program::new();
    let small = json!({ "width": 64, "height": 64, "num_frames": 5 });
    let mut prompt = guide("wan21_t2v_14b.json", "6", ("4", small));
    prompt["6"]["inputs"]["steps"] = json!(10);
    prompt["8"]["inputs"]["format"] = json!("video/8bit-png");
    program.succeed(&prompt);
    let prompts = prompt["6"]["inputs"]["text_embeds"].clone();
    let node = |class: &str, inputs: Value| json!({ "class_type": class, "inputs": inputs });
    let cache = |name: &str, threshold: f64| json!({ name: threshold, "start_step": 0, "end_step": -1, "cache_device": "offload_device" });
    let mut tea = cache("rel_l1_thresh", 1.0);
    tea["use_coefficients"] = json!(false);
    let mut mag = cache("magcache_thresh", 0.3);
    mag["magcache_K"] = json!(4);
    let share = json!({ "blocks": "2, 3", "start_percent": 0.0, "end_percent": 1.0 });
    let mut other = prompt["2"].clone();
    other["inputs"]["positive_prompt"] = json!("a blue square");
    prompt["21"] = other;
    let nag = json!({ "original_text_embeds": prompts, "nag_text_embeds": ["21", 0], "nag_scale": 11.0, "nag_tau": 2.5, "nag_alpha": 0.25 });
    let falling = json!({
        "steps": 10, "cfg_scale_start": 6.0, "cfg_scale_end": 1.0, "interpolation": "linear", "start_percent": 0.0,
        "end_percent": 1.0,
    });
    for (input, node) in [
        ("cache_args", node("WanVideoTeaCache", tea)),
        ("cache_args", node("WanVideoMagCache", mag)),
        ("cache_args", node("WanVideoEasyCache", cache("easycache_thresh", 1.0))),
        ("slg_args", node("WanVideoSLG", share)),
        (
            "feta_args",
            node("WanVideoEnhanceAVideo", json!({ "weight": 9.0, "start_percent": 0.0, "end_percent": 1.0 })),
        ),
        ("text_embeds", node("WanVideoApplyNAG", nag)),
        ("cfg", node("CreateCFGScheduleFloatList", falling)),
        ("loop_args", node("WanVideoLoopArgs", json!({ "shift_skip": 1, "start_percent": 0.0, "end_percent": 1.0 }))),
    ] {
        let mut changed = prompt.clone();
        changed["20"] = node;
        changed["6"]["inputs"][input] = json!(["20", 0]);
        program.succeed(&changed);
    }
    prompt["6"]["inputs"]["riflex_freq_index"] = json!(1);
    program.succeed(&prompt);
    let picture = |index: usize| {
        let name = format!("generated_video_{index:05}.004.png");
        vita_media::read_image(program.output(&name)).unwrap().into_bytes()
    };
    let plain = picture(1);
    for index in 2..=10 {
        assert!(picture(index) != plain, "{index}");
    }
}

/// Twice as long as the small model's videos are.
#[test]
fn a_long_video_is_made_in_windows() {
    let mut program = Program::new();
    let small = json!({ "width": 64, "height": 64, "num_frames": 33 });
    let mut prompt = guide("wan21_t2v_14b.json", "6", ("4", small));
    prompt["2"]["inputs"]["positive_prompt"] =
        json!("a clip of a red ball slides to the left in front of a black background");
    prompt["2"]["inputs"]["negative_prompt"] = json!("");
    prompt["6"]["inputs"]["cfg"] = json!(2.5);
    prompt["6"]["inputs"]["context_options"] = json!(["20", 0]);
    let options = json!({
        "context_schedule": "uniform_standard", "context_frames": 17, "context_stride": 4, "context_overlap": 8,
        "freenoise": true, "verbose": false, "fuse_method": "pyramid",
    });
    prompt["20"] = json!({ "class_type": "WanVideoContextOptions", "inputs": options });
    program.succeed(&prompt);
    let video = decode_mp4(program.output("generated_video_00001.mp4")).unwrap();
    assert_eq!(video.frames.count(), 33);
    let red = |frame: usize| {
        let frame = video.frames.frame(frame).unwrap();
        frame.data().chunks(3).filter(|p| p[0] > 150 && p[1] < 110 && p[2] < 110).count()
    };
    // The ball is there from the first frame to the last.
    let all: Vec<usize> = (0..33).map(red).collect();
    assert!(all.iter().all(|&count| count > 40), "{all:?}");

    // A prompt of two sections leads two halves; a video that is not parted has none.
    prompt["2"]["inputs"]["positive_prompt"] = json!("a red ball on black | a blue ball on black");
    prompt["6"]["inputs"]["steps"] = json!(2);
    program.succeed(&prompt);
    // Where the windows go round, the first latent frame is four frames too.
    prompt["20"]["inputs"]["context_schedule"] = json!("uniform_looped");
    program.succeed(&prompt);
    assert_eq!(decode_mp4(program.output("generated_video_00003.mp4")).unwrap().frames.count(), 36);
    prompt["20"]["inputs"]["context_frames"] = json!(81);
    let End::Failed(failure) = program.run(&prompt).end else { panic!("sections were run as one") };
    assert!(failure.message.contains("2 sections"), "{}", failure.message);
}

#[test]
fn what_is_not_built_in_is_refused_by_name() {
    let mut program = Program::new();
    let small = json!({ "width": 64, "height": 64, "num_frames": 5 });
    let mut prompt = guide("wan21_t2v_14b.json", "6", ("4", small));
    prompt["6"]["inputs"]["riflex_freq_index"] = json!(23);
    let End::Failed(failure) = program.run(&prompt).end else { panic!("RIFLEx was run") };
    assert_eq!((failure.node.as_str(), failure.message.contains("`riflex_freq_index`")), ("6", true));

    prompt["6"]["inputs"]["riflex_freq_index"] = json!(0);
    prompt["6"]["inputs"]["scheduler"] = json!("flowmatch_pusa");
    let said = format!("{:?}", validate(&registry(), &*program.studio, &prompt, None).unwrap_err());
    assert!(said.contains("`flowmatch_pusa` is not built in") && said.contains("dpm++_sde"), "{said}");
    prompt["6"]["inputs"]["scheduler"] = json!("none such");
    assert!(validate(&registry(), &*program.studio, &prompt, None).is_err());
    prompt["6"]["inputs"]["scheduler"] = json!("euler");
    prompt["7"]["inputs"]["tile_stride_x"] = json!(272);
    let said = format!("{:?}", validate(&registry(), &*program.studio, &prompt, None).unwrap_err());
    assert!(said.contains("Tile width must be larger than the tile stride width"), "{said}");
}
