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

#[test]
fn what_is_not_built_in_is_refused_by_name() {
    let mut program = Program::new();
    let small = json!({ "width": 64, "height": 64, "num_frames": 5 });
    let mut prompt = guide("wan21_t2v_14b.json", "6", ("4", small));
    prompt["6"]["inputs"]["riflex_freq_index"] = json!(6);
    let End::Failed(failure) = program.run(&prompt).end else { panic!("RIFLEx was run") };
    assert_eq!((failure.node.as_str(), failure.message.contains("`riflex_freq_index`")), ("6", true));

    prompt["6"]["inputs"]["riflex_freq_index"] = json!(0);
    prompt["6"]["inputs"]["scheduler"] = json!("er_sde");
    let said = format!("{:?}", validate(&registry(), &*program.studio, &prompt, None).unwrap_err());
    assert!(said.contains("`er_sde` is not built in") && said.contains("dpm++_sde"), "{said}");
    prompt["6"]["inputs"]["scheduler"] = json!("none such");
    assert!(validate(&registry(), &*program.studio, &prompt, None).is_err());
    prompt["6"]["inputs"]["scheduler"] = json!("euler");
    prompt["7"]["inputs"]["tile_stride_x"] = json!(272);
    let said = format!("{:?}", validate(&registry(), &*program.studio, &prompt, None).unwrap_err());
    assert!(said.contains("Tile width must be larger than the tile stride width"), "{said}");
}
