//! Whole workflows in API format, run by the executor with the small model that lies in the repository.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use vita_base::Cancel;
use vita_folders::{Folders, LocalTime, Options};
use vita_graph::{End, Event, Executor, Host, Observer, Outcome, RejectionKind, validate};
use vita_media::{decode_mp4, read_image, read_metadata};
use vita_nodes::{Settings, Studio, registry};
use vita_pipeline::Residency;

/// A program with the small models, in a directory of its own.
struct Program {
    directory: TempDir,
    studio: Arc<Studio>,
    executor: Executor,
}

/// Category, name, file.
const MODELS: [(&str, &str, &str); 9] = [
    ("diffusion_models", "t2v.safetensors", "nano-t2v-dit.safetensors"),
    ("diffusion_models", "i2v.safetensors", "nano-i2v-dit.safetensors"),
    ("diffusion_models", "high.safetensors", "nano-i2v-high.safetensors"),
    ("diffusion_models", "low.safetensors", "nano-i2v-low.safetensors"),
    ("diffusion_models", "ti2v.safetensors", "nano-ti2v-dit.safetensors"),
    ("vae", "vae22.safetensors", "nano-vae22.safetensors"),
    ("text_encoders", "sub/umt5.safetensors", "nano-umt5.safetensors"),
    ("vae", "vae.safetensors", "nano-vae.safetensors"),
    ("clip_vision", "clip.safetensors", "nano-clip-vision.safetensors"),
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

    fn run(&mut self, prompt: &Value, watch: &mut Watch) -> Outcome {
        let host: &dyn Host = &*self.studio;
        let plan = validate(&registry(), host, prompt, None).unwrap_or_else(|rejection| panic!("{rejection:?}"));
        let extra = json!({ "workflow": { "id": "w" } });
        let cancel = watch.cancel.clone();
        self.executor.run(&plan, &extra, &cancel, watch)
    }

    fn succeed(&mut self, prompt: &Value) -> Watch {
        let mut watch = Watch::default();
        let outcome = self.run(prompt, &mut watch);
        assert_eq!(outcome.end, End::Success);
        watch
    }

    fn output(&self, name: &str) -> PathBuf {
        self.directory.path().join("output").join(name)
    }

    /// Bytes of all pictures that a `SaveImage` with this prefix wrote.
    fn pictures(&self, prefix: &str, count: usize) -> Vec<u8> {
        let path = |index| self.output(&format!("{prefix}_{index:05}_.png"));
        (1..=count).flat_map(|index| read_image(path(index)).unwrap().into_bytes()).collect()
    }
}

/// What happened.
#[derive(Default)]
struct Watch {
    started: Vec<String>,
    /// The last of each node.
    progress: HashMap<String, (u64, u64)>,
    previews: usize,
    cancel: Cancel,
    /// Stops the run when this node reports a step.
    stop_at: Option<&'static str>,
}

impl Observer for Watch {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Started { node } => self.started.push(node.into()),
            Event::Progress { node, value, total } => {
                self.progress.insert(node.into(), (value, total));
                if self.stop_at == Some(node) {
                    self.cancel.cancel();
                }
            }
            Event::Preview { width, height, rgb, .. } => {
                assert_eq!(rgb.len(), width * height * 3);
                self.previews += 1;
            }
            _ => {}
        }
    }

    fn wants_previews(&self) -> bool {
        true
    }
}

fn node(class: &str, inputs: Value) -> Value {
    json!({ "class_type": class, "inputs": inputs })
}

/// Loaders, prompts and an empty latent: what all text-to-video graphs begin with.
fn text_to_video(steps: usize) -> Value {
    let prompt = "a clip of a red ball slides to the left in front of a black background";
    json!({
        "1": node("UNETLoader", json!({ "unet_name": "t2v.safetensors", "weight_dtype": "default" })),
        "2": node("CLIPLoader", json!({ "clip_name": "sub/umt5.safetensors", "type": "wan", "device": "default" })),
        "3": node("VAELoader", json!({ "vae_name": "vae.safetensors" })),
        "4": node("CLIPTextEncode", json!({ "text": prompt, "clip": ["2", 0] })),
        "5": node("CLIPTextEncode", json!({ "text": "", "clip": ["2", 0] })),
        "6": node("ModelSamplingSD3", json!({ "model": ["1", 0], "shift": 3.0 })),
        "7": node("EmptyHunyuanLatentVideo", json!({ "width": 64, "height": 64, "length": 17, "batch_size": 1 })),
        "8": node("KSampler", json!({
            "model": ["6", 0], "seed": 900_000, "steps": steps, "cfg": 2.5, "sampler_name": "euler",
            "scheduler": "simple", "positive": ["4", 0], "negative": ["5", 0], "latent_image": ["7", 0], "denoise": 1.0,
        })),
        "9": node("VAEDecode", json!({ "samples": ["8", 0], "vae": ["3", 0] })),
    })
}

