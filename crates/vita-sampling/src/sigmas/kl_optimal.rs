//! `kl_optimal`: evenly spaced arctangents (Sabour et al., 2024, "Align your steps").

use super::ending_in_zero;
use crate::Flow;

pub fn levels(flow: &Flow, steps: usize) -> Vec<f32> {
    let [max, min] = [flow.sigma_max(), flow.sigma_min()].map(|sigma| f64::from(sigma).atan());
    ending_in_zero(
        (0..steps)
            .map(|i| f64::from(i as f32 / (steps - 1) as f32))
            .map(|share| (share * min + (1.0 - share) * max).tan() as f32),
    )
}
