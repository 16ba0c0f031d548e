//! `WanVideoSLG`: blocks that are left out of the negative answer.

use super::fields::spec;
use crate::prelude::*;
use crate::work::not_yet;

pub struct WanVideoSLG;

impl Node for WanVideoSLG {
    fn spec(&self) -> Spec {
        let share = |default, tooltip| float(default, 0.0..=1.0, 0.01).tooltip(tooltip);
        spec("WanVideoSLG", "WanVideo SLG")
            .input("blocks", text("10").tooltip("Numbers of blocks from 0, separated by commas."))
            .input("start_percent", share(0.1, "Share of the steps after which it begins."))
            .input("end_percent", share(1.0, "Share of the steps after which it ends."))
            .output_named("SLGARGS", "slg_args")
            .describe("Leads away from what the model makes when some blocks are left out. Not built in yet.")
    }

    fn run(&self, _: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        Err(not_yet("skip-layer guidance (`slg_args`)"))
    }
}
