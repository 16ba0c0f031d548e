//! Caches that let a pass repeat what the blocks added in an earlier one: TeaCache, MagCache, EasyCache, as the Wan
//! wrapper has them.

mod tables;

use vita_tensor::Tensor;

use super::embedding::Time;
pub use tables::CacheTables;

/// When a pass may repeat an earlier one.
#[derive(Clone, Debug, PartialEq)]
pub enum CacheRule {
    /// While the timestep's embedding has changed little (Liu et al., 2024).
    TeaCache {
        /// Sum of the estimated changes at which a pass is computed.
        threshold: f64,
        /// What is looked at.
        measure: TeaMeasure,
    },
    /// While the measured ratios of what the blocks add stay near 1 (Ma et al., 2025).
    MagCache {
        /// Sum of the estimated errors above which a pass is computed.
        threshold: f64,
        /// Most passes in a row that are left out.
        skips_max: usize,
        /// Ratios of a whole run.
        ratios: &'static [f64],
    },
    /// While the tokens have changed little, by how much the blocks made of a change before (Zhou et al., 2025).
    EasyCache {
        /// Sum of the estimated changes at which a pass is computed.
        threshold: f64,
    },
}

/// What TeaCache looks at. Polynomials estimate the blocks' change from it, the highest power first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TeaMeasure {
    /// The timestep's embedding.
    Embedding(&'static [f64; 5]),
    /// The modulation made of it.
    Modulation(&'static [f64; 5]),
    /// The modulation's change itself.
    Plain,
}

/// A cache of one prompt's passes in one run.
#[derive(Debug)]
pub struct StepCache {
    rule: CacheRule,
    last: Option<Computed>,
    /// Of the changes since the last computed pass; MagCache's is of errors.
    sum: f64,
    /// MagCache: the product of ratios since the last computed pass, and how many passes were left out.
    ratio: f64,
    skips: usize,
    /// EasyCache: how much the blocks' output changes by a change of their input.
    rate: Option<f64>,
    skipped: usize,
}

/// What is kept of the last computed pass.
#[derive(Debug)]
struct Computed {
    /// What the rule compares with: the timestep's embedding, or the tokens before the blocks.
    seen: Option<Tensor>,
    /// The tokens after the blocks, for EasyCache.
    output: Option<Tensor>,
    /// After minus before the blocks, `[L, C]`.
    residual: Tensor,
}

impl StepCache {
    /// An empty one.
    pub fn new(rule: CacheRule) -> Self {
        Self { rule, last: None, sum: 0.0, ratio: 1.0, skips: 0, rate: None, skipped: 0 }
    }

    /// Passes that were left out so far.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// What the blocks would add to x, `[L, C]`, if this pass is left out.
    pub(super) fn residual(&mut self, time: &Time, x: &Tensor, step_index: usize, step_count: usize) -> Option<Tensor> {
        let last = self.last.as_ref()?;
        let is_near = match &self.rule {
            CacheRule::TeaCache { threshold, measure } => {
                let change = relative_change(measure.of(time), last.seen.as_ref()?);
                self.sum += measure.estimate(change);
                self.sum < *threshold
            }
            &CacheRule::MagCache { threshold, skips_max, ratios } => {
                self.ratio *= ratio_at(ratios, step_index, step_count);
                self.sum += (1.0 - self.ratio).abs();
                self.skips += 1;
                self.sum <= threshold && self.skips <= skips_max
            }
            CacheRule::EasyCache { threshold } => match self.rate {
                None => false,
                Some(rate) => {
                    let size = mean_magnitude(last.output.as_ref()?);
                    self.sum += rate * mean_difference(x, last.seen.as_ref()?) / size;
                    self.sum < *threshold
                }
            },
        };
        if !is_near {
            (self.sum, self.ratio, self.skips) = (0.0, 1.0, 0);
            return None;
        }
        self.skipped += 1;
        Some(last.residual.clone())
    }

    /// Keeps a pass that was computed. before and after the blocks: `[L, C]`.
    pub(super) fn keep(&mut self, time: &Time, before: Tensor, after: &Tensor) {
        let residual = vita_ops::combine(&[(1.0, after), (-1.0, &before)]);
        let (seen, output) = match &self.rule {
            CacheRule::TeaCache { measure, .. } => (Some(measure.of(time).clone()), None),
            CacheRule::MagCache { .. } => (None, None),
            CacheRule::EasyCache { .. } => {
                if let Some(Computed { seen: Some(seen), output: Some(output), .. }) = &self.last {
                    self.rate = Some(mean_difference(after, output) / mean_difference(&before, seen));
                }
                (Some(before), Some(after.clone()))
            }
        };
        self.last = Some(Computed { seen, output, residual });
    }
}

impl CacheRule {
    /// Tensors of tokens, `[L, C]`, that are kept for one prompt.
    pub fn kept_tensors(&self) -> usize {
        match self {
            Self::TeaCache { .. } | Self::MagCache { .. } => 1,
            Self::EasyCache { .. } => 3,
        }
    }
}

impl TeaMeasure {
    fn of<'a>(&self, time: &'a Time) -> &'a Tensor {
        match self {
            Self::Embedding(_) => &time.e,
            Self::Modulation(_) | Self::Plain => &time.e0,
        }
    }

    fn estimate(&self, change: f64) -> f64 {
        match self {
            Self::Plain => change,
            Self::Embedding(powers) | Self::Modulation(powers) => {
                powers.iter().fold(0.0, |sum, coefficient| sum * change + coefficient)
            }
        }
    }
}

