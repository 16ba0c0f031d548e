//! `UnetLoaderGGUFAdvanced`: a transformer's file in GGUF, with settings of PyTorch's.

use super::spec;
use super::unet_loader_gguf::load;
use crate::prelude::*;
use crate::studio::GGUF_CHOICES;

pub struct UnetLoaderGGUFAdvanced;

impl Node for UnetLoaderGGUFAdvanced {
    fn spec(&self) -> Spec {
        let dtype = || {
            let choices = combo(["default", "target", "float32", "float16", "bfloat16"]);
            choices.default_choice("default").tooltip("Has no meaning here: numbers are widened as exactly as fits.")
        };
        spec("UnetLoaderGGUFAdvanced", "Unet Loader (GGUF/Advanced)")
            .input("unet_name", files(GGUF_CHOICES))
            .input("dequant_dtype", dtype())
            .input("patch_dtype", dtype())
            .input("patch_on_device", switch(false).tooltip("Has no meaning here."))
            .output("MODEL")
            .describe("Opens a Wan transformer in GGUF. Its blocks stay quantised; they are widened as they are used.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        load(inputs, context)
    }
}
