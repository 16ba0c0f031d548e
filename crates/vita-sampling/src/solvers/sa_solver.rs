//! `sa_solver` and `sa_solver_pece`: stochastic Adams (Xue et al., 2023), predictor of order 3 and corrector of
//! order 4 on `ln((1 - s) / s)`, stochastic between a fifth and four fifths of the way; `_pece` evaluates the
//! corrected latent too.

use vita_tensor::Tensor;

use super::{Stop, Walk, log_snr};
use crate::arithmetic::{combine, combine_slice};

const PREDICTOR: usize = 3;
const CORRECTOR: usize = 4;

pub fn plain(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, false)
}

pub fn pece(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, true)
}

/// What the corrector needs to know of the step before.
struct Step {
    /// The latent that it started from.
    from: Tensor,
    tau: f64,
    h: f64,
    noise: Option<Tensor>,
}

fn run(walk: &mut Walk, x: Tensor, pece: bool) -> Result<Tensor, Stop> {
    let mut noise = walk.step_noise();
    walk.start_below_one();
    let lambdas: Vec<f64> = walk.sigmas.iter().map(|&sigma| log_snr(sigma.into())).collect();
    let [stochastic_from, stochastic_to] = [0.2, 0.8].map(|percent| f64::from(walk.flow.sigma_at_percent(percent)));
    let steps = walk.step_count();
    let ends_at_zero = walk.sigmas[steps] == 0.0;
    let mut predicted = x;
    // The latest last.
    let mut known: Vec<Tensor> = Vec::new();
    let mut before: Option<Step> = None;
    for i in 0..steps {
        let (sigma, next) = walk.levels(i);
        let mut denoised = walk.denoise(&predicted, sigma)?;
        walk.done(i, &denoised)?;
        known.push(denoised.clone());
        if known.len() > CORRECTOR {
            known.remove(0);
        }
        // Lower orders near the end are steadier.
        let bound = |order: usize, left: usize| if ends_at_zero { order.min(left) } else { order };
        let predictor = bound(PREDICTOR.min(known.len()), steps - 1 - i);
        let corrector = bound(CORRECTOR.min(known.len()), steps - i);
        let x = match &before {
            Some(step) if next != 0.0 || pece => {
                let before_sigma = walk.levels(i - 1).0;
                let span = Span { from: lambdas[i - 1], to: lambdas[i], alpha: 1.0 - sigma, tau: step.tau };
                let mut x =
                    adams(&span, &lambdas[i + 1 - corrector..=i], &known, sigma / before_sigma, step.h, &step.from);
                if let Some(noise) = &step.noise {
                    x = combine([(1.0, &x), (1.0, noise)]);
                }
                if pece {
                    denoised = walk.denoise(&x, sigma)?;
                    *known.last_mut().expect("just pushed") = denoised.clone();
                }
                x
            }
            _ => predicted,
        };
        if next == 0.0 {
            return Ok(denoised);
        }
        let tau = if (stochastic_to..=stochastic_from).contains(&next) { 1.0 } else { 0.0 };
        let span = Span { from: lambdas[i], to: lambdas[i + 1], alpha: 1.0 - next, tau };
        let h = span.to - span.from;
        predicted = adams(&span, &lambdas[i + 1 - predictor..=i], &known, next / sigma, h, &x);
        let mut drawn = None;
        if tau > 0.0 {
            let new = combine([(next * (-(-2.0 * tau * tau * h).exp_m1()).sqrt(), &noise())]);
            predicted = combine([(1.0, &predicted), (1.0, &new)]);
            drawn = Some(new);
        }
        before = Some(Step { from: x.clone(), tau, h, noise: drawn });
        if i + 1 == steps {
            // The schedule ends above zero: ComfyUI's rule returns the state, not the prediction.
            return Ok(x);
        }
    }
    Ok(predicted)
}

/// A step's way over `ln((1 - s) / s)`.
struct Span {
    from: f64,
    to: f64,
    /// `1 - s` at its end.
    alpha: f64,
    /// Strength of the noise.
    tau: f64,
}

/// One Adams step over the last denoised latents, those at `places`.
fn adams(span: &Span, places: &[f64], known: &[Tensor], ratio: f64, h: f64, x: &Tensor) -> Tensor {
    let weights = weights(span, places);
    let keep = ratio * (-span.tau * span.tau * h).exp();
    let latest = &known[known.len() - places.len()..];
    let terms: Vec<(f64, &Tensor)> = [(keep, x)].into_iter().chain(weights.into_iter().zip(latest)).collect();
    combine_slice(&terms)
}

/// Integrals over the span of `(1 + tau^2) e^{(1 + tau^2)(l - to)}` times the Lagrange polynomials of the places.
fn weights(span: &Span, places: &[f64]) -> Vec<f64> {
    let rate = 1.0 + span.tau * span.tau;
    let h = span.to - span.from;
    // Of the powers of (l - to), where the numbers stay small: by parts, each from the one below.
    let mut moments = vec![-(-rate * h).exp_m1()];
    for power in 1..places.len() {
        let edge = -(-h).powi(power as i32) * (-rate * h).exp();
        moments.push(edge - power as f64 / rate * moments[power - 1]);
    }
    let places: Vec<f64> = places.iter().map(|place| place - span.to).collect();
    (0..places.len())
        .map(|j| {
            let mut polynomial = vec![1.0];
            for (k, other) in places.iter().enumerate().filter(|&(k, _)| k != j) {
                debug_assert_ne!(k, j);
                polynomial = times_linear(&polynomial, -other / (places[j] - other), 1.0 / (places[j] - other));
            }
            span.alpha * polynomial.iter().zip(&moments).map(|(factor, moment)| factor * moment).sum::<f64>()
        })
        .collect()
}

/// A polynomial, lowest power first, times `constant + slope l`.
fn times_linear(polynomial: &[f64], constant: f64, slope: f64) -> Vec<f64> {
    let mut out = vec![0.0; polynomial.len() + 1];
    for (power, factor) in polynomial.iter().enumerate() {
        out[power] += constant * factor;
        out[power + 1] += slope * factor;
    }
    out
}