/// The ratio of a step. As the wrapper has it, a whole run goes through the first half of a table.
fn ratio_at(ratios: &[f64], step_index: usize, step_count: usize) -> f64 {
    let place = step_index as f64 * ((ratios.len() / 2) as f64 / step_count.max(1) as f64);
    ratios[(place as usize).min(ratios.len() - 1)]
}

fn relative_change(now: &Tensor, before: &Tensor) -> f64 {
    mean_difference(now, before) / mean_magnitude(before)
}

/// The values where they can be read. What failed is NaN, which no cache takes for near; the pass then fails by itself.
fn on_host(x: &Tensor) -> Tensor {
    x.to_host().map_or_else(|_| Tensor::from_vec(vec![f32::NAN; x.element_count()], x.dims()), |x| vita_ops::to_f32(&x))
}

fn mean_difference(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (on_host(a), on_host(b));
    let sum: f64 = a.f32s().iter().zip(b.f32s()).map(|(a, b)| f64::from((a - b).abs())).sum();
    sum / a.element_count() as f64
}

fn mean_magnitude(x: &Tensor) -> f64 {
    let x = on_host(x);
    x.f32s().iter().map(|value| f64::from(value.abs())).sum::<f64>() / x.element_count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(value: f32) -> Time {
        let of = |value| Tensor::from_vec(vec![value, -value], [1, 2]);
        Time { e: of(value), e0: of(2.0 * value + 1.0).reshape([1, 1, 2]) }
    }

    /// Which of the passes are computed; each has its timestep's value and its tokens.
    fn computed(rule: CacheRule, passes: &[(f32, f32)]) -> Vec<bool> {
        let mut cache = StepCache::new(rule);
        let token = |value| Tensor::from_vec(vec![value], [1, 1]);
        let run = |(index, &(at, x)): (usize, &(f32, f32))| {
            let missed = cache.residual(&time(at), &token(x), index, passes.len()).is_none();
            if missed {
                cache.keep(&time(at), token(x), &token(2.0 * x + 1.0));
            }
            missed
        };
        passes.iter().enumerate().map(run).collect()
    }

    #[test]
    fn tea_cache_adds_up_estimates_since_the_last_computed_pass() {
        // Worked by hand: the estimate is 10 d^2 + d of the relative change d against the last computed pass.
        const POWERS: [f64; 5] = [0.0, 0.0, 10.0, 1.0, 0.0];
        let rule = |measure| CacheRule::TeaCache { threshold: 0.5, measure };
        let passes = [(1.0, 0.0), (0.9, 0.0), (0.85, 0.0), (0.8, 0.0), (0.7, 0.0)];
        // 0.2; 0.2 + 0.375 >= 0.5, computed at 0.85; then 0.0588 -> 0.0934; 0.1765 -> 0.0934 + 0.488 >= 0.5.
        let want = [true, false, true, false, true];
        assert_eq!(computed(rule(TeaMeasure::Embedding(&POWERS)), &passes), want);
        // The modulation is 2 t + 1: changes of 0.2/3, 0.3/3, 0.4/3, and 0.6/3 at the last: sums .0667 .1667 .3 .5.
        assert_eq!(computed(rule(TeaMeasure::Plain), &passes), [true, false, false, false, true]);
    }

    #[test]
    fn mag_cache_bounds_the_error_and_the_run_of_skips() {
        const RATIOS: [f64; 8] = [1.0, 1.0, 0.99, 0.98, 0.5, 0.5, 0.5, 0.5];
        let run = |threshold, skips_max, count: usize| {
            computed(CacheRule::MagCache { threshold, skips_max, ratios: &RATIOS }, &vec![(1.0, 1.0); count])
        };
        // Four steps go through the first half. Ratios 1, 0.99, 0.99 * 0.98: errors 0, 0.01, 0.0298.
        assert_eq!(run(0.05, 4, 4), [true, false, false, false]);
        assert_eq!(run(0.02, 4, 4), [true, false, false, true]);
        assert_eq!(run(0.05, 1, 4), [true, false, true, false]);
        // Of eight steps two share a ratio.
        assert_eq!(run(9.0, 9, 8), [true, false, false, false, false, false, false, false]);
        assert_eq!(ratio_at(&RATIOS, 5, 8), 0.99);
    }

    #[test]
    fn easy_cache_learns_its_rate_from_two_computed_passes() {
        // Out is 2 x + 1, so the rate is 2. Last computed at x = 9, out 19: a change of c counts 2 c / 19.
        let rule = CacheRule::EasyCache { threshold: 0.4 };
        let passes = [(0.0, 10.0), (0.0, 9.0), (0.0, 8.0), (0.0, 7.0), (0.0, 6.0)];
        // 2/19 = .105, + 4/19 = .316, + 6/19 = .63.
        assert_eq!(computed(rule, &passes), [true, true, false, false, true]);
    }
}
