//! `normal` and `sgm_uniform`: evenly spaced timesteps between those of the highest and least level, each
//! shifted once more, as ComfyUI does.

use super::{ending_in_zero, linspace};
use crate::Flow;

pub fn levels(flow: &Flow, steps: usize) -> Vec<f32> {
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
