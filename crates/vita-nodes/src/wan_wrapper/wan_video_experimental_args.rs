//! `WanVideoExperimentalArgs`: what else may be done at each step.

use vita_pipeline::CfgZeroStar;

use super::data::Experiments;
use super::fields::spec;
use crate::prelude::*;
use crate::work::not_yet;

pub struct WanVideoExperimentalArgs;

/// Switches that are refused, and what they would do.
const REFUSED: [(&str, &str); 4] = [
    ("use_fresca", "FreSca (`use_fresca`)"),
    ("use_tcfg", "tangential damping (`use_tcfg`)"),
    ("bidirectional_sampling", "sampling from both ends (`bidirectional_sampling`)"),
    ("temporal_score_rescaling", "temporal score rescaling (`temporal_score_rescaling`)"),
];

impl Node for WanVideoExperimentalArgs {
    fn spec(&self) -> Spec {
        let not = "Is refused when it is on: not built in yet.";
        let part = "Of what is not built in yet.";
        let scale = |default| float(default, 0.0..=10.0, 0.01).tooltip(part);
        let split = "Steps at which several prompts are kept apart; refused, not built in yet.";
        let star = "Scales the negative answer to fit the prompt's (CFG-Zero*).";
        let zero = "With `cfg_zero_star`, the first steps do not move at all.";
        let mut spec = spec("WanVideoExperimentalArgs", "WanVideo Experimental Args")
            .input("video_attention_split_steps", text("").tooltip(split))
            .input("cfg_zero_star", switch(false).tooltip(star))
            .input("use_zero_init", switch(false).tooltip(zero))
            .input("zero_star_steps", whole_from(0, 0).tooltip("The last of these steps, from 0."))
            .input("use_fresca", switch(false).tooltip(not))
            .input("fresca_scale_low", scale(1.0))
            .input("fresca_scale_high", scale(1.25))
            .input("fresca_freq_cutoff", int(20, 0..=10_000, 1).tooltip(part))
            .input("use_tcfg", switch(false).tooltip(not))
            .input("raag_alpha", float(0.0, 0.0..=10.0, 0.01).tooltip("Above 0 is refused: not built in yet."))
            .input("bidirectional_sampling", switch(false).tooltip(not))
            .input("temporal_score_rescaling", switch(false).tooltip(not))
            .input("tsr_k", float(0.95, 0.0..=100.0, 0.01).tooltip(part))
            .input("tsr_sigma", float(1.0, 0.0..=1.0, 0.01).tooltip(part))
            .output_named("EXPERIMENTALARGS", "exp_args")
            .describe("Guidance as in CFG-Zero*. The other experiments of the original are not built in yet.");
        spec.experimental = true;
        spec
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        for (name, what) in REFUSED {
            if inputs.bool(name)? {
                return Err(not_yet(what));
            }
        }
        if !inputs.text("video_attention_split_steps")?.trim().is_empty() {
            return Err(not_yet("several prompts (`video_attention_split_steps`)"));
        }
        if inputs.float("raag_alpha")? > 0.0 {
            return Err(not_yet("RAAG (`raag_alpha` above 0)"));
        }
        let zero_steps = if inputs.bool("use_zero_init")? { inputs.count("zero_star_steps")? + 1 } else { 0 };
        let cfg_zero_star = inputs.bool("cfg_zero_star")?.then_some(CfgZeroStar { zero_steps });
        one(Value::object(Experiments { cfg_zero_star }))
    }
}
