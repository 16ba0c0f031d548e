//! `WanVideoSetBlockSwap`: where weights lie, accepted.

use super::fields::spec;
use crate::prelude::*;

pub struct WanVideoSetBlockSwap;

impl Node for WanVideoSetBlockSwap {
    fn spec(&self) -> Spec {
        let none = "Has no meaning here: the program chooses where weights lie.";
        spec("WanVideoSetBlockSwap", "WanVideo Set BlockSwap")
            .input("model", link("WANVIDEOMODEL"))
            .optional("block_swap_args", link("BLOCKSWAPARGS").tooltip(none))
            .output_named("WANVIDEOMODEL", "model")
            .describe("Passes the model on: the program chooses where weights lie.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::Object(inputs.object::<Transformer>("model")?))
    }
}
