//! `WanVideoSampler`: a latent video out of noise, as the wrapper does it.

use vita_graph::{Host, Refusal};

use super::fields::{force_offload, spec};
use super::sampling::{FOREIGN, refusals, sample, scheduler};
use crate::prelude::*;

pub struct WanVideoSampler;

impl Node for WanVideoSampler {
    fn spec(&self) -> Spec {
        fields(spec("WanVideoSampler", "WanVideo Sampler"))
            .output_named("LATENT", "samples")
            .output_named("LATENT", "denoised_samples")
            .describe("Makes a latent video by removing noise, led by prompts and pictures.")
    }

    /// The switch has no range and no list to check; the schedule's name is looked at once more.
    fn judges(&self) -> &'static [&'static str] {
        &["force_offload"]
    }

    fn refuse(&self, inputs: &Inputs, _: &dyn Host) -> Vec<Refusal> {
        refusals(inputs)
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        sample(inputs, context)
    }
}

/// Every input of the sampler, in the original's order.
pub fn fields(spec: Spec) -> Spec {
    let cfg = "How strongly the prompts lead, at every step or as a list. At 1 the negative prompt is not looked at.";
    let share = "Less than 1 runs only the end of the schedule, and keeps something of `samples`.";
    let cache = "Steps that may be left out.";
    let spec = spec
        .input("model", link("WANVIDEOMODEL").tooltip("The model that removes noise."))
        .input(
            "image_embeds",
            link("WANVIDIMAGE_EMBEDS").tooltip("The size of the video, and pictures it starts from."),
        )
        .input("steps", whole_from(30, 1).tooltip("Steps from noise to video."))
        .input("cfg", float(6.0, 0.0..=30.0, 0.01).tooltip(cfg))
        .input("shift", shift())
        .input("seed", whole(0, 0..=u64::MAX.into()).tooltip("Which noise is drawn."))
        .input("force_offload", force_offload())
        .input("scheduler", scheduler())
        .input("riflex_freq_index", riflex())
        .optional("text_embeds", link("WANVIDEOTEXTEMBEDS").tooltip("The prompts."))
        .optional("samples", link("LATENT").tooltip("A latent video to go on from, in place of noise."))
        .optional("denoise_strength", float(1.0, 0.0..=1.0, 0.01).tooltip(share))
        .optional("feta_args", link("FETAARGS"))
        .optional("context_options", link("WANVIDCONTEXT"))
        .optional("cache_args", link("CACHEARGS").tooltip(cache))
        .optional("flowedit_args", link("FLOWEDITARGS").tooltip("Is refused, as in the original."))
        .optional("batched_cfg", switch(false).tooltip("Has no meaning here: it changes no result."))
        .optional("slg_args", link("SLGARGS"))
        .optional("rope_function", rope_function())
        .optional("loop_args", link("LOOPARGS"))
        .optional("experimental_args", link("EXPERIMENTALARGS"))
        .optional("sigmas", link("SIGMAS").tooltip("Noise levels in place of the schedule's own."));
    FOREIGN
        .into_iter()
        .fold(spec, |spec, (name, kind, _)| spec.optional(name, link(kind).tooltip("Is refused: not built in.")))
        .optional("start_step", int(0, 0..=10_000, 1).tooltip("The first step that is run, from 0."))
        .optional("end_step", int(-1, -1..=10_000, 1).tooltip("The first step that is not run; -1 runs to the end."))
        .optional("add_noise_to_samples", switch(false).tooltip("On where `samples` have no noise of their own."))
}

/// The flow shift of a schedule.
pub fn shift() -> Field {
    float(5.0, 0.0..=1000.0, 0.01).tooltip("Larger spends more steps on the outlines.")
}

/// Longer videos without loops.
pub fn riflex() -> Field {
    int(0, 0..=1000, 1).tooltip("RIFLEx for longer videos: the frequency, from 1, that is slowed down so that a video does not begin anew; 0 is off.")
}

/// How positions are turned into numbers.
pub fn rope_function() -> Field {
    let field = combo(["default", "comfy", "comfy_chunked"]).default_choice("comfy");
    field.tooltip("Has no meaning here: every choice is the same rotation, computed exactly.")
}
