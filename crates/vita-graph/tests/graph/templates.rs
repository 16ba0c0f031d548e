//! The official Wan templates, where somebody has them: they are not ours to keep here.

use std::any::Any;
use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value as Json;
use vita_graph::{
    Context, Field, Group, Host, Inputs, Kind, Node, NodeError, Outputs, Registry, Spec, Style, combo, field, files,
    float, from_page, int, link, seed, switch, text, validate,
};

const PLAIN: [&str; 8] = [
    "image_to_video_wan",
    "templates-6-key-frames",
    "text_to_video_wan",
    "video_wan2_2_14B_flf2v",
    "video_wan2_2_14B_i2v",
    "video_wan2_2_14B_t2v",
    "video_wan2_2_5B_ti2v",
    "wan2.1_flf2v_720_f16",
];

#[test]
#[ignore = "needs the folder of the package comfyui-workflow-templates-json in COMFYUI_TEMPLATES"]
fn official_wan_templates_become_valid_prompts() {
    let folder = PathBuf::from(std::env::var_os("COMFYUI_TEMPLATES").expect("COMFYUI_TEMPLATES names a folder"));
    let registry = Registry::new(NODES.iter().map(|node| node as &dyn Node));
    for name in PLAIN {
        let path = folder.join(name).with_added_extension("json");
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let workflow: Json = serde_json::from_slice(&bytes).unwrap();
        let prompt = from_page(&registry, &workflow).unwrap_or_else(|error| panic!("{name}: {error}"));
        let host = AllFiles(texts(&workflow));
        let plan = validate(&registry, &host, &prompt, None).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(plan.faults.is_empty(), "{name}: {:?}", plan.faults);
        let count = prompt.as_object().unwrap().len();
        println!("{name}: {count} nodes, outputs {:?}\n{prompt:#}", plan.outputs);
    }
}

/// Every text of a workflow, so that the files that it names are there.
fn texts(workflow: &Json) -> BTreeSet<String> {
    match workflow {
        Json::String(text) => BTreeSet::from([text.clone()]),
        Json::Array(items) => items.iter().flat_map(texts).collect(),
        Json::Object(members) => members.values().flat_map(texts).collect(),
        _ => BTreeSet::new(),
    }
}

struct AllFiles(BTreeSet<String>);

