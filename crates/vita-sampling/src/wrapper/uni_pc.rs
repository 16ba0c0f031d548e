//! `unipc`: the unified predictor-corrector (Zhao et al., 2023), second order, B2, on `ln((1 - s) / s)`.

use vita_tensor::Tensor;

use super::Timetable;
use crate::arithmetic::combine;
use crate::solvers::log_snr;

const ORDER_MAX: usize = 2;

/// What the steps before leave.
#[derive(Default)]
pub struct Past {
    /// Denoised latents, the latest first.
    denoised: Vec<Tensor>,
    /// The latent that the last step started from, corrected.
    start: Option<Tensor>,
    /// Order of the last step.
    order: usize,
}

impl Past {
    /// x: predicted for level `index`; denoised: of it. Returns the prediction for the next level.
    pub fn step(&mut self, x: &Tensor, denoised: &Tensor, index: usize, timetable: &Timetable) -> Tensor {
        let level = |index: usize| f64::from(timetable.sigmas[index]);
        let x = match &self.start {
            Some(start) => {
                let way = Way::new(level(index - 1), level(index));
                self.correct(&way, start, denoised, (index >= 2).then(|| level(index.saturating_sub(2))))
            }
            None => x.clone(),
        };
        self.denoised.insert(0, denoised.clone());
        self.denoised.truncate(ORDER_MAX);
        // Lower near the end, and as long as little is known.
        let left = timetable.timesteps.len() - index;
        self.order = ORDER_MAX.min(left).min(self.denoised.len());
        let way = Way::new(level(index), level(index + 1));
        let next = self.predict(&way, &x, (index >= 1).then(|| level(index.saturating_sub(1))));
        self.start = Some(x);
        next
    }

    fn predict(&self, way: &Way, x: &Tensor, earlier: Option<f64>) -> Tensor {
        let now = &self.denoised[0];
        match (self.order, &self.denoised[..], earlier) {
            (2, [_, old], Some(earlier)) => {
                let bend = 0.5 * way.gain / way.ratio(earlier);
                combine([(way.keep, x), (way.gain - bend, now), (bend, old)])
            }
            _ => combine([(way.keep, x), (way.gain, now)]),
        }
    }

    fn correct(&self, way: &Way, start: &Tensor, ahead: &Tensor, earlier: Option<f64>) -> Tensor {
        let now = &self.denoised[0];
        match (self.order, &self.denoised[..], earlier) {
            (2, [_, old], Some(earlier)) => {
                let r = way.ratio(earlier);
                // Weights of both differences, which solve w0 + w1 = b0, r w0 + w1 = b1.
                let [b0, b1] = way.moments();
                let w0 = (b0 - b1) / (1.0 - r);
                let w1 = b0 - w0;
                let (first, second) = (way.gain * w0 / r, way.gain * w1);
                combine([(way.keep, start), (way.gain - first - second, now), (first, old), (second, ahead)])
            }
            _ => combine([(way.keep, start), (0.5 * way.gain, now), (0.5 * way.gain, ahead)]),
        }
    }
}

/// A step from one level to another.
struct Way {
    from: f64,
    h: f64,
    /// What is kept of the latent.
    keep: f64,
    /// What comes of the denoised latent: `(1 - s') (1 - e^-h)`.
    gain: f64,
}

impl Way {
    fn new(sigma: f64, next: f64) -> Self {
        let h = log_snr(next) - log_snr(sigma);
        Self { from: log_snr(sigma), h, keep: next / sigma, gain: -(1.0 - next) * (-h).exp_m1() }
    }

    /// Where an earlier level lies, in lengths of this step: below 0.
    fn ratio(&self, earlier: f64) -> f64 {
        (log_snr(earlier) - self.from) / self.h
    }

    /// Of the exponential over the step, in units of its whole.
    fn moments(&self) -> [f64; 2] {
        let hh = -self.h;
        let whole = hh.exp_m1();
        let phi2 = whole / hh - 1.0;
        let phi3 = phi2 / hh - 0.5;
        [phi2 / whole, 2.0 * phi3 / whole]
    }
}
