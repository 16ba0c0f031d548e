//! `CLIPLoader`: a text encoder's file.

use crate::prelude::*;
use crate::studio::Studio;
use crate::work::node_error;

pub struct CLIPLoader;

const TYPES: [&str; 18] = [
    "stable_diffusion",
    "stable_cascade",
    "sd3",
    "stable_audio",
    "mochi",
    "ltxv",
    "pixart",
    "cosmos",
    "lumina2",
    "wan",
    "hidream",
    "chroma",
    "ace",
    "omnigen2",
    "qwen_image",
    "hunyuan_image",
    "flux2",
    "ovis",
];

impl Node for CLIPLoader {
    fn spec(&self) -> Spec {
        let device = combo(["default", "cpu"]).advanced();
        Spec::new("CLIPLoader", "advanced/loaders")
            .display("Load CLIP")
            .input("clip_name", files("text_encoders"))
            .input("type", text_encoder_type())
            .optional("device", device.tooltip("The program chooses where it runs."))
            .output("CLIP")
            .describe("Opens the UMT5 text encoder of Wan. Its weights are read when it is first used.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        load_text_encoder(inputs, context)
    }
}

/// What a text encoder is used for.
pub fn text_encoder_type() -> Field {
    combo(TYPES).tooltip("`wan`: what it is used for. The others are of other systems.")
}

/// The text encoder of `clip_name`, if `type` is Wan's.
///
/// # Errors
/// If it is of another type, or there is no such file, or it is none.
pub fn load_text_encoder(inputs: &Inputs, context: &Context<'_>) -> Result<Outputs, NodeError> {
    let kind = inputs.text("type")?;
    if kind != "wan" {
        return Err(NodeError::Failed {
            kind: "ValueError",
            message: format!("text encoders of the type `{kind}` are of another system than Wan"),
            hint: Some("choose the type `wan`".into()),
        });
    }
    let path = context.host::<Studio>().model_file("text_encoders", inputs.text("clip_name")?)?;
    one(Value::object(TextEncoder::open(path).map_err(node_error)?))
}
