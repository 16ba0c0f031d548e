//! What the nodes of the wrapper have in common: their names on the page, inputs that many have, and inputs that may
//! be left out.

use vita_graph::{Context, Field, InputError, Inputs, NodeError, Spec, Style, combo, int, link, switch};
use vita_pipeline::Residency;

use crate::studio::Studio;

/// Where the page lists them, and what counts them as.
pub const CATEGORY: &str = "WanVideoWrapper";

/// A node of the wrapper.
pub fn spec(class: &'static str, name: &'static str) -> Spec {
    Spec::new(class, CATEGORY).module("custom_nodes.ComfyUI-WanVideoWrapper", Style::V1).display(name)
}

/// Two places for weights. The program has its own mind.
pub fn device(default: &str) -> Field {
    let field = combo(["main_device", "offload_device"]).default_choice(default);
    field.tooltip("Has no meaning here: the program chooses where weights lie.")
}

/// Where a text encoder runs.
pub fn processor() -> Field {
    combo(["gpu", "cpu"]).tooltip("Has no meaning here: the program chooses where it runs.")
}

/// How exactly numbers are kept.
pub fn precision(choices: &[&str], default: &str) -> Field {
    let field = combo(choices).default_choice(default);
    field.tooltip("Has no meaning here: weights stay as the file has them and are computed with as exactly as fits.")
}

/// Whether weights are put away after use.
pub fn force_offload() -> Field {
    switch(true).tooltip("On a card: whether weights leave it after use. Otherwise they make room when room is needed.")
}

/// Has networks leave the card after use, if that is asked for.
///
/// # Errors
/// If the input is no switch.
pub fn offload(inputs: &Inputs, context: &mut Context<'_>, leave: impl FnOnce(&Residency)) -> Result<(), NodeError> {
    if inputs.bool_or("force_offload", true)? {
        leave(&context.host::<Studio>().residency);
    }
    Ok(())
}

/// Weights in fewer bits.
pub fn text_quantization() -> Field {
    let field = combo(["disabled", "fp8_e4m3fn"]);
    field.tooltip("Weights stay as the file has them, which is no worse: a smaller file takes less memory.")
}

/// How a program is compiled.
pub fn compile_args() -> Field {
    link("WANCOMPILEARGS").tooltip("Has no meaning here: the program is compiled already.")
}

/// Text that is kept on disk.
pub fn disk_cache(default: bool) -> Field {
    switch(default).tooltip("Has no meaning here: prompts that have not changed are not encoded again.")
}

/// A model that makes room.
pub fn model_to_offload() -> Field {
    link("WANVIDEOMODEL").tooltip("Has no meaning here but for the order: this node comes after that model's.")
}

/// A side of the video, in pixels.
pub fn side(default: i128) -> Field {
    int(default, 64..=8096, 8).tooltip("Pixels; multiples of 16 are kept as they are.")
}

/// Frames of the video.
pub fn frames() -> Field {
    int(81, 1..=10_000, 4).tooltip("Frames; four and one more make whole latent frames.")
}

/// Optional inputs, with what stands for one that is left out.
pub trait OrElse {
    fn bool_or(&self, name: &str, otherwise: bool) -> Result<bool, InputError>;
    fn int_or(&self, name: &str, otherwise: i128) -> Result<i128, InputError>;
    fn float_or(&self, name: &str, otherwise: f64) -> Result<f64, InputError>;
    fn text_or<'a>(&'a self, name: &str, otherwise: &'a str) -> Result<&'a str, InputError>;
}

impl OrElse for Inputs {
    fn bool_or(&self, name: &str, otherwise: bool) -> Result<bool, InputError> {
        if self.has(name) { self.bool(name) } else { Ok(otherwise) }
    }

    fn int_or(&self, name: &str, otherwise: i128) -> Result<i128, InputError> {
        if self.has(name) { self.int(name) } else { Ok(otherwise) }
    }

    fn float_or(&self, name: &str, otherwise: f64) -> Result<f64, InputError> {
        if self.has(name) { self.float(name) } else { Ok(otherwise) }
    }

    fn text_or<'a>(&'a self, name: &str, otherwise: &'a str) -> Result<&'a str, InputError> {
        if self.has(name) { self.text(name) } else { Ok(otherwise) }
    }
}
