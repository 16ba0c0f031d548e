//! `WanVideoTinyVAELoader`: a small autoencoder, which is not built in.

use super::fields::{precision, spec};
use crate::prelude::*;

pub struct WanVideoTinyVAELoader;

impl Node for WanVideoTinyVAELoader {
    fn spec(&self) -> Spec {
        spec("WanVideoTinyVAELoader", "WanVideo Tiny VAE Loader")
            .input("model_name", files("vae_approx"))
            .optional("precision", precision(&["fp16", "fp32", "bf16"], "fp16"))
            .optional("parallel", switch(false).tooltip("Has no meaning here."))
            .output_named("WANVAE", "vae")
            .describe("In the original, a small autoencoder for quick looks. Not built in.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        Err(NodeError::Failed {
            kind: "NotImplementedError",
            message: format!("`{}` is a tiny autoencoder, which is not built in", inputs.text("model_name")?),
            hint: Some("load the whole autoencoder with WanVideoVAELoader".into()),
        })
    }
}
