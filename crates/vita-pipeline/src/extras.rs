//! What may be done at some steps beside guidance: blocks left out, passes repeated, attention strengthened.

use std::sync::Arc;

use vita_models::wan::{CacheRule, NagNumbers};
use vita_ops::combine;
use vita_sampling::Flow;
use vita_tensor::Tensor;

use crate::TextRows;

/// Guidance away from what the model makes without some of its blocks, as ComfyUI's `SkipLayerGuidanceDiT` has it.
#[derive(Clone, Debug, PartialEq)]
pub struct SkipLayers {
    /// Blocks that are left out, from 0; those that a model has not are none.
    pub blocks: Vec<usize>,
    /// How far away it leads.
    pub scale: f64,
    /// Shares of the model's way between which it does, see `Flow::sigma_at_percent`.
    pub span: Span,
    /// How much of the contrast before is given back; 0 is nothing.
    pub rescale: f64,
}

/// The negative prompt's answer of a model without some of its blocks, as the wrapper's `WanVideoSLG` has it.
#[derive(Clone, Debug, PartialEq)]
pub struct SkipInNegative {
    /// Blocks that are left out, from 0.
    pub blocks: Vec<usize>,
    /// Shares of the steps between which they are.
    pub span: Span,
}

/// Enhance-A-Video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Enhance {
    /// How strongly frames take from each other; the authors use 1 to 4.
    pub weight: f32,
    /// Shares of the steps between which they do.
    pub span: Span,
}

/// Between which shares of a run something is done, both included: 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// From here on.
    pub start: f64,
    /// To here.
    pub end: f64,
}

/// Passes through the blocks that repeat what the last one added; each prompt has its own.
#[derive(Clone, Debug, PartialEq)]
pub struct PassCache {
    /// When they do.
    pub rule: CacheRule,
    /// The first step, from 0 of those that are run, at which they may.
    pub start_step: usize,
    /// The last; `None` is the run's last.
    pub end_step: Option<usize>,
}

/// Passes that are left out where the latent has changed little, as ComfyUI's own nodes do it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReuseCache {
    /// Sum of the estimated changes at which a step is computed.
    pub threshold: f64,
    /// Shares of the model's way between which steps may be left out.
    pub span: Span,
    /// Where it is looked and what is repeated.
    pub place: ReusePlace,
}

/// Where ComfyUI's caches work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReusePlace {
    /// At each of the model's answers: `EasyCache`.
    Velocity,
    /// At the guided answer: `LazyCache`.
    Guided,
}

/// A video whose end meets its beginning: at each step the model sees it from another frame on. The wrapper's sampler
/// alone does it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoopShift {
    /// Latent frames by which it is turned further at each step.
    pub skip: usize,
    /// Shares of the steps between which it is.
    pub span: Span,
}

/// Guidance inside the attention to the prompt.
#[derive(Clone, Debug)]
pub struct NagPrompt {
    /// What it leads away from.
    pub text: Arc<TextRows>,
    /// How.
    pub numbers: NagNumbers,
}

impl Span {
    /// Whether a step, from 0, of so many lies in it.
    pub fn holds(self, step_index: usize, step_count: usize) -> bool {
        let share = step_index as f64 / step_count.max(1) as f64;
        self.start <= share && share <= self.end
    }
}

impl SkipLayers {
    /// Whether it leads at a noise level.
    pub(crate) fn holds(&self, flow: Flow, sigma: f32) -> bool {
        self.scale > 0.0
            && flow.sigma_at_percent(self.span.end) <= sigma
            && sigma <= flow.sigma_at_percent(self.span.start)
    }

    /// `guided + scale (cond - fewer)`, then as much of the prompt's contrast as is given back. All are denoised
    /// latents; `fewer` is the prompt's without some blocks.
    pub(crate) fn lead(&self, guided: &Tensor, cond: &Tensor, fewer: &Tensor) -> Tensor {
        let scale = self.scale as f32;
        let led = combine(&[(1.0, guided), (scale, cond), (-scale, fewer)]);
        if self.rescale == 0.0 {
            return led;
        }
        let factor = self.rescale * deviation(cond) / deviation(&led) + (1.0 - self.rescale);
        combine(&[(factor as f32, &led)])
    }
}

/// Standard deviation of a sample.
fn deviation(x: &Tensor) -> f64 {
    let values = || x.f32s().iter().map(|&value| f64::from(value));
    let count = x.element_count() as f64;
    let mean = values().sum::<f64>() / count;
    (values().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt()
}

impl PassCache {
    /// Whether a step, from 0, may be left out.
    pub fn holds(&self, step_index: usize) -> bool {
        self.start_step <= step_index && self.end_step.is_none_or(|end| step_index <= end)
    }
}

impl PartialEq for NagPrompt {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text) && self.numbers == other.numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked by hand: guided + 2 (cond - fewer), whose deviation is sqrt(8) beside sqrt(2).
    #[test]
    fn it_leads_away_from_fewer_blocks() {
        let of = |a, b| Tensor::from_vec(vec![a, b], [2]);
        let lead = |rescale| {
            let span = Span { start: 0.01, end: 0.15 };
            let skip = SkipLayers { blocks: vec![7], scale: 2.0, span, rescale };
            skip.lead(&of(1.0, 2.0), &of(3.0, 5.0), &of(2.0, 2.5)).to_vec()
        };
        assert_eq!(lead(0.0), [3.0, 7.0]);
        assert_eq!(lead(1.0), [1.5, 3.5]);
        assert_eq!(lead(0.5), [2.25, 5.25]);
        let span = Span { start: 0.01, end: 0.15 };
        let skip = SkipLayers { blocks: vec![7], scale: 2.0, span, rescale: 0.0 };
        // With shift 8 the shares are the levels 0.99874 and 0.97842.
        let flow = Flow::new(8.0).unwrap();
        assert_eq!([1.0, 0.998, 0.979, 0.978].map(|sigma| skip.holds(flow, sigma)), [false, true, true, false]);
        assert!(!SkipLayers { scale: 0.0, ..skip }.holds(flow, 0.99));
    }

    #[test]
    fn ends_belong_to_a_span() {
        let held = |start, end| (0..5).filter(|&step| Span { start, end }.holds(step, 5)).collect::<Vec<_>>();
        assert_eq!(held(0.2, 0.6), [1, 2, 3]);
        assert_eq!(held(0.21, 1.0), [2, 3, 4]);
        assert_eq!(held(0.0, 0.0), [0]);
        let cache =
            |start_step, end_step| PassCache { rule: CacheRule::EasyCache { threshold: 0.1 }, start_step, end_step };
        let held = |cache: PassCache| (0..4).filter(|&step| cache.holds(step)).collect::<Vec<_>>();
        assert_eq!(held(cache(1, None)), [1, 2, 3]);
        assert_eq!(held(cache(1, Some(2))), [1, 2]);
    }
}
