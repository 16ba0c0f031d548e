//! `UnetLoaderGGUF`: a transformer's file in GGUF.

use super::spec;
use crate::prelude::*;
use crate::studio::{GGUF_CHOICES, Studio};
use crate::work::node_error;

pub struct UnetLoaderGGUF;

impl Node for UnetLoaderGGUF {
    fn spec(&self) -> Spec {
        spec("UnetLoaderGGUF", "Unet Loader (GGUF)")
            .input("unet_name", files(GGUF_CHOICES))
            .output("MODEL")
            .describe("Opens a Wan transformer in GGUF. Its blocks stay quantised; they are widened as they are used.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        load(inputs, context)
    }
}

/// The transformer of `unet_name`.
///
/// # Errors
/// If there is no such file, or it is none.
pub fn load(inputs: &Inputs, context: &Context<'_>) -> Result<Outputs, NodeError> {
    let path = context.host::<Studio>().model_file("diffusion_models", inputs.text("unet_name")?)?;
    one(Value::object(Transformer::open(path).map_err(node_error)?))
}
