//! Classifier-free guidance.

use vita_ops::combine;
use vita_tensor::Tensor;

/// Guidance this close to 1 is none: the negative prompt is not run.
const NONE_WITHIN: f64 = 1e-9;

/// Whether a guidance asks for the negative prompt.
pub fn needs_negative(cfg: f64) -> bool {
    (cfg - 1.0).abs() > NONE_WITHIN
}

/// `uncond + cfg (cond - uncond)`, on denoised latents.
#[must_use]
pub fn guide(cond: &Tensor, uncond: &Tensor, cfg: f64) -> Tensor {
    combine(&[((1.0 - cfg) as f32, uncond), (cfg as f32, cond)])
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
}
