//! Steps that are left out where the latent has changed little, as ComfyUI's `EasyCache` and `LazyCache` do it.

use std::cell::{Cell, RefCell};

use vita_ops::combine;
use vita_sampling::Flow;
use vita_tensor::Tensor;

use crate::Error;
use crate::extras::{ReuseCache, ReusePlace};

/// Of the latent's rows and columns every so many is looked at.
const SUBSAMPLE: usize = 8;

/// A cache at work in one run.
pub struct Reusing {
    cache: ReuseCache,
    state: RefCell<Reuse>,
    /// Answer minus latent, of the last computed step.
    differences: RefCell<Vec<Tensor>>,
    skipped_passes: Cell<usize>,
}

impl Reusing {
    pub fn new(cache: ReuseCache) -> Self {
        Self {
            cache,
            state: RefCell::new(Reuse::new(cache.threshold, SUBSAMPLE)),
            differences: RefCell::default(),
            skipped_passes: Cell::new(0),
        }
    }

    pub fn is_at(&self, place: ReusePlace) -> bool {
        self.cache.place == place
    }

    /// Passes through the network that were left out so far.
    pub fn skipped_passes(&self) -> usize {
        self.skipped_passes.get()
    }

    /// The answers to a latent, `count` of them, the first of which decides: computed, or the latent plus what the last
    /// computed ones differed by. `passes` are those that an answer takes.
    ///
    /// # Errors
    /// Whatever `compute` answers.
    pub fn answers(
        &self,
        x: &Tensor,
        flow: Flow,
        sigma: f32,
        [count, passes]: [usize; 2],
        compute: &mut dyn FnMut(usize) -> Result<Tensor, Error>,
    ) -> Result<Vec<Tensor>, Error> {
        let span = self.cache.span;
        if sigma <= flow.sigma_at_percent(span.end) {
            return (0..count).map(compute).collect();
        }
        let may_skip = sigma <= flow.sigma_at_percent(span.start);
        let mut differences = self.differences.borrow_mut();
        if may_skip && differences.len() == count && self.state.borrow_mut().skips(x) {
            self.skipped_passes.set(self.skipped_passes.get() + count * passes);
            return Ok(differences.iter().map(|difference| combine(&[(1.0, x), (1.0, difference)])).collect());
        }
        let answers = (0..count).map(compute).collect::<Result<Vec<_>, _>>()?;
        *differences = answers.iter().map(|answer| combine(&[(1.0, answer), (-1.0, x)])).collect();
        // EasyCache has nobody to decide before its span.
        if may_skip || self.is_at(ReusePlace::Guided) {
            self.state.borrow_mut().keep(x, &answers[0], may_skip);
        }
        Ok(answers)
    }
}

/// What is kept of the steps before.
///
/// The change of the answer is estimated as `rate * change of the latent`, relative to the last answer, and added up
/// since the last computed step; the rate is that of the last two computed steps.
struct Reuse {
    threshold: f64,
    subsample: usize,
    rate: Option<f64>,
    sum: f64,
    last: Option<Seen>,
}

struct Seen {
    latent: Vec<f32>,
    answer: Vec<f32>,
    answer_size: f64,
}

impl Reuse {
    fn new(threshold: f64, subsample: usize) -> Self {
        Self { threshold, subsample, rate: None, sum: 0.0, last: None }
    }

    /// Whether the step at this latent, `[C, T, h, w]`, may be left out.
    fn skips(&mut self, latent: &Tensor) -> bool {
        let (Some(last), Some(rate)) = (&self.last, self.rate) else { return false };
        self.sum += rate * mean_difference(&self.looked_at(latent), &last.latent) / last.answer_size;
        let skips = self.sum < self.threshold;
        if !skips {
            self.sum = 0.0;
        }
        skips
    }

    /// Keeps a step that was computed. `may_skip` says whether the cache was asked about it.
    fn keep(&mut self, latent: &Tensor, answer: &Tensor, may_skip: bool) {
        let seen = Seen {
            latent: self.looked_at(latent),
            answer: self.looked_at(answer),
            answer_size: answer.f32s().iter().map(|value| f64::from(value.abs())).sum::<f64>()
                / answer.element_count() as f64,
        };
        if let (Some(last), true) = (&self.last, may_skip) {
            let moved = mean_difference(&seen.latent, &last.latent);
            self.rate = Some(mean_difference(&seen.answer, &last.answer) / moved);
        }
        self.last = Some(seen);
    }

    fn looked_at(&self, x: &Tensor) -> Vec<f32> {
        let [_, _, rows, columns] = x.sizes();
        let by = self.subsample;
        let all = x.f32s().chunks_exact(rows * columns);
        all.flat_map(|frame| {
            (0..rows).step_by(by).flat_map(move |row| (0..columns).step_by(by).map(move |c| frame[row * columns + c]))
        })
        .collect()
    }
}

fn mean_difference(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / a.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked by hand: the answer is 3 x + 1, so the rate is 3.
    #[test]
    fn changes_add_up_since_the_last_computed_step() {
        let mut reuse = Reuse::new(0.5, 1);
        let mut computed = Vec::new();
        for value in [4.0f32, 3.0, 2.8, 2.4, 1.0] {
            let latent = Tensor::from_vec(vec![value; 4], [1, 1, 2, 2]);
            let skips = reuse.skips(&latent);
            if !skips {
                reuse.keep(&latent, &Tensor::from_vec(vec![3.0 * value + 1.0; 4], [1, 1, 2, 2]), true);
            }
            computed.push(!skips);
        }
        // Against x = 3, answer 10: .06; .06 + .18 = .24; .24 + .6 = .84.
        assert_eq!(computed, [true, true, false, false, true]);
    }

    #[test]
    fn every_eighth_row_and_column_is_looked_at() {
        let reuse = Reuse::new(0.5, SUBSAMPLE);
        let x = Tensor::from_vec((0..2 * 9 * 10).map(|i| i as f32).collect(), [1, 2, 9, 10]);
        assert_eq!(reuse.looked_at(&x), [0., 8., 80., 88., 90., 98., 170., 178.]);
    }
}