impl Host for AllFiles {
    fn files(&self, _: &str) -> Vec<String> {
        self.0.iter().cloned().collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A node that only says what it takes.
struct Described(fn() -> Spec);

impl Node for Described {
    fn spec(&self) -> Spec {
        (self.0)()
    }

    fn run(&self, _: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        Ok(Outputs::default())
    }
}

static NODES: [Described; 24] = [
    Described(|| {
        spec("CLIPLoader", "CLIP")
            .input("clip_name", files(""))
            .input("type", combo(["wan"]))
            .optional("device", combo(["default", "cpu"]))
    }),
    Described(|| spec("CLIPTextEncode", "CONDITIONING").input("text", text("")).input("clip", link("CLIP"))),
    Described(|| {
        spec("CLIPVisionEncode", "CLIP_VISION_OUTPUT")
            .input("clip_vision", link("CLIP_VISION"))
            .input("image", link("IMAGE"))
            .input("crop", combo(["center", "none"]))
    }),
    Described(|| spec("CLIPVisionLoader", "CLIP_VISION").input("clip_name", files(""))),
    Described(|| {
        spec("CreateVideo", "VIDEO")
            .input("images", link("IMAGE"))
            .input("fps", float(30.0, 1.0..=120.0, 1.0))
            .optional("audio", link("AUDIO"))
    }),
    Described(|| sizes(Spec::new("EmptyHunyuanLatentVideo", "")).output("LATENT")),
    Described(k_sampler),
    Described(k_sampler_advanced),
    Described(|| spec("LoadImage", "IMAGE").input("image", files("").extra("image_upload", true)).output("MASK")),
    Described(|| {
        spec("LoraLoaderModelOnly", "MODEL")
            .input("model", link("MODEL"))
            .input("lora_name", files(""))
            .input("strength_model", float(1.0, -100.0..=100.0, 0.01))
    }),
    Described(|| {
        spec("ModelSamplingSD3", "MODEL").input("model", link("MODEL")).input("shift", float(3.0, 0.0..=100.0, 0.01))
    }),
    Described(|| {
        Spec::new("SaveVideo", "")
            .output_node()
            .input("video", link("VIDEO"))
            .input("filename_prefix", text(""))
            .input("format", combo(["auto", "mp4"]))
            .input("codec", combo(["auto", "h264"]))
    }),
    Described(|| {
        spec("UNETLoader", "MODEL")
            .input("unet_name", files(""))
            .input("weight_dtype", combo(["default", "fp8_e4m3fn"]))
    }),
    Described(|| spec("VAEDecode", "IMAGE").input("samples", link("LATENT")).input("vae", link("VAE"))),
    Described(|| spec("VAELoader", "VAE").input("vae_name", files(""))),
    Described(|| {
        sizes(conditioned("WanImageToVideo"))
            .optional("clip_vision_output", link("CLIP_VISION_OUTPUT"))
            .optional("start_image", link("IMAGE"))
    }),
    Described(|| {
        sizes(conditioned("WanFirstLastFrameToVideo"))
            .optional("clip_vision_start_image", link("CLIP_VISION_OUTPUT"))
            .optional("clip_vision_end_image", link("CLIP_VISION_OUTPUT"))
            .optional("start_image", link("IMAGE"))
            .optional("end_image", link("IMAGE"))
    }),
    Described(|| {
        sizes(spec("Wan22ImageToVideoLatent", "LATENT").input("vae", link("VAE")))
            .optional("start_image", link("IMAGE"))
    }),
    Described(|| {
        spec("PrimitiveInt", "INT").input(
            "value",
            field(Kind::Int {
                default: Some(0),
                range: i64::MIN.into()..=i64::MAX.into(),
                step: None,
                control_after_generate: true,
            }),
        )
    }),
    Described(|| spec("PrimitiveFloat", "FLOAT").input("value", float(0.0, f64::MIN..=f64::MAX, 0.1))),
    Described(|| spec("PrimitiveBoolean", "BOOLEAN").input("value", switch(false))),
    Described(switch_node),
    Described(math_expression),
    Described(batch_images),
];

fn spec(class: &'static str, output: &'static str) -> Spec {
    Spec::new(class, "").output(output)
}

fn sizes(spec: Spec) -> Spec {
    let side = || int(832, 16..=16384, 16);
    spec.input("width", side())
        .input("height", side())
        .input("length", int(81, 1..=16384, 4))
        .input("batch_size", int(1, 1..=4096, 1))
}

fn conditioned(class: &'static str) -> Spec {
    let spec = Spec::new(class, "").output("CONDITIONING").output("CONDITIONING").output("LATENT");
    spec.input("positive", link("CONDITIONING")).input("negative", link("CONDITIONING")).input("vae", link("VAE"))
}

fn sampled(spec: Spec) -> Spec {
    spec.input("steps", int(20, 1..=10000, 1))
        .input("cfg", float(8.0, 0.0..=100.0, 0.1))
        .input("sampler_name", combo(["euler", "uni_pc"]))
        .input("scheduler", combo(["simple"]))
        .input("positive", link("CONDITIONING"))
        .input("negative", link("CONDITIONING"))
        .input("latent_image", link("LATENT"))
}

fn k_sampler() -> Spec {
    sampled(spec("KSampler", "LATENT").input("model", link("MODEL")).input("seed", seed()))
        .input("denoise", float(1.0, 0.0..=1.0, 0.01))
}

fn k_sampler_advanced() -> Spec {
    let spec = spec("KSamplerAdvanced", "LATENT").input("model", link("MODEL"));
    sampled(spec.input("add_noise", combo(["enable", "disable"])).input("noise_seed", seed()))
        .input("start_at_step", int(0, 0..=10000, 1))
        .input("end_at_step", int(10000, 0..=10000, 1))
        .input("return_with_leftover_noise", combo(["disable", "enable"]))
}

fn switch_node() -> Spec {
    let same = || field(Kind::Match { template: "switch", allowed: "*" }).lazy();
    spec("ComfySwitchNode", "COMFY_MATCHTYPE_V3")
        .module("", Style::V3)
        .input("switch", switch(false))
        .input("on_false", same())
        .input("on_true", same())
}

fn math_expression() -> Spec {
    let names = ('a'..='z').map(String::from).collect();
    let values = Kind::Autogrow { item: Box::new(link("FLOAT,INT,BOOLEAN")), names, prefix: "", min: 1, max: 26 };
    spec("ComfyMathExpression", "FLOAT")
        .module("", Style::V3)
        .input("expression", text("a + b"))
        .input("values", field(values))
        .output("INT")
        .output("BOOLEAN")
}

fn batch_images() -> Spec {
    let item: Field = Field { group: Group::Required, ..link("IMAGE") };
    let images = Kind::Autogrow { item: Box::new(item), names: Vec::new(), prefix: "image", min: 2, max: 50 };
    spec("BatchImagesNode", "IMAGE").module("", Style::V3).input("images", field(images))
}
