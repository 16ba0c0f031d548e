//! `WanVideoVRAMManagement`: where weights lie, accepted.

use super::data::Hint;
use super::fields::spec;
use crate::prelude::*;

pub struct WanVideoVRAMManagement;

impl Node for WanVideoVRAMManagement {
    fn spec(&self) -> Spec {
        let share = float(1.0, 0.0..=1.0, 0.01);
        spec("WanVideoVRAMManagement", "WanVideo VRAM Management")
            .input("offload_percent", share.tooltip("Has no meaning here: the program chooses where weights lie."))
            .output_named("VRAM_MANAGEMENTARGS", "vram_management_args")
            .describe("In the original, another way to keep weights in the computer's memory. It changes no result.")
    }

    fn run(&self, _: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::object(Hint))
    }
}
