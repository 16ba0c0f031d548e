//! `WanVideoScheduler`: a schedule, made apart from the sampler.

use vita_graph::{Host, Refusal};

use super::fields::spec;
use super::sampling::{refusals, schedule_fields, schedule_of};
use crate::prelude::*;

pub struct WanVideoScheduler;

impl Node for WanVideoScheduler {
    fn spec(&self) -> Spec {
        let mut spec = schedule_fields(spec("WanVideoScheduler", "WanVideo Scheduler"))
            .output_named("SIGMAS", "sigmas")
            .output_named("INT", "steps")
            .output_named("FLOAT", "shift")
            .output_named("COMBO", "scheduler")
            .output_named("INT", "start_step")
            .output_named("INT", "end_step")
            .describe("Chooses noise levels and how a step is taken, for one or several samplers.");
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
        let schedule = Value::object(schedule_of(inputs)?);
        let same = |name| inputs.get(name).cloned().unwrap_or(Value::Null);
        let slots = [same("sigmas"), same("steps"), same("shift"), schedule, same("start_step"), same("end_step")];
        Ok(Outputs::values(slots))
    }
}
