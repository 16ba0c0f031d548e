//! `WanVideoBlockSwap`: where weights lie.

use super::data::BlockSwap;
use super::fields::spec;
use crate::prelude::*;

pub struct WanVideoBlockSwap;

impl Node for WanVideoBlockSwap {
    fn spec(&self) -> Spec {
        let none = "Has no meaning here: the program chooses where these lie.";
        let blocks = "Blocks that wait in the computer's memory and come to the card each time they run, the next while \
            one computes. More of them do where room is short.";
        spec("WanVideoBlockSwap", "WanVideo BlockSwap")
            .input("blocks_to_swap", int(20, 0..=48, 1).tooltip(blocks))
            .input("offload_img_emb", switch(false).tooltip(none))
            .input("offload_txt_emb", switch(false).tooltip(none))
            .optional("use_non_blocking", switch(false).tooltip(none))
            .optional("vace_blocks_to_swap", int(0, 0..=15, 1).tooltip(none))
            .optional("prefetch_blocks", int(0, 0..=40, 1).tooltip(none))
            .optional("block_swap_debug", switch(false).tooltip(none))
            .output_named("BLOCKSWAPARGS", "block_swap_args")
            .describe("Which parts of a model lie in the computer's memory. It changes no result.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::object(BlockSwap { blocks: inputs.count("blocks_to_swap")? }))
    }
}
