//! `WanVideoBlockSwap`: where weights lie, accepted.

use super::data::Hint;
use super::fields::spec;
use crate::prelude::*;

pub struct WanVideoBlockSwap;

impl Node for WanVideoBlockSwap {
    fn spec(&self) -> Spec {
        let none = "Has no meaning here: the program chooses where weights lie.";
        spec("WanVideoBlockSwap", "WanVideo BlockSwap")
            .input("blocks_to_swap", int(20, 0..=48, 1).tooltip(none))
            .input("offload_img_emb", switch(false).tooltip(none))
            .input("offload_txt_emb", switch(false).tooltip(none))
            .optional("use_non_blocking", switch(false).tooltip(none))
            .optional("vace_blocks_to_swap", int(0, 0..=15, 1).tooltip(none))
            .optional("prefetch_blocks", int(0, 0..=40, 1).tooltip(none))
            .optional("block_swap_debug", switch(false).tooltip(none))
            .output_named("BLOCKSWAPARGS", "block_swap_args")
            .describe("In the original, parts of a model that lie in the computer's memory. It changes no result.")
    }

    fn run(&self, _: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::object(Hint))
    }
}
