//! `WanVideoRoPEFunction`: how positions are turned into numbers.

use super::fields::spec;
use super::wan_video_sampler::rope_function;
use crate::prelude::*;
use crate::work::not_yet;

pub struct WanVideoRoPEFunction;

const SCALES: [&str; 3] = ["ntk_scale_f", "ntk_scale_h", "ntk_scale_w"];

impl Node for WanVideoRoPEFunction {
    fn spec(&self) -> Spec {
        let scale = || float(1.0, 0.0..=100.0, 0.01).tooltip("Other than 1 is refused: not built in yet.");
        let spec = spec("WanVideoRoPEFunction", "WanVideo RoPE Function").input("rope_function", rope_function());
        let mut spec = SCALES
            .into_iter()
            .fold(spec, |spec, name| spec.input(name, scale()))
            .output_named("COMBO", "rope_function")
            .describe("Chooses how positions are turned into numbers. Every choice is the same rotation here.");
        spec.experimental = true;
        spec
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        for name in SCALES {
            if inputs.float(name)? != 1.0 {
                return Err(not_yet(&format!("positions on another scale (`{name}` other than 1)")));
            }
        }
        one(Value::text(inputs.text("rope_function")?))
    }
}
