//! `er_sde`: the extended reverse-time stochastic equation (Cui et al., 2023, VP ER-SDE-Solver-3) as the wrapper has it:
//! on the levels themselves, the latent's own factor being 1.

use vita_tensor::Tensor;

use crate::arithmetic::combine;
use crate::solvers::er_sde::{bends, spread, weight};

/// What is remembered of the step before.
#[derive(Default)]
pub struct Past {
    denoised: Option<Tensor>,
    /// Of the denoised latent over the levels.
    slope: Option<Tensor>,
}

impl Past {
    /// x and denoised: at level `index`; returns the latent at the next level.
    pub fn step(
        &mut self,
        x: &Tensor,
        denoised: &Tensor,
        index: usize,
        sigmas: &[f32],
        noise: &mut dyn FnMut() -> Tensor,
    ) -> Tensor {
        let level = |index: usize| f64::from(sigmas[index]);
        let (from, to) = (level(index), level(index + 1));
        let old = self.denoised.replace(denoised.clone());
        if to == 0.0 {
            return denoised.clone();
        }
        let r = weight(to) / weight(from);
        let mut x = combine([(r, x), (1.0 - r, denoised)]);
        if let Some(old) = old {
            let bends = bends(from, to);
            let run = 1.0 / (from - level(index - 1));
            let slope = combine([(run, denoised), (-run, &old)]);
            x = combine([(1.0, &x), (bends[0], &slope)]);
            if let Some(old_slope) = &self.slope {
                let run = 2.0 / (from - level(index - 2)) * bends[1];
                x = combine([(1.0, &x), (run, &slope), (-run, old_slope)]);
            }
            self.slope = Some(slope);
        }
        combine([(1.0, &x), (spread(from, to), &noise())])
    }
}