fn with(mut prompt: Value, nodes: &[(&str, Value)]) -> Value {
    for (id, node) in nodes {
        prompt[*id] = node.clone();
    }
    prompt
}

fn saving(prompt: Value, fps: f64) -> Value {
    with(
        prompt,
        &[
            ("10", node("CreateVideo", json!({ "images": ["9", 0], "fps": fps }))),
            (
                "11",
                node(
                    "SaveVideo",
                    json!({
                        "video": ["10", 0], "filename_prefix": "video/ComfyUI", "format": "auto", "codec": "auto",
                    }),
                ),
            ),
        ],
    )
}

#[test]
fn text_becomes_the_video_that_it_says() {
    let mut program = Program::new();
    let watch = program.succeed(&saving(text_to_video(20), 16.0));
    assert_eq!(watch.progress["8"], (20, 20));
    assert_eq!(watch.progress["9"], (17, 17));
    assert_eq!(watch.previews, 20);

    let path = program.output("video/ComfyUI_00001_.mp4");
    let video = decode_mp4(&path).unwrap();
    assert_eq!((video.frames.count(), video.frames.width(), video.frames.height()), (17, 64, 64));
    assert_eq!(video.frame_rate.to_string(), "16");
    let embedded: Value = serde_json::from_str(&read_metadata(&path).unwrap()["prompt"]).unwrap();
    assert_eq!(embedded["8"]["inputs"]["seed"], 900_000);

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

#[test]
fn only_what_changed_is_run_again() {
    let mut program = Program::new();
    program.succeed(&saving(text_to_video(2), 16.0));
    let again = program.succeed(&saving(text_to_video(2), 8.0));
    assert_eq!(again.started, ["10", "11"]);
    let mut seed = saving(text_to_video(2), 8.0);
    seed["8"]["inputs"]["seed"] = json!(5);
    let again = program.succeed(&seed);
    assert_eq!(again.started, ["8", "9", "10", "11"]);
    assert!(program.output("video/ComfyUI_00003_.mp4").is_file());
}

/// The same steps in one sampler, shared by two, and by the nodes of custom sampling.
#[test]
fn all_ways_to_sample_agree() {
    let mut program = Program::new();
    let save = |samples: &str, prefix: &str| {
        let decode = node("VAEDecode", json!({ "samples": [samples, 0], "vae": ["3", 0] }));
        let save = node("SaveImage", json!({ "images": [format!("{prefix}-d"), 0], "filename_prefix": prefix }));
        [(format!("{prefix}-d"), decode), (format!("{prefix}-s"), save)]
    };
    let half = |add: &str, latent: &str, start: usize, end: usize, leftover: &str| {
        node(
            "KSamplerAdvanced",
            json!({
                "model": ["6", 0], "add_noise": add, "noise_seed": 900_000, "steps": 4, "cfg": 2.5, "sampler_name": "euler",
                "scheduler": "simple", "positive": ["4", 0], "negative": ["5", 0], "latent_image": [latent, 0],
                "start_at_step": start, "end_at_step": end, "return_with_leftover_noise": leftover,
            }),
        )
    };
    let custom = json!({ "noise": ["25", 0], "guider": ["26", 0], "sampler": ["23", 0], "sigmas": ["24", 0], "latent_image": ["7", 0] });
    let mut prompt = with(
        text_to_video(4),
        &[
            ("20", half("enable", "7", 0, 2, "enable")),
            ("21", half("disable", "20", 2, 10_000, "disable")),
            ("23", node("KSamplerSelect", json!({ "sampler_name": "euler" }))),
            (
                "24",
                node("BasicScheduler", json!({ "model": ["6", 0], "scheduler": "simple", "steps": 4, "denoise": 1.0 })),
            ),
            ("25", node("RandomNoise", json!({ "noise_seed": 900_000 }))),
            (
                "26",
                node("CFGGuider", json!({ "model": ["6", 0], "positive": ["4", 0], "negative": ["5", 0], "cfg": 2.5 })),
            ),
            ("27", node("SamplerCustomAdvanced", custom)),
            ("28", node("SplitSigmas", json!({ "sigmas": ["24", 0], "step": 2 }))),
            (
                "29",
                node(
                    "SamplerCustom",
                    json!({
                        "model": ["6", 0], "add_noise": true, "noise_seed": 900_000, "cfg": 2.5, "positive": ["4", 0],
                        "negative": ["5", 0], "sampler": ["23", 0], "sigmas": ["28", 0], "latent_image": ["7", 0],
                    }),
                ),
            ),
            (
                "30",
                node(
                    "SamplerCustom",
                    json!({
                        "model": ["6", 0], "add_noise": false, "noise_seed": 1, "cfg": 2.5, "positive": ["4", 0],
                        "negative": ["5", 0], "sampler": ["23", 0], "sigmas": ["28", 1], "latent_image": ["29", 0],
                    }),
                ),
            ),
        ],
    );
    for (samples, prefix) in [("8", "whole"), ("21", "halves"), ("27", "custom"), ("30", "split")] {
        for (id, node) in save(samples, prefix) {
            prompt[id] = node;
        }
    }
    program.succeed(&prompt);
    let whole = program.pictures("whole", 17);
    for other in ["halves", "custom", "split"] {
        let found = program.pictures(other, 17);
        let most = whole.iter().zip(&found).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(found.len() == whole.len() && most <= 1, "{other} is {most} away");
    }
}

#[test]
fn a_batch_is_several_videos_of_other_noise() {
    let mut program = Program::new();
    let mut prompt = text_to_video(2);
    prompt["7"]["inputs"] = json!({ "width": 32, "height": 32, "length": 5, "batch_size": 2 });
    prompt["10"] = node("SaveImage", json!({ "images": ["9", 0], "filename_prefix": "b" }));
    let watch = program.succeed(&prompt);
    assert_eq!((watch.progress["8"], watch.progress["9"]), ((4, 4), (10, 10)));
    let all = program.pictures("b", 10);
    assert_ne!(all[..all.len() / 2], all[all.len() / 2..]);
}

#[test]
fn a_run_stops_within_a_step_and_the_next_goes_on() {
    let mut program = Program::new();
    let prompt = saving(text_to_video(20), 16.0);
    let mut watch = Watch { stop_at: Some("8"), ..Watch::default() };
    let outcome = program.run(&prompt, &mut watch);
    assert!(matches!(&outcome.end, End::Interrupted { node, .. } if node == "8"), "{:?}", outcome.end);
    assert_eq!(watch.progress["8"], (1, 20));
    let again = program.succeed(&prompt);
    assert_eq!(again.started, ["8", "9", "10", "11"]);
}

/// A ball on black as the small image-to-video models know them, saved as the start image.
fn start_image(program: &Program) -> Vec<u8> {
    let (center, radius) = ([0.409 * 64.0, 0.5143 * 64.0], 0.1789 * 64.0);
    let mut rgb = Vec::new();
    for (y, x) in (0..64).flat_map(|y| (0..64).map(move |x| (y, x))) {
        let (dx, dy) = (f64::from(x) + 0.5 - center[0], f64::from(y) + 0.5 - center[1]);
        let share = (0.5 - (dx.hypot(dy) - radius) / 1.5).clamp(0.0, 1.0);
        let mix = |color: f64, background: f64| (color * share + background * (1.0 - share)).round() as u8;
        rgb.extend([mix(225.0, 22.0), mix(40.0, 22.0), mix(40.0, 28.0)]);
    }
    let frame = vita_media::Frame::new(64, 64, &rgb).unwrap();
    let path = program.directory.path().join("input/start.png");
    vita_media::write_png(path, frame, &vita_media::Metadata::new()).unwrap();
    rgb
}

/// Mean square distance of bytes as decibels below full scale.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let square: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / square).log10()
}

