//! `WanVideoSLG`: blocks that are left out of the negative answer.

use vita_pipeline::{SkipInNegative, Span};

use super::fields::spec;
use crate::layers::block_numbers;
use crate::prelude::*;

pub struct WanVideoSLG;

impl Node for WanVideoSLG {
    fn spec(&self) -> Spec {
        let share = |default, tooltip| float(default, 0.0..=1.0, 0.01).tooltip(tooltip);
        spec("WanVideoSLG", "WanVideo SLG")
            .input("blocks", text("10").tooltip("Numbers of blocks from 0, separated by commas."))
            .input("start_percent", share(0.1, "Share of the steps after which it begins."))
            .input("end_percent", share(1.0, "Share of the steps after which it ends."))
            .output_named("SLGARGS", "slg_args")
            .describe("Leads away from what the model makes of the negative prompt when some blocks are left out.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let span = Span { start: inputs.float("start_percent")?, end: inputs.float("end_percent")? };
        one(Value::object(SkipInNegative { blocks: block_numbers(inputs.text("blocks")?), span }))
    }
}
