//! Nodes whose descriptions are those of ComfyUI 0.8.0 and whose work is none.

use std::any::Any;

use serde_json::json;
use vita_graph::{
    Context, Field, Group, Hidden, Host, Inputs, Kind, Node, NodeError, Options, Outputs, Refusal, Registry, Spec,
    Style, Value, combo, field, files, float, int, link, seed, switch, text,
};

/// The files that there are.
pub struct Files;

impl Host for Files {
    fn files(&self, folder: &str) -> Vec<String> {
        let names: &[&str] = match folder {
            "diffusion_models" => &["wan2.2_ti2v_5B_fp16.safetensors", "wan/Wan2_1-T2V-14B_fp8_e4m3fn.safetensors"],
            "input" => &["a (1).png", "a.png"],
            "embeddings" => &["easynegative.safetensors", "sub.d/ugly.pt", "plain"],
            _ => &[],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

type Work = fn(&Inputs, &mut Context<'_>) -> Result<Outputs, NodeError>;

struct Toy {
    spec: fn() -> Spec,
    work: Work,
    judges: &'static [&'static str],
}

impl Node for Toy {
    fn spec(&self) -> Spec {
        (self.spec)()
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        (self.work)(inputs, context)
    }

    fn judges(&self) -> &'static [&'static str] {
        self.judges
    }

    fn refuse(&self, inputs: &Inputs, host: &dyn Host) -> Vec<Refusal> {
        let name = inputs.text("image").unwrap_or_default();
        if host.files("input").iter().any(|file| file == name) {
            return Vec::new();
        }
        vec![Refusal { input: "image".into(), reason: Some(format!("Invalid image file: {name}")) }]
    }

    fn needs(&self, inputs: &Inputs) -> Vec<String> {
        let branch = if inputs.bool("switch").unwrap_or(false) { "on_true" } else { "on_false" };
        vec![branch.into()]
    }
}

pub fn registry() -> Registry {
    Registry::new(TOYS.iter().map(|toy| toy as &'static dyn Node))
}

static TOYS: [Toy; 17] = [
    toy(empty_image, value),
    toy(save_image, save_images),
    toy(preview_image, save_images),
    Toy { spec: load_image, work: two_values, judges: &["image"] },
    toy(unet_loader, value),
    toy(k_sampler, sample),
    toy(empty_latent, value),
    toy(create_video, value),
    toy(save_video, save_videos),
    toy(switch_node, choose),
    toy(batch_images, value),
    toy(resize, value),
    toy(primitive_int, pass),
    toy(primitive_boolean, pass),
    toy(primitive_string, pass),
    toy(preview_any, show),
    toy(failing, fail),
];

const fn toy(spec: fn() -> Spec, work: Work) -> Toy {
    Toy { spec, work, judges: &[] }
}

fn empty_image() -> Spec {
    Spec::new("EmptyImage", "image")
        .input("width", int(512, 1..=16384, 1))
        .input("height", int(512, 1..=16384, 1))
        .input(
            "batch_size",
            field(Kind::Int { default: Some(1), range: 1..=4096, step: None, control_after_generate: false }),
        )
        .input("color", int(0, 0..=0xff_ffff, 1))
        .output("IMAGE")
}

fn save_image() -> Spec {
    Spec::new("SaveImage", "image")
        .display("Save Image")
        .describe("Saves images.")
        .input("images", link("IMAGE").tooltip("What is saved."))
        .input("filename_prefix", text("ComfyUI"))
        .hidden(Hidden::Prompt)
        .hidden(Hidden::ExtraPngInfo)
        .output_node()
}

fn preview_image() -> Spec {
    Spec::new("PreviewImage", "image")
        .input("images", link("IMAGE"))
        .hidden(Hidden::Prompt)
        .hidden(Hidden::ExtraPngInfo)
        .output_node()
}

fn load_image() -> Spec {
    Spec::new("LoadImage", "image")
        .input("image", files("input").extra("image_upload", true))
        .output("IMAGE")
        .output("MASK")
}

fn unet_loader() -> Spec {
    Spec::new("UNETLoader", "advanced/loaders")
        .input("unet_name", files("diffusion_models"))
        .input("weight_dtype", combo(["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"]).advanced())
        .output("MODEL")
}

fn k_sampler() -> Spec {
    let samplers = (0..44).map(|index| format!("sampler_{index}"));
    let steps = Kind::Int { default: Some(20), range: 1..=10000, step: None, control_after_generate: false };
    let cfg = Kind::Float { default: Some(8.0), range: 0.0..=100.0, step: Some(0.1), round: Some(0.01) };
    Spec::new("KSampler", "sampling")
        .input("model", link("MODEL"))
        .input("seed", seed())
        .input("steps", field(steps))
        .input("cfg", field(cfg))
        .input("sampler_name", combo(samplers))
        .input("scheduler", combo(["simple", "karras", "beta"]))
        .input("latent_image", link("LATENT"))
        .input("denoise", float(1.0, 0.0..=1.0, 0.01))
        .output("LATENT")
}

fn empty_latent() -> Spec {
    Spec::new("EmptyHunyuanLatentVideo", "latent/video")
        .module("comfy_extras.nodes_hunyuan", Style::V3)
        .input("width", int(848, 16..=16384, 16))
        .input("length", int(25, 1..=16384, 4))
        .output("LATENT")
}

fn create_video() -> Spec {
    Spec::new("CreateVideo", "image/video")
        .module("comfy_extras.nodes_video", Style::V3)
        .display("Create Video")
        .input("images", link("IMAGE").tooltip("The frames."))
        .input("fps", float(30.0, 1.0..=120.0, 1.0))
        .optional("audio", link("AUDIO"))
        .output("VIDEO")
}

fn save_video() -> Spec {
    Spec::new("SaveVideo", "image/video")
        .module("comfy_extras.nodes_video", Style::V3)
        .display("Save Video")
        .input("video", link("VIDEO"))
        .input("filename_prefix", text("video/ComfyUI"))
        .input("format", combo(["auto", "mp4"]).default_choice("auto"))
        .hidden(Hidden::Prompt)
        .hidden(Hidden::ExtraPngInfo)
        .output_node()
}

fn switch_node() -> Spec {
    let either = || field(Kind::Match { template: "switch", allowed: "*" }).lazy();
    let mut spec = Spec::new("ComfySwitchNode", "logic")
        .module("comfy_extras.nodes_logic", Style::V3)
        .input("switch", field(Kind::Bool { default: None }))
        .input("on_false", either())
        .input("on_true", either())
        .output_named("COMFY_MATCHTYPE_V3", "output");
    spec.outputs[0].template = Some("switch");
    spec
}

fn batch_images() -> Spec {
    let item = Field { name: "image".into(), ..link("IMAGE") };
    let images = Kind::Autogrow { item: Box::new(item), names: Vec::new(), prefix: "image", min: 2, max: 50 };
    Spec::new("BatchImagesNode", "image")
        .module("comfy_extras.nodes_post_processing", Style::V3)
        .input("images", field(images))
        .output("IMAGE")
}

fn resize() -> Spec {
    let by = Field { name: "multiplier".into(), ..float(1.0, 0.01..=8.0, 0.01) };
    let width = Field { name: "width".into(), group: Group::Required, ..int(512, 0..=16384, 1) };
    let choices = vec![("scale dimensions".into(), vec![width]), ("scale by multiplier".into(), vec![by])];
    Spec::new("ResizeImageMaskNode", "transform")
        .module("comfy_extras.nodes_post_processing", Style::V3)
        .input("input", field(Kind::Match { template: "input_type", allowed: "IMAGE,MASK" }))
        .input("resize_type", field(Kind::DynamicCombo { options: choices }))
        .output("IMAGE")
}

fn primitive_int() -> Spec {
    let limit = i128::from(i64::MAX);
    let kind = Kind::Int { default: None, range: -limit..=limit, step: None, control_after_generate: true };
    primitive("PrimitiveInt", field(kind)).output("INT")
}

fn primitive_boolean() -> Spec {
    primitive("PrimitiveBoolean", switch(false)).output("BOOLEAN")
}

fn primitive_string() -> Spec {
    let kind = Kind::Text { default: None, multiline: false, dynamic_prompts: false };
    primitive("PrimitiveString", field(kind)).output("STRING")
}

fn primitive(class: &'static str, value: Field) -> Spec {
    Spec::new(class, "utils/primitive").module("comfy_extras.nodes_primitive", Style::V3).input("value", value)
}

fn preview_any() -> Spec {
    Spec::new("PreviewAny", "utils").input("source", link("*")).output_node()
}

fn failing() -> Spec {
    let options = Options::List(vec!["now".into(), "hold".into()]);
    Spec::new("Failing", "_for_testing")
        .input("when", field(Kind::Combo { options, default: None }))
        .optional("after", link("*"))
        .output("IMAGE")
}

fn value(_: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    Ok(Outputs::values([Value::object(())]))
}

fn two_values(_: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    Ok(Outputs::values([Value::object(()), Value::object(())]))
}

fn pass(inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    Ok(Outputs::values([inputs.get("value").cloned().unwrap_or(Value::Null)]))
}

fn choose(inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    let branch = if inputs.bool("switch")? { "on_true" } else { "on_false" };
    Ok(Outputs::values([inputs.get(branch).cloned().unwrap_or(Value::Null)]))
}

/// A step for each step, with a small grey picture before it.
fn sample(inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
    let steps = inputs.count("steps")? as u64;
    for step in 0..steps {
        context.check()?;
        if context.observer.wants_previews() {
            let rgb = vec![128; 8 * 4 * 3];
            let node = context.node;
            context.observer.observe(vita_graph::Event::Preview { node, width: 8, height: 4, rgb: &rgb });
        }
        context.progress(step + 1, steps);
    }
    context.say("sampled");
    Ok(Outputs::values([Value::object(())]))
}

fn save_images(_: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    let image = json!({ "filename": "ComfyUI_00001_.png", "subfolder": "", "type": "output" });
    Ok(Outputs::default().with_ui(json!({ "images": [image] })))
}

fn save_videos(_: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    let video = json!({ "filename": "ComfyUI_00001_.mp4", "subfolder": "video", "type": "output" });
    Ok(Outputs::default().with_ui(json!({ "images": [video], "animated": [true] })))
}

fn show(inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    let shown = inputs.text("source").unwrap_or("?").to_owned();
    Ok(Outputs::default().with_ui(json!({ "text": [shown] })))
}

/// Fails, or holds until it is told to stop.
fn fail(inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
    while inputs.text("when")? == "hold" {
        context.check()?;
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Err(NodeError::Failed { kind: "ValueError", message: "as asked".into(), hint: Some("ask otherwise".into()) })
}
