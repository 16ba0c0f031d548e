//! `linear_quadratic`: the first half in small even steps, the second half ever larger (Movie Gen, 2024).

use crate::Flow;

/// How far the even steps go.
const THRESHOLD: f64 = 0.025;

pub fn levels(flow: &Flow, steps: usize) -> Vec<f32> {
    if steps == 1 {
        return vec![1.0, 0.0];
    }
    let linear_steps = (steps / 2) as f64;
    let quadratic_steps = steps as f64 - linear_steps;
    let difference = linear_steps - THRESHOLD * steps as f64;
    let quadratic = difference / (linear_steps * quadratic_steps * quadratic_steps);
    let linear = THRESHOLD / linear_steps - 2.0 * difference / (quadratic_steps * quadratic_steps);
    let constant = quadratic * linear_steps * linear_steps;
    let gone = |i: f64| match i < linear_steps {
        true => i * THRESHOLD / linear_steps,
        false => quadratic * i * i + linear * i + constant,
    };
    let levels = (0..steps).map(|i| gone(i as f64)).chain([1.0]);
    levels.map(|gone| (1.0 - gone) as f32 * flow.sigma_max()).collect()
}
