//! How what the model answers for windows is mixed where they overlap.

use super::{ContextWindows, WindowSchedule};

/// How windows are mixed where they overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowMix {
    /// All alike: ComfyUI's `flat`.
    Flat,
    /// A window counts more toward its middle: ComfyUI's `pyramid`.
    Pyramid,
    /// The same, down to next to nothing at its ends: ComfyUI's `relative`.
    Relative,
    /// From one to the next within the overlap: ComfyUI's `overlap-linear`.
    OverlapLinear,
    /// From one to the next within the overlap, down to nothing: the wrapper's `linear`.
    WrapperLinear,
    /// More toward the middle: the wrapper's `pyramid`, whose first and last window count more at the video's ends.
    WrapperPyramid,
}

/// Next to nothing, at the ends of `overlap-linear`.
const LEAST: f64 = 1e-37;

impl ContextWindows {
    /// What each frame of a window counts, at least 0. Of a frame that a window has twice, the later counts.
    pub(super) fn weights(&self, window: &[usize], frames: usize) -> Vec<f64> {
        let edges = Edges::of(window, frames);
        let is_looped = self.schedule == WindowSchedule::UniformLooped;
        let length = window.len();
        let mut weights = match self.mix {
            WindowMix::Flat => vec![1.0; length],
            WindowMix::Pyramid => pyramid(length).collect(),
            WindowMix::Relative => return relative(window),
            WindowMix::OverlapLinear => {
                let mut weights = vec![1.0; length];
                self.ramps(&mut weights, LEAST, [!edges.first, !edges.last], |_, ramp| ramp);
                weights
            }
            WindowMix::WrapperLinear => {
                let mut weights = vec![1.0; length];
                let goes_round = [is_looped && edges.last, is_looped && edges.first];
                let ends = [!edges.first || goes_round[0], !edges.last || goes_round[1]];
                self.ramps(&mut weights, 0.0, ends, |_, ramp| ramp);
                weights
            }
            WindowMix::WrapperPyramid => {
                let most = length.div_ceil(2) as f64;
                let mut weights: Vec<f64> = pyramid(length).map(|weight| weight / most).collect();
                let ends = [edges.first && !is_looped, edges.last && !is_looped];
                self.ramps(&mut weights, 0.0, ends, f64::max);
                weights
            }
        };
        for place in 0..length {
            if window[place + 1..].contains(&window[place]) {
                weights[place] = 0.0;
            }
        }
        weights
    }

    /// At the chosen ends, puts in a ramp that rises from `least`, and one that falls to it, within the overlap.
    fn ramps(&self, weights: &mut [f64], least: f64, [rises, falls]: [bool; 2], put: impl Fn(f64, f64) -> f64) {
        let overlap = self.overlap.min(weights.len());
        let steps = overlap.saturating_sub(1).max(1) as f64;
        let rest = weights.len() - overlap;
        let ramp = |from: f64, to: f64, weights: &mut [f64]| {
            for (place, weight) in weights.iter_mut().enumerate() {
                let share = place as f64 / steps;
                *weight = put(*weight, from * (1.0 - share) + to * share);
            }
        };
        if rises {
            ramp(least, 1.0, &mut weights[..overlap]);
        }
        if falls {
            ramp(1.0, least, &mut weights[rest..]);
        }
    }
}

/// Whether a window has the video's first and last frame.
struct Edges {
    first: bool,
    last: bool,
}

impl Edges {
    fn of(window: &[usize], frames: usize) -> Self {
        Self { first: window.contains(&0), last: window.contains(&(frames - 1)) }
    }
}

/// 1, 2, 3, 3, 2, 1, or 1, 2, 3, 2, 1.
fn pyramid(length: usize) -> impl Iterator<Item = f64> {
    (0..length).map(move |place| (place + 1).min(length - place) as f64)
}

/// One at the middle between the window's first and last frame.
fn relative(window: &[usize]) -> Vec<f64> {
    let [first, last] = [window[0], window[window.len() - 1]].map(|frame| frame as f64);
    let (middle, reach) = ((first + last) / 2.0, (last - first + 1e-2) / 2.0);
    window.iter().map(|&frame| (1.0 - (frame as f64 - middle).abs() / reach).max(1e-2)).collect()
}
