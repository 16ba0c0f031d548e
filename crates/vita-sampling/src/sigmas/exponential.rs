//! `exponential`: evenly spaced logarithms.

use super::{ending_in_zero, linspace};
use crate::Flow;

pub fn levels(flow: &Flow, steps: usize) -> Vec<f32> {
    let [max, min] = [flow.sigma_max(), flow.sigma_min()].map(|sigma| f64::from(sigma).ln() as f32);
    ending_in_zero(linspace(max, min, steps).map(|log| f64::from(log).exp() as f32))
}
