//! `deis`: exponential integrator with Lagrange polynomials through up to three directions (Zhang and Chen,
//! 2022), integrated over the time of a variance-preserving diffusion.

use vita_tensor::Tensor;

use super::{Stop, Walk, euler};
use crate::arithmetic::{combine_slice, direction};

const ORDER_MAX: usize = 3;

/// Points of an integral's sum.
const POINTS: usize = 10_000;

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let time = Time::new();
    let times: Vec<f64> = walk.sigmas.iter().map(|&sigma| time.of(sigma.into())).collect();
    // The latest first.
    let mut directions: Vec<Tensor> = Vec::new();
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        directions.insert(0, direction(&x, &denoised, sigma));
        directions.truncate(ORDER_MAX);
        x = if next <= 0.0 || directions.len() == 1 {
            euler::step(&x, &directions[0], sigma, next)
        } else {
            let known: Vec<f64> = (0..directions.len()).map(|back| times[i - back]).collect();
            let factors = time.factors(times[i], times[i + 1], &known);
            let terms: Vec<(f64, &Tensor)> = factors.into_iter().zip(&directions).collect();
            combine_slice(&[&[(1.0, &x)], &terms[..]].concat())
        };
    }
    Ok(x)
}

/// Time of a variance-preserving diffusion whose noise grows linearly from `beta_min` by `beta_gain`.
struct Time {
    beta_min: f64,
    beta_gain: f64,
}

impl Time {
    /// The diffusion that spans levels 0.002 at time 0.001 to 80 at time 1 (Karras et al., 2022).
    fn new() -> Self {
        const TIME_MIN: f64 = 1e-3;
        let [low, high] = [0.002f64, 80.0].map(|sigma| (sigma * sigma + 1.0).ln());
        let beta_gain = 2.0 * (low / TIME_MIN - high) / (TIME_MIN - 1.0);
        Self { beta_min: high - 0.5 * beta_gain, beta_gain }
    }

    fn of(&self, sigma: f64) -> f64 {
        let log = (sigma * sigma + 1.0).ln();
        ((self.beta_min * self.beta_min + 2.0 * self.beta_gain * log).sqrt() - self.beta_min) / self.beta_gain
    }

    /// What each known direction contributes to a step from one time to another: the integral of its polynomial.
    fn factors(&self, from: f64, to: f64, known: &[f64]) -> Vec<f64> {
        let width = (to - from) / POINTS as f64;
        let mut sums = vec![0.0; known.len()];
        for point in 0..POINTS {
            let time = from + (to - from) * point as f64 / (POINTS - 1) as f64;
            let weight = self.weight(time) * width;
            for (j, sum) in sums.iter_mut().enumerate() {
                let others = known.iter().enumerate().filter(|&(k, _)| k != j);
                *sum += weight * others.map(|(_, other)| (time - other) / (known[j] - other)).product::<f64>();
            }
        }
        sums
    }

    /// `-1/2 (d ln alpha / dt) / sqrt(alpha (1 - alpha))`
    fn weight(&self, time: f64) -> f64 {
        let alpha = (-0.5 * time * time * self.beta_gain - time * self.beta_min).exp();
        0.5 * (time * self.beta_gain + self.beta_min) / (alpha * (1.0 - alpha)).sqrt()
    }
}
