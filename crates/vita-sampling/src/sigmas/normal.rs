//! `normal` and `sgm_uniform`: evenly spaced timesteps between those of the highest and least level, each
//! shifted once more, as ComfyUI does.

use super::{ending_in_zero, linspace};
use crate::Flow;

/// Levels up to this count as 0.
const NEARLY_ZERO: f32 = 1e-5;

pub fn levels(flow: &Flow, steps: usize) -> Vec<f32> {
    // With a shift below 0.1 the least level is as good as 0, and nothing is added to it.
    let least = shifted(flow, 2).last().unwrap_or(0.0);
    if least <= NEARLY_ZERO {
        return shifted(flow, steps + 1).collect();
    }
    ending_in_zero(shifted(flow, steps))
}

/// One level more, of which the last is dropped.
pub fn sgm_uniform_levels(flow: &Flow, steps: usize) -> Vec<f32> {
    ending_in_zero(shifted(flow, steps + 1).take(steps))
}

fn shifted(flow: &Flow, count: usize) -> impl Iterator<Item = f32> {
    let ends = [flow.sigma_max(), flow.sigma_min()].map(|sigma| sigma * Flow::TIMESTEP_MAX);
    linspace(ends[0], ends[1], count).map(|timestep| flow.sigma(timestep / Flow::TIMESTEP_MAX))
}
