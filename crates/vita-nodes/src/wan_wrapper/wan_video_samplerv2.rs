//! `WanVideoSamplerv2`: the second form of the sampler, with its schedule and its rarer settings beside it.

use super::fields::{force_offload, spec};
use super::sampling::sample;
use crate::prelude::*;

pub struct WanVideoSamplerv2;

impl Node for WanVideoSamplerv2 {
    fn spec(&self) -> Spec {
        let cfg =
            "How strongly the prompts lead, at every step or as a list. At 1 the negative prompt is not looked at.";
        spec("WanVideoSamplerv2", "WanVideo Sampler v2")
            .input("model", link("WANVIDEOMODEL").tooltip("The model that removes noise."))
            .input(
                "image_embeds",
                link("WANVIDIMAGE_EMBEDS").tooltip("The size of the video, and what it starts from."),
            )
            .input("cfg", float(6.0, 0.0..=30.0, 0.01).tooltip(cfg))
            .input("seed", whole(0, 0..=u64::MAX.into()).tooltip("Which noise is drawn."))
            .input("force_offload", force_offload())
            .input("scheduler", link("WANVIDEOSCHEDULER").tooltip("Noise levels, and how a step is taken."))
            .optional("text_embeds", link("WANVIDEOTEXTEMBEDS").tooltip("The prompts."))
            .optional("samples", link("LATENT").tooltip("A latent video to go on from, in place of noise."))
            .optional("add_noise_to_samples", switch(false).tooltip("On where `samples` have no noise of their own."))
            .optional("extra_args", link("WANVIDSAMPLEREXTRAARGS").tooltip("Rarer settings."))
            .output_named("LATENT", "samples")
            .output_named("LATENT", "denoised_samples")
            .describe("Makes a latent video by removing noise, led by prompts and pictures.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let mut all = inputs.clone();
        if let Some(extra) = inputs.optional::<Inputs>("extra_args")? {
            extra.names().for_each(|name| all.set(name, extra.list(name).to_vec()));
        }
        sample(&all, context)
    }
}
