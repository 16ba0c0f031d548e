//! `WanVideoTorchCompileSettings`: settings of PyTorch's compiler, accepted.

use super::data::Hint;
use super::fields::spec;
use crate::prelude::*;

pub struct WanVideoTorchCompileSettings;

impl Node for WanVideoTorchCompileSettings {
    fn spec(&self) -> Spec {
        let none = "Has no meaning here: the program is compiled already.";
        let modes = ["default", "max-autotune", "max-autotune-no-cudagraphs", "reduce-overhead"];
        spec("WanVideoTorchCompileSettings", "WanVideo Torch Compile Settings")
            .input("backend", combo(["inductor", "cudagraphs"]).default_choice("inductor").tooltip(none))
            .input("fullgraph", switch(false).tooltip(none))
            .input("mode", combo(modes).default_choice("default").tooltip(none))
            .input("dynamic", switch(false).tooltip(none))
            .input("dynamo_cache_size_limit", int(64, 0..=1024, 1).tooltip(none))
            .input("compile_transformer_blocks_only", switch(true).tooltip(none))
            .optional("dynamo_recompile_limit", int(128, 0..=1024, 1).tooltip(none))
            .optional("force_parameter_static_shapes", switch(false).tooltip(none))
            .optional("allow_unmerged_lora_compile", switch(false).tooltip(none))
            .output_named("WANCOMPILEARGS", "torch_compile_args")
            .describe("In the original, how PyTorch compiles a model. It changes no result.")
    }

    fn run(&self, _: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::object(Hint))
    }
}
