//! `BasicScheduler`: noise levels of a schedule by name.

use vita_pipeline::basic_schedule;

use crate::prelude::*;
use crate::samplers::schedulers;
use crate::work::node_error;

pub struct BasicScheduler;

impl Node for BasicScheduler {
    fn spec(&self) -> Spec {
        Spec::new("BasicScheduler", "sampling/custom_sampling/schedulers")
            .module("comfy_extras.nodes_custom_sampler", Style::V3)
            .input("model", link("MODEL").tooltip("Whose shift counts."))
            .input("scheduler", combo(schedulers()))
            .input("steps", whole(20, 1..=10_000))
            .input(
                "denoise",
                float(1.0, 0.0..=1.0, 0.01).tooltip("Share of a longer schedule that is run, from its end."),
            )
            .output("SIGMAS")
            .describe("The noise levels of a schedule.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let model = inputs.object::<Transformer>("model")?;
        let (scheduler, steps) = (inputs.text("scheduler")?, inputs.count("steps")?);
        one(Sigmas(basic_schedule(&model, scheduler, steps, inputs.float("denoise")?).map_err(node_error)?))
    }
}
