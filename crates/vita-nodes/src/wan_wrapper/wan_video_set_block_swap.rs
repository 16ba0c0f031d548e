//! `WanVideoSetBlockSwap`: where a model's weights lie.

use super::data::BlockSwap;
use super::fields::spec;
use crate::prelude::*;

pub struct WanVideoSetBlockSwap;

impl Node for WanVideoSetBlockSwap {
    fn spec(&self) -> Spec {
        spec("WanVideoSetBlockSwap", "WanVideo Set BlockSwap")
            .input("model", link("WANVIDEOMODEL"))
            .optional("block_swap_args", link("BLOCKSWAPARGS").tooltip("Which blocks do not stay on a card."))
            .output_named("WANVIDEOMODEL", "model")
            .describe("Has some blocks of a model wait in the computer's memory.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let model = (*inputs.object::<Transformer>("model")?).clone();
        one(Value::object(BlockSwap::apply(model, inputs)?))
    }
}
