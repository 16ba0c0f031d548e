//! `SplitSigmasDenoise`: the noise levels before and in the last share of the steps.

use crate::prelude::*;

pub struct SplitSigmasDenoise;

impl Node for SplitSigmasDenoise {
    fn spec(&self) -> Spec {
        Spec::new("SplitSigmasDenoise", "sampling/custom_sampling/sigmas")
            .module("comfy_extras.nodes_custom_sampler", Style::V3)
            .input("sigmas", link("SIGMAS"))
            .input("denoise", float(1.0, 0.0..=1.0, 0.01).tooltip("Share of the steps that the second part has."))
            .output_named("SIGMAS", "high_sigmas")
            .output_named("SIGMAS", "low_sigmas")
            .describe("Cuts noise levels in two by a share of the steps.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let Sigmas(sigmas) = &*inputs.object("sigmas")?;
        let steps = sigmas.len().saturating_sub(1);
        let last = (steps as f64 * inputs.float("denoise")?).round_ties_even() as usize;
        // As in ComfyUI: a second part without a step leaves nothing to the first either.
        let high = if last == 0 { 0 } else { sigmas.len() - last.min(sigmas.len()) };
        let low = sigmas.len() - (last + 1).min(sigmas.len());
        Ok(Outputs::values([&sigmas[..high], &sigmas[low..]].map(|part| Sigmas(part.to_vec()).into())))
    }
}
