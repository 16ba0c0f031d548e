//! `WanVideoSchedulerv2`: a schedule for the second form of the sampler.

use vita_graph::{Host, Refusal};

use super::fields::spec;
use super::sampling::{refusals, schedule_fields, schedule_of};
use crate::prelude::*;

pub struct WanVideoSchedulerv2;

impl Node for WanVideoSchedulerv2 {
    fn spec(&self) -> Spec {
        let mut spec = schedule_fields(spec("WanVideoSchedulerv2", "WanVideo Scheduler v2"))
            .output_named("WANVIDEOSCHEDULER", "scheduler")
            .describe("Chooses noise levels and how a step is taken.");
        spec.experimental = true;
        spec
    }

    /// The switch has no range and no list to check; the schedule's name is looked at once more.
    fn judges(&self) -> &'static [&'static str] {
        &["enhance_hf"]
    }

    fn refuse(&self, inputs: &Inputs, _: &dyn Host) -> Vec<Refusal> {
        refusals(inputs)
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::object(schedule_of(inputs)?))
    }
}
