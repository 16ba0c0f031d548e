//! Classifier-free guidance.

use vita_ops::combine;
use vita_tensor::Tensor;

/// How strongly the prompt is followed.
#[derive(Clone, Debug, PartialEq)]
pub enum Cfg {
    /// The same at every step.
    Constant(f64),
    /// One a step; the last one goes on.
    PerStep(Vec<f64>),
}

/// Guidance whose negative answer is scaled to fit the positive one (Fan et al., 2025, "CFG-Zero*").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CfgZeroStar {
    /// The first so many steps do not move: their velocity is 0.
    pub zero_steps: usize,
}

/// Guidance this close to 1 is none: the negative prompt is not run.
const NONE_WITHIN: f64 = 1e-9;

impl Cfg {
    /// The guidance of a step, from 0.
    pub fn at(&self, step: usize) -> f64 {
        match self {
            Self::Constant(cfg) => *cfg,
            Self::PerStep(all) => all.get(step).or(all.last()).copied().unwrap_or(1.0),
        }
    }

    /// Whether any of so many steps asks for the negative prompt.
    pub fn needs_negative(&self, step_count: usize) -> bool {
        (0..step_count.max(1)).any(|step| needs_negative(self.at(step)))
    }
}

impl From<f64> for Cfg {
    fn from(cfg: f64) -> Self {
        Self::Constant(cfg)
    }
}

/// Whether a guidance asks for the negative prompt.
pub fn needs_negative(cfg: f64) -> bool {
    (cfg - 1.0).abs() > NONE_WITHIN
}

/// `uncond + cfg (cond - uncond)`, on denoised latents.
#[must_use]
pub fn guide(cond: &Tensor, uncond: &Tensor, cfg: f64) -> Tensor {
    combine(&[((1.0 - cfg) as f32, uncond), (cfg as f32, cond)])
}

/// The share of the negative velocity that lies along the positive one: `<c, u> / (|u|^2 + 1e-8)`.
#[must_use]
pub fn zero_star_scale(cond: &Tensor, uncond: &Tensor) -> f32 {
    let pairs = || cond.f32s().iter().zip(uncond.f32s()).map(|(&c, &u)| (f64::from(c), f64::from(u)));
    let along: f64 = pairs().map(|(c, u)| c * u).sum();
    let square: f64 = pairs().map(|(_, u)| u * u).sum();
    (along / (square + 1e-8)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guidance_goes_past_the_condition() {
        let [cond, uncond] = [3.0, 1.0].map(|value| Tensor::from_vec(vec![value], [1]));
        assert_eq!(guide(&cond, &uncond, 4.0).to_vec(), [9.0]);
        assert!(!needs_negative(1.0) && needs_negative(1.1) && needs_negative(0.0));
    }

    #[test]
    fn a_list_goes_on_with_its_last_value() {
        let cfg = Cfg::PerStep(vec![1.0, 6.0, 1.0]);
        assert_eq!([0, 1, 2, 9].map(|step| cfg.at(step)), [1.0, 6.0, 1.0, 1.0]);
        assert!(!cfg.needs_negative(1) && cfg.needs_negative(2));
        assert!(!Cfg::PerStep(Vec::new()).needs_negative(5) && Cfg::from(2.0).needs_negative(1));
    }

    #[test]
    fn a_negative_that_points_elsewhere_is_scaled() {
        let [cond, uncond] = [[2.0, 1.0], [4.0, 0.0]].map(|values| Tensor::from_vec(values.to_vec(), [2]));
        assert!((zero_star_scale(&cond, &uncond) - 0.5).abs() < 1e-6);
    }
}
