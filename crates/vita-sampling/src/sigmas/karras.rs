//! `karras`: evenly spaced seventh roots (Karras et al., 2022, equation 5).

use super::{ending_in_zero, linspace};
use crate::Flow;

const RHO: f64 = 7.0;

pub fn levels(flow: &Flow, steps: usize) -> Vec<f32> {
    let [max, min] = [flow.sigma_max(), flow.sigma_min()].map(|sigma| f64::from(sigma).powf(1.0 / RHO));
    ending_in_zero(
        linspace(0.0, 1.0, steps).map(|ramp| f64::from(max as f32 + ramp * (min - max) as f32).powf(RHO) as f32),
    )
}
