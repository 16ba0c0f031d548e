//! `WanVideoModelLoader`: a transformer's file.

use vita_pipeline::{AttentionMode, Precision};

use super::data::BlockSwap;
use super::fields::{compile_args, device, precision, spec};
use super::loras::apply;
use crate::prelude::*;
use crate::studio::Studio;
use crate::work::{node_error, not_yet};

pub struct WanVideoModelLoader;

const QUANTIZATIONS: [&str; 9] = [
    "disabled",
    "fp8_e4m3fn",
    "fp8_e4m3fn_fast",
    "fp8_e4m3fn_scaled",
    "fp8_e4m3fn_scaled_fast",
    "fp8_e5m2",
    "fp8_e5m2_fast",
    "fp8_e5m2_scaled",
    "fp8_e5m2_scaled_fast",
];

const ATTENTIONS: [&str; 9] = [
    "sdpa",
    "flash_attn_2",
    "flash_attn_3",
    "sageattn",
    "sageattn_3",
    "radial_sage_attention",
    "sageattn_compiled",
    "sageattn_ultravico",
    "comfy",
];

/// Networks beside the transformer's own, by their inputs: type and whose they are.
const FURTHER: [(&str, &str, &str); 4] = [
    ("extra_model", "VACEPATH", "a further model"),
    ("fantasytalking_model", "FANTASYTALKINGMODEL", "FantasyTalking"),
    ("multitalk_model", "MULTITALKMODEL", "MultiTalk"),
    ("fantasyportrait_model", "FANTASYPORTRAITMODEL", "FantasyPortrait"),
];

impl Node for WanVideoModelLoader {
    fn spec(&self) -> Spec {
        let weights = "Weights stay as the file has them, which is no worse: a file in fp8 takes less memory. `_fast` \
            multiplies weights that are e4m3 in 8 bits, on cards that can.";
        let attention = "`sageattn`, `sageattn_compiled` and `sageattn_3` attend in 8 bits on a card. All others, and all \
            on the processor, are exact attention.";
        let block_swap = "Which blocks do not stay on a card.";
        let management = "Has no meaning here: the program chooses where weights lie.";
        let mut spec = spec("WanVideoModelLoader", "WanVideo Model Loader")
            .input("model", files("diffusion_models").tooltip("A Wan transformer; GGUF files too."))
            .input("base_precision", precision(&["fp32", "bf16", "fp16", "fp16_fast"], "bf16"))
            .input("quantization", combo(QUANTIZATIONS).tooltip(weights))
            .input("load_device", device("offload_device"))
            .optional("attention_mode", combo(ATTENTIONS).tooltip(attention))
            .optional("compile_args", compile_args())
            .optional("block_swap_args", link("BLOCKSWAPARGS").tooltip(block_swap))
            .optional("lora", link("WANVIDLORA").tooltip("LoRAs upon the model.").extra("default", ()))
            .optional("vram_management_args", link("VRAM_MANAGEMENTARGS").tooltip(management).extra("default", ()));
        for (name, kind, _) in FURTHER {
            spec = spec.optional(name, link(kind).tooltip("Is refused: models of this kind are not built in."));
        }
        let norm = combo(["default", "pytorch"]).tooltip("Has no meaning here: both are the same sum.");
        spec.optional("rms_norm_function", norm)
            .output_named("WANVIDEOMODEL", "model")
            .describe("Opens a Wan transformer. Its weights are read when it is first used.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        if let Some((name, _, what)) = FURTHER.into_iter().find(|(name, ..)| inputs.has(name)) {
            return Err(not_yet(&format!("{what} (`{name}`)")));
        }
        let path = context.host::<Studio>().model_file("diffusion_models", inputs.text("model")?)?;
        let model = Transformer::open(path).map_err(node_error)?;
        let model = model.patched(|patches| patches.precision = precision_of(inputs));
        one(Value::object(BlockSwap::apply(apply(model, inputs)?, inputs)?))
    }
}

fn precision_of(inputs: &Inputs) -> Precision {
    let chosen = |name: &str| inputs.text(name).unwrap_or_default().to_owned();
    let attention = match chosen("attention_mode").as_str() {
        "sageattn" | "sageattn_compiled" | "sageattn_3" => AttentionMode::Fp8,
        _ => AttentionMode::Bf16,
    };
    let quantization = chosen("quantization");
    Precision { attention, fp8_products: quantization.contains("e4m3fn") && quantization.ends_with("_fast") }
}
