//! LoRAs in workflows: put on and taken off, by ComfyUI's node and by the wrapper's, and files that do not fit.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use vita_base::Cancel;
use vita_folders::{Folders, LocalTime, Options};
use vita_graph::{End, Event, Executor, Observer, validate};
use vita_media::read_image;
use vita_nodes::{Settings, Studio, registry};
use vita_pipeline::Residency;
use vita_tensor::Tensor;
use vita_weights::write_safetensors;

/// A program with the small models and three LoRAs, in a directory of its own.
struct Program {
    directory: TempDir,
    studio: Arc<Studio>,
    executor: Executor,
}

const MODELS: [(&str, &str); 3] = [
    ("diffusion_models", "nano-t2v-dit.safetensors"),
    ("text_encoders", "nano-umt5.safetensors"),
    ("vae", "nano-vae.safetensors"),
];

/// Width of the small transformer.
const DIM: usize = 256;

impl Program {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { base: directory.path().into(), ..Options::default() };
        let mut folders = Folders::new(options, &|_| None).unwrap();
        folders.create().unwrap();
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano");
        for (category, name) in MODELS {
            folders.add_alias(category, name, assets.join(name));
        }
        let loras = directory.path().join("models/loras");
        let pair = |key: &str| {
            let noise = |rows: usize, columns: usize, by: usize| {
                let value = |i: usize| ((i * by + i * i % 8191) as f32 * 0.618).sin() * 0.3;
                Tensor::from_vec((0..rows * columns).map(value).collect(), [rows, columns])
            };
            let [up, down] = [noise(DIM, 2, 7919), noise(2, DIM, 104_729)];
            [(format!("{key}.lora_up.weight"), up), (format!("{key}.lora_down.weight"), down)]
        };
        let [fits, foreign] = [pair("lora_unet_blocks_0_self_attn_q"), pair("lora_unet_blocks_0_nothing")];
        for (name, pairs) in [("whole", vec![&fits]), ("part", vec![&fits, &foreign]), ("none", vec![&foreign])] {
            let tensors: Vec<(&str, &Tensor)> =
                pairs.into_iter().flatten().map(|(name, tensor)| (name.as_str(), tensor)).collect();
            write_safetensors(loras.join(format!("{name}.safetensors")), &tensors, &BTreeMap::new()).unwrap();
        }
        let clock = || LocalTime { year: 2031, month: 2, day: 3, hour: 4, minute: 5, second: 6 };
        let settings = Settings { disable_metadata: false, ffmpeg: None };
        let studio = Arc::new(Studio::new(folders, Residency::many(None), settings, Box::new(clock), 7));
        let executor = Executor::new(registry(), studio.clone());
        Self { directory, studio, executor }
    }

    /// How it ended, and what was said.
    fn run(&mut self, prompt: &Value) -> (End, Said) {
        let plan = validate(&registry(), &*self.studio, prompt, None).unwrap_or_else(|fault| panic!("{fault:?}"));
        let mut said = Said::default();
        let outcome = self.executor.run(&plan, &json!({}), &Cancel::default(), &mut said);
        (outcome.end, said)
    }

    /// The picture of a run that succeeds: the index counts runs that do, from 1.
    fn picture(&mut self, prompt: &Value, index: usize) -> (Vec<u8>, Said) {
        let (end, said) = self.run(prompt);
        assert_eq!(end, End::Success);
        let path = self.directory.path().join(format!("output/l_{index:05}_.png"));
        (read_image(path).unwrap().into_bytes(), said)
    }
}

/// Texts and the nodes that said them.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Observer for Said {
    fn observe(&mut self, event: Event<'_>) {
        if let Event::Text { node, text } = event {
            self.0.push((node.into(), text.into()));
        }
    }
}

fn node(class: &str, inputs: Value) -> Value {
    json!({ "class_type": class, "inputs": inputs })
}

