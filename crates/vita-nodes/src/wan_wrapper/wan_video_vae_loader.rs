//! `WanVideoVAELoader`: an autoencoder's file.

use super::fields::{compile_args, precision, spec};
use crate::prelude::*;
use crate::studio::Studio;
use crate::work::node_error;

pub struct WanVideoVAELoader;

impl Node for WanVideoVAELoader {
    fn spec(&self) -> Spec {
        let cache = "Has no meaning here: the program chooses where it keeps what it needs.";
        spec("WanVideoVAELoader", "WanVideo VAE Loader")
            .input("model_name", files("vae").tooltip("An autoencoder of Wan 2.1 or 2.2."))
            .optional("precision", precision(&["fp16", "fp32", "bf16"], "bf16"))
            .optional("compile_args", compile_args())
            .optional("use_cpu_cache", switch(false).tooltip(cache))
            .optional("verbose", switch(false).tooltip("Has no meaning here."))
            .output_named("WANVAE", "vae")
            .describe("Opens an autoencoder of Wan 2.1 or 2.2. Its weights are read when it is first used.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let path = context.host::<Studio>().model_file("vae", inputs.text("model_name")?)?;
        one(Value::object(Vae::open(path).map_err(node_error)?))
    }
}