fn image_to_video() -> Value {
    let prompt = "a red disc on a black background is moving to the left.";
    let size = json!({ "width": 64, "height": 64, "length": 17, "batch_size": 1 });
    let mut to_video = json!({ "positive": ["4", 0], "negative": ["5", 0], "vae": ["3", 0], "start_image": ["12", 0] });
    for (key, value) in size.as_object().unwrap() {
        to_video[key] = value.clone();
    }
    let mut graph = text_to_video(20);
    graph["4"]["inputs"]["text"] = json!(prompt);
    graph["12"] = node("LoadImage", json!({ "image": "start.png", "upload": "image" }));
    graph["15"] = node("WanImageToVideo", to_video);
    graph["10"] = node("SaveImage", json!({ "images": ["9", 0], "filename_prefix": "i" }));
    graph
}

#[test]
fn a_picture_begins_the_video_of_wan_21() {
    let mut program = Program::new();
    let start = start_image(&program);
    let mut graph = image_to_video();
    graph["1"]["inputs"]["unet_name"] = json!("i2v.safetensors");
    graph["13"] = node("CLIPVisionLoader", json!({ "clip_name": "clip.safetensors" }));
    graph["14"] = node("CLIPVisionEncode", json!({ "clip_vision": ["13", 0], "image": ["12", 0], "crop": "none" }));
    graph["15"]["inputs"]["clip_vision_output"] = json!(["14", 0]);
    for (input, slot) in [("positive", 0), ("negative", 1), ("latent_image", 2)] {
        graph["8"]["inputs"][input] = json!(["15", slot]);
    }
    graph["8"]["inputs"]["seed"] = json!(910_000);
    program.succeed(&graph);
    let first = read_image(program.output("i_00001_.png")).unwrap().into_bytes();
    assert!(psnr(&first, &start) > 25.0, "{} dB", psnr(&first, &start));
    assert!(program.output("i_00017_.png").is_file());
}