/// A video of one frame, by ComfyUI's own nodes, through the LoRA's.
fn native() -> Value {
    json!({
        "1": node("UNETLoader", json!({ "unet_name": MODELS[0].1, "weight_dtype": "default" })),
        "2": node("CLIPLoader", json!({ "clip_name": MODELS[1].1, "type": "wan" })),
        "3": node("VAELoader", json!({ "vae_name": MODELS[2].1 })),
        "4": node("CLIPTextEncode", json!({ "text": "a red ball", "clip": ["2", 0] })),
        "5": node("LoraLoaderModelOnly", json!({
            "model": ["1", 0], "lora_name": "whole.safetensors", "strength_model": 1.0,
        })),
        "6": node("EmptyHunyuanLatentVideo", json!({ "width": 32, "height": 32, "length": 1, "batch_size": 1 })),
        "7": node("KSampler", json!({
            "model": ["5", 0], "seed": 1, "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple",
            "positive": ["4", 0], "negative": ["4", 0], "latent_image": ["6", 0], "denoise": 1.0,
        })),
        "8": node("VAEDecode", json!({ "samples": ["7", 0], "vae": ["3", 0] })),
        "9": node("SaveImage", json!({ "images": ["8", 0], "filename_prefix": "l" })),
    })
}

/// The same by the wrapper's.
fn wrapper() -> Value {
    json!({
        "1": node("WanVideoModelLoader", json!({
            "model": MODELS[0].1, "base_precision": "bf16", "quantization": "disabled", "load_device": "offload_device",
            "lora": ["5", 0],
        })),
        "2": node("LoadWanVideoT5TextEncoder", json!({ "model_name": MODELS[1].1, "precision": "bf16" })),
        "3": node("WanVideoVAELoader", json!({ "model_name": MODELS[2].1 })),
        "4": node("WanVideoTextEncode", json!({ "positive_prompt": "a red ball", "negative_prompt": "", "t5": ["2", 0] })),
        "5": node("WanVideoLoraSelect", json!({ "lora": "whole.safetensors", "strength": 1.0 })),
        "6": node("WanVideoEmptyEmbeds", json!({ "width": 64, "height": 64, "num_frames": 1 })),
        "7": node("WanVideoSampler", json!({
            "model": ["1", 0], "image_embeds": ["6", 0], "steps": 2, "cfg": 1.0, "shift": 5.0, "seed": 1,
            "force_offload": true, "scheduler": "euler", "riflex_freq_index": 0, "text_embeds": ["4", 0],
        })),
        "8": node("WanVideoDecode", json!({
            "vae": ["3", 0], "samples": ["7", 0], "enable_vae_tiling": false, "tile_x": 272, "tile_y": 272,
            "tile_stride_x": 144, "tile_stride_y": 128,
        })),
        "9": node("SaveImage", json!({ "images": ["8", 0], "filename_prefix": "l" })),
    })
}

fn check(with: Value, [name, strength]: [&str; 2], [user, input, source]: [&str; 3]) {
    let mut program = Program::new();
    let mut plain = with.clone();
    match source {
        "" => plain[user]["inputs"].as_object_mut().unwrap().remove(input).map(|_| ()).unwrap(),
        source => plain[user]["inputs"][input] = json!([source, 0]),
    }
    let changed = |key: &str, value: Value| {
        let mut changed = with.clone();
        changed["5"]["inputs"][key] = value;
        changed
    };
    let (before, said) = program.picture(&plain, 1);
    assert!(said.0.is_empty(), "{:?}", said.0);
    let (styled, said) = program.picture(&with, 2);
    assert!(said.0.is_empty() && styled != before, "{:?}", said.0);
    let (half, _) = program.picture(&changed(strength, json!(0.5)), 3);
    assert!(half != before && half != styled);
    let (none, _) = program.picture(&changed(strength, json!(0.0)), 4);
    assert!(none == before);

    // Keys that match nothing are counted where others do, by the node that loads the weights.
    let (part, said) = program.picture(&changed(name, json!("part.safetensors")), 5);
    assert!(part == styled);
    let [(at, warning)] = &said.0[..] else { panic!("{:?}", said.0) };
    assert!(warning.starts_with("2 of 4 keys of `") && warning.contains("lora_unet_blocks_0_nothing"), "{warning}");
    assert_eq!(at, "7");
    let (End::Failed(failure), _) = program.run(&changed(name, json!("none.safetensors"))) else {
        panic!("a LoRA for nothing was put on")
    };
    assert!(failure.message.contains("none.safetensors") && failure.message.contains("match"), "{}", failure.message);
    assert!(program.picture(&with, 6).0 == styled);
}

#[test]
fn loras_of_comfyuis_node() {
    check(native(), ["lora_name", "strength_model"], ["7", "model", "1"]);
}

#[test]
fn loras_of_the_wrappers_node() {
    check(wrapper(), ["lora", "strength"], ["1", "lora", ""]);
}
