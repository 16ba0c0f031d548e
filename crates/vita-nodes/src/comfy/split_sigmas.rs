//! `SplitSigmas`: the noise levels before and after a step.

use crate::prelude::*;

pub struct SplitSigmas;

impl Node for SplitSigmas {
    fn spec(&self) -> Spec {
        Spec::new("SplitSigmas", "sampling/custom_sampling/sigmas")
            .module("comfy_extras.nodes_custom_sampler", Style::V3)
            .input("sigmas", link("SIGMAS"))
            .input("step", whole(0, 0..=10_000).tooltip("The first step of the second part."))
            .output_named("SIGMAS", "high_sigmas")
            .output_named("SIGMAS", "low_sigmas")
            .describe("Cuts noise levels in two, for two samplers one after the other.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let Sigmas(sigmas) = &*inputs.object("sigmas")?;
        let step = inputs.count("step")?;
        let [high, low] = [&sigmas[..(step + 1).min(sigmas.len())], &sigmas[step.min(sigmas.len())..]];
        Ok(Outputs::values([high, low].map(|part| Sigmas(part.to_vec()).into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comfy::split_sigmas_denoise::SplitSigmasDenoise;
    use crate::testing::Bench;

    #[test]
    fn the_level_at_the_cut_is_in_both_parts() {
        let sigmas = Sigmas(vec![1.0, 0.75, 0.5, 0.25, 0.0]);
        for (step, high, low) in [(0, 1, 5), (2, 3, 3), (4, 5, 1), (9, 5, 0)] {
            let bench = Bench::new().with("sigmas", sigmas.clone()).with("step", Value::Int(step));
            let out = bench.run(&SplitSigmas).unwrap();
            assert_eq!([0, 1].map(|slot| out.object::<Sigmas>(slot).0.len()), [high, low], "{step}");
        }
        for (denoise, high, low) in [(1.0, 1, 5), (0.5, 3, 3), (0.1, 0, 1), (0.0, 0, 1)] {
            let bench = Bench::new().with("sigmas", sigmas.clone()).with("denoise", Value::Float(denoise));
            let out = bench.run(&SplitSigmasDenoise).unwrap();
            assert_eq!([0, 1].map(|slot| out.object::<Sigmas>(slot).0.len()), [high, low], "{denoise}");
        }
    }
}
