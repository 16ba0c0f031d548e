//! `VAELoader`: an autoencoder's file.

use crate::prelude::*;
use crate::studio::{PIXEL_SPACE, Studio, VAE_CHOICES};
use crate::work::node_error;

pub struct VAELoader;

impl Node for VAELoader {
    fn spec(&self) -> Spec {
        Spec::new("VAELoader", "loaders")
            .display("Load VAE")
            .input("vae_name", files(VAE_CHOICES))
            .output("VAE")
            .describe("Opens an autoencoder of Wan 2.1 or 2.2. Its weights are read when it is first used.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let name = inputs.text("vae_name")?;
        if name == PIXEL_SPACE {
            return Err(NodeError::Failed {
                kind: "ValueError",
                message: format!("`{PIXEL_SPACE}` is for models that work on pixels, and no Wan model does"),
                hint: Some("choose wan_2.1_vae.safetensors or wan2.2_vae.safetensors".into()),
            });
        }
        let path = context.host::<Studio>().model_file("vae", name)?;
        one(Value::object(Vae::open(path).map_err(node_error)?))
    }
}