#[test]
fn two_experts_share_the_steps_of_wan_22() {
    let mut program = Program::new();
    let start = start_image(&program);
    let mut graph = image_to_video();
    graph["1"]["inputs"]["unet_name"] = json!("high.safetensors");
    graph["21"] = node("UNETLoader", json!({ "unet_name": "low.safetensors", "weight_dtype": "default" }));
    graph["6"]["inputs"]["shift"] = json!(5.0);
    graph["26"] = node("ModelSamplingSD3", json!({ "model": ["21", 0], "shift": 5.0 }));
    let expert = |model: &str, add: &str, latent: Value, start: usize, end: usize, leftover: &str| {
        node(
            "KSamplerAdvanced",
            json!({
                "model": [model, 0], "add_noise": add, "noise_seed": 920_000, "steps": 20, "cfg": 2.5,
                "sampler_name": "euler", "scheduler": "simple", "positive": ["15", 0], "negative": ["15", 1],
                "latent_image": latent, "start_at_step": start, "end_at_step": end, "return_with_leftover_noise": leftover,
            }),
        )
    };
    // With a shift of 5 the noise falls below 0.9 after eight of twenty steps.
    graph["27"] = expert("6", "enable", json!(["15", 2]), 0, 8, "enable");
    graph["8"] = expert("26", "disable", json!(["27", 0]), 8, 10_000, "disable");
    program.succeed(&graph);
    let first = read_image(program.output("i_00001_.png")).unwrap().into_bytes();
    assert!(psnr(&first, &start) > 25.0, "{} dB", psnr(&first, &start));
}

#[test]
fn one_model_of_wan_22_takes_text_and_a_picture() {
    let mut program = Program::new();
    let start = start_image(&program);
    let mut graph = image_to_video();
    graph["1"]["inputs"]["unet_name"] = json!("ti2v.safetensors");
    graph["3"]["inputs"]["vae_name"] = json!("vae22.safetensors");
    graph["4"]["inputs"]["text"] = json!("A red ball slides to the left on black");
    graph["15"] = node(
        "Wan22ImageToVideoLatent",
        json!({ "vae": ["3", 0], "width": 64, "height": 64, "length": 17, "batch_size": 1, "start_image": ["12", 0] }),
    );
    graph["8"]["inputs"]["latent_image"] = json!(["15", 0]);
    program.succeed(&graph);
    let first = read_image(program.output("i_00001_.png")).unwrap().into_bytes();
    assert!(psnr(&first, &start) > 25.0, "{} dB", psnr(&first, &start));
    assert!(program.output("i_00017_.png").is_file());
}

