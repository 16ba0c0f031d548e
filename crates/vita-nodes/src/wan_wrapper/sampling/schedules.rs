//! Schedules by name, and by the widgets of the nodes that choose one.

use vita_graph::{Field, Hidden, Inputs, NodeError, Refusal, Spec, combo, float, link, switch};
use vita_pipeline::WrapperSchedule;
use vita_sampling::{WRAPPER_SCHEDULERS, WrapperScheduler};

use super::{OrElse, Sigmas};
use crate::prelude::whole_from;
use crate::work::not_yet;

/// Every name of the original's list, in its order. Those of models that are not built in are refused.
const SCHEDULERS: [&str; 21] = [
    "unipc",
    "unipc/beta",
    "dpm++",
    "dpm++/beta",
    "dpm++_sde",
    "dpm++_sde/beta",
    "euler",
    "euler/beta",
    "longcat_distill_euler",
    "deis",
    "lcm",
    "lcm/beta",
    "res_multistep",
    "er_sde",
    "flowmatch_causvid",
    "flowmatch_distill",
    "flowmatch_pusa",
    "multitalk",
    "sa_ode_stable",
    "rcm",
    "vibt_unipc",
];

/// The choice of a schedule and its solver.
pub fn scheduler() -> Field {
    let field = combo(SCHEDULERS).default_choice("unipc");
    field.tooltip(
        "Noise levels and how a step is taken. flowmatch_pusa and multitalk are for models that are not built in.",
    )
}

/// The inputs of the nodes that make a schedule.
pub fn schedule_fields(spec: Spec) -> Spec {
    spec.input("scheduler", scheduler())
        .input("steps", whole_from(30, 1).tooltip("Steps from noise to video."))
        .input("shift", float(5.0, 0.0..=1000.0, 0.01).tooltip("Larger spends more steps on the outlines."))
        .input("start_step", whole_from(0, 0).tooltip("The first step that is run, from 0."))
        .input("end_step", whole_from(-1, -1).tooltip("The first step that is not run; -1 runs to the end."))
        .optional("sigmas", link("SIGMAS").tooltip("Noise levels in place of the schedule's own."))
        .optional("enhance_hf", switch(false).tooltip("More steps for detail; refused when on, not built in yet."))
        .hidden(Hidden::UniqueId)
}

/// The schedule of such a node.
///
/// # Errors
/// What is not built in, or an input of another type.
pub fn schedule_of(inputs: &Inputs) -> Result<WrapperSchedule, NodeError> {
    match inputs.bool_or("enhance_hf", false)? {
        true => Err(not_yet("more steps for detail (`enhance_hf`)")),
        false => of_widgets(inputs),
    }
}

/// Why a chosen schedule cannot be run, if it is one of the list.
pub fn refusals(inputs: &Inputs) -> Vec<Refusal> {
    let Ok(name) = inputs.text("scheduler") else { return Vec::new() };
    if !SCHEDULERS.contains(&name) || WrapperScheduler::named(name).is_ok() {
        return Vec::new();
    }
    let known: Vec<&str> = WRAPPER_SCHEDULERS.iter().map(|scheduler| scheduler.name).collect();
    let reason = format!("the scheduler `{name}` is not built in; choose one of {}", known.join(", "));
    vec![Refusal { input: "scheduler".into(), reason: Some(reason) }]
}

/// The schedule that widgets choose: `scheduler`, `steps`, `shift`, and what may be left out of the others.
///
/// # Errors
/// If an input is of another type.
pub fn of_widgets(inputs: &Inputs) -> Result<WrapperSchedule, NodeError> {
    Ok(WrapperSchedule {
        sigmas: inputs.optional::<Sigmas>("sigmas")?.map(|sigmas| sigmas.0.clone()),
        start_step: inputs.int_or("start_step", 0)?.max(0) as usize,
        end_step: usize::try_from(inputs.int_or("end_step", -1)?).ok(),
        ..WrapperSchedule::new(inputs.text("scheduler")?, inputs.count("steps")?, inputs.float("shift")?)
    })
}

#[cfg(test)]
mod tests {
    use vita_graph::Value;

    use super::*;

    #[test]
    fn every_schedule_runs_or_is_refused() {
        let refused: Vec<&str> = SCHEDULERS
            .into_iter()
            .filter(|name| {
                let mut inputs = Inputs::default();
                inputs.set("scheduler", vec![Value::text(*name)]);
                !refusals(&inputs).is_empty()
            })
            .collect();
        assert_eq!(refused, ["flowmatch_pusa", "multitalk"]);
        assert!(WRAPPER_SCHEDULERS.iter().all(|known| SCHEDULERS.contains(&known.name)));
    }
}
