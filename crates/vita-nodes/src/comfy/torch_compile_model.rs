//! `TorchCompileModel`: a setting of PyTorch's, accepted.

use crate::prelude::*;

pub struct TorchCompileModel;

impl Node for TorchCompileModel {
    fn spec(&self) -> Spec {
        let mut spec = Spec::new("TorchCompileModel", "_for_testing")
            .module("comfy_extras.nodes_torch_compile", Style::V3)
            .input("model", link("MODEL"))
            .input(
                "backend",
                combo(["inductor", "cudagraphs"]).tooltip("Has no meaning here: the program is compiled already."),
            )
            .output("MODEL")
            .describe("Passes the model on: there is nothing to compile.");
        spec.experimental = true;
        spec
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::Object(inputs.object::<Transformer>("model")?))
    }
}