#[test]
fn pictures_survive_the_autoencoder_whole_and_in_tiles() {
    let mut program = Program::new();
    let start = start_image(&program);
    let tiles = json!({ "tile_size": 64, "overlap": 16, "temporal_size": 64, "temporal_overlap": 8, "vae": ["3", 0] });
    let tiled = |key: &str, link: &str| {
        let mut inputs = tiles.clone();
        inputs[key] = json!([link, 0]);
        inputs
    };
    let wide =
        json!({ "image": ["1", 0], "upscale_method": "bilinear", "width": 96, "height": 96, "crop": "disabled" });
    program.succeed(&json!({
        "1": node("LoadImage", json!({ "image": "start.png" })),
        "2": node("ImageScale", wide),
        "3": node("VAELoader", json!({ "vae_name": "vae.safetensors" })),
        "4": node("VAEEncode", json!({ "pixels": ["1", 0], "vae": ["3", 0] })),
        "5": node("VAEDecode", json!({ "samples": ["4", 0], "vae": ["3", 0] })),
        "6": node("SaveImage", json!({ "images": ["5", 0], "filename_prefix": "whole" })),
        "7": node("VAEEncodeTiled", tiled("pixels", "2")),
        "8": node("VAEDecodeTiled", tiled("samples", "7")),
        "9": node("ImageScale", json!({
            "image": ["8", 0], "upscale_method": "bilinear", "width": 64, "height": 64, "crop": "disabled",
        })),
        "10": node("SaveImage", json!({ "images": ["9", 0], "filename_prefix": "tiled" })),
    }));
    for prefix in ["whole", "tiled"] {
        let found = program.pictures(prefix, 1);
        assert!(psnr(&found, &start) > 24.0, "{prefix}: {} dB", psnr(&found, &start));
    }
}

/// What the templates switch with: only the chosen branch is run, and numbers are computed by links.
#[test]
fn switches_and_expressions_lead_the_graph() {
    let mut program = Program::new();
    let mut graph = saving(text_to_video(2), 16.0);
    graph["30"] = node("PrimitiveBoolean", json!({ "value": false }));
    graph["31"] = node("LoraLoaderModelOnly", json!({ "model": ["1", 0], "lora_name": "none", "strength_model": 1.0 }));
    graph["32"] = node("ComfySwitchNode", json!({ "switch": ["30", 0], "on_false": ["1", 0], "on_true": ["1", 0] }));
    graph["33"] = node("PrimitiveFloat", json!({ "value": 0.25 }));
    graph["34"] = node("PrimitiveInt", json!({ "value": 16 }));
    graph["35"] = node(
        "ComfyMathExpression",
        json!({
            "expression": "floor(a * b) + 1", "values.a": ["33", 0], "values.b": ["34", 0],
        }),
    );
    graph["6"]["inputs"]["model"] = json!(["32", 0]);
    graph["7"]["inputs"]["length"] = json!(["35", 1]);
    let watch = program.succeed(&graph);
    assert!(!watch.started.contains(&"31".to_owned()));
    assert_eq!(decode_mp4(program.output("video/ComfyUI_00001_.mp4")).unwrap().frames.count(), 5);
}

#[test]
fn what_cannot_be_is_said_at_its_node() {
    for (id, input, value, message) in [
        ("2", "type", "sd3", "text encoders of the type `sd3` are of another system than Wan"),
        ("3", "vae_name", "pixel_space", "`pixel_space` is for models that work on pixels, and no Wan model does"),
    ] {
        let mut program = Program::new();
        let mut prompt = saving(text_to_video(2), 16.0);
        prompt[id]["inputs"][input] = json!(value);
        let outcome = program.run(&prompt, &mut Watch::default());
        let End::Failed(failure) = outcome.end else { panic!("{id} {input}: {:?}", outcome.end) };
        assert_eq!((failure.node.as_str(), failure.message.as_str()), (id, message));
        assert!(failure.hint.is_some());
    }
}

#[test]
fn what_is_not_there_is_refused_before_anything_runs() {
    let program = Program::new();
    for (id, input, value) in [
        ("8", "sampler_name", json!("nonsense")),
        ("8", "scheduler", json!("nonsense")),
        ("1", "unet_name", json!("missing.safetensors")),
        ("8", "steps", json!(0)),
    ] {
        let mut prompt = saving(text_to_video(2), 16.0);
        prompt[id]["inputs"][input] = value;
        let rejection = validate(&registry(), &*program.studio, &prompt, None).unwrap_err();
        assert!(matches!(rejection.kind, RejectionKind::OutputsFailed { .. }), "{input}: {rejection:?}");
        assert_eq!(rejection.nodes.keys().collect::<Vec<_>>(), [id], "{input}");
    }
}
