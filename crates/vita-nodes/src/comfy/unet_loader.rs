//! `UNETLoader`: a transformer's file.

use vita_pipeline::Precision;

use crate::prelude::*;
use crate::studio::Studio;
use crate::work::node_error;

pub struct UNETLoader;

const WEIGHTS: &str = "Weights stay as the file has them, which is no worse. `fp8_e4m3fn_fast` multiplies weights that are \
    fp8 in 8 bits, on cards that can.";

impl Node for UNETLoader {
    fn spec(&self) -> Spec {
        let dtype = combo(["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"]);
        Spec::new("UNETLoader", "advanced/loaders")
            .display("Load Diffusion Model")
            .input("unet_name", files("diffusion_models"))
            .input("weight_dtype", dtype.tooltip(WEIGHTS))
            .output("MODEL")
            .describe("Opens a Wan transformer. Its weights are read when it is first used.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let path = context.host::<Studio>().model_file("diffusion_models", inputs.text("unet_name")?)?;
        let model = Transformer::open(path).map_err(node_error)?;
        let fp8_products = inputs.text("weight_dtype")? == "fp8_e4m3fn_fast";
        one(Value::object(model.patched(|patches| patches.precision = Precision { fp8_products, ..patches.precision })))
    }
}
