//! Windows: a video that is longer than its model was made for goes through the model in parts that overlap, each as
//! a video of its own, and what the model answers is mixed where they do.

mod mix;
mod schedules;

use std::sync::Arc;

use vita_sampling::noise::Generator;
use vita_tensor::Tensor;

use crate::sampling::WINDOWS_MAX;
use crate::{Error, Latent, TextRows};

pub use mix::WindowMix;
pub use schedules::WindowSchedule;

/// Windows in which a long video is sampled.
#[derive(Clone, Debug)]
pub struct ContextWindows {
    /// How they lie.
    pub schedule: WindowSchedule,
    /// Latent frames of a window, at least 1. A video of no more goes through the model whole.
    pub frames: usize,
    /// Latent frames that neighbours share; less than `frames`.
    pub overlap: usize,
    /// Of uniform schedules: windows of every frame, of every second, of every fourth, ...: so many kinds at most.
    pub strides: usize,
    /// Of uniform schedules: whether windows follow each other until the whole video is gone round.
    pub closed: bool,
    /// How answers are mixed where windows overlap.
    pub mix: WindowMix,
    /// Whether noise behind the first window is that before it, in another order (Qiu et al., 2023, "FreeNoise").
    pub free_noise: bool,
    /// What the first frame of a window is told of pictures.
    pub start: WindowStart,
    /// Prompts of the video's sections, which are equally long; none is one prompt for all.
    pub sections: Vec<Arc<TextRows>>,
}

/// What the first frame of a window is told of the picture that a video starts from.
#[derive(Clone, Debug)]
pub enum WindowStart {
    /// What that frame of the video is told: ComfyUI.
    OfFrame,
    /// What the video's first frame is told: the wrapper. Where frames have timesteps of their own, it counts as known.
    OfVideo,
    /// The same, but for the windows that do not start at the video's first frame the picture is this one's first.
    Picture(Arc<Latent>),
}

/// One window at one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Latent frames of the video, in the order in which the model sees them.
    pub frames: Vec<usize>,
    /// Its share in the answer for each of them. All windows' shares in a frame are 1 together.
    pub shares: Vec<f32>,
}

impl ContextWindows {
    /// Whether a video of so many latent frames is parted.
    pub fn part(&self, frames: usize) -> bool {
        frames > self.frames
    }

    /// The windows of a step, from 0, for a video of so many latent frames.
    ///
    /// # Errors
    /// If the numbers allow none, or no window has a say in a frame.
    pub fn at_step(&self, frames: usize, step: usize) -> Result<Vec<Window>, Error> {
        self.check()?;
        if !self.part(frames) {
            return Ok(vec![Window { frames: (0..frames).collect(), shares: vec![1.0; frames] }]);
        }
        let lists = self.lists(frames, step);
        if lists.iter().flatten().any(|&frame| frame >= frames) {
            return Err(Error::WindowTooWide { strides: self.strides, window: self.frames, frames });
        }
        let weights: Vec<Vec<f64>> = lists.iter().map(|list| self.weights(list, frames)).collect();
        let mut sums = vec![0.0; frames];
        for (&frame, weight) in lists.iter().flatten().zip(weights.iter().flatten()) {
            sums[frame] += weight;
        }
        if let Some(frame) = sums.iter().position(|&sum| sum <= 0.0) {
            return Err(Error::WindowGap { frame, step });
        }
        let windows = lists.into_iter().zip(weights).map(|(list, weights)| {
            let shares = list.iter().zip(weights).map(|(&frame, weight)| (weight / sums[frame]) as f32).collect();
            Window { frames: list, shares }
        });
        Ok(windows.collect())
    }

    /// Which lengths windows of a video have.
    pub(crate) fn lengths(&self, frames: usize) -> Vec<usize> {
        let rest = frames % self.frames;
        match self.schedule {
            _ if !self.part(frames) => vec![frames],
            WindowSchedule::Batched if rest > 0 => vec![self.frames, rest],
            _ => vec![self.frames],
        }
    }

    /// The most different windows of a run, of those that are remembered.
    pub(crate) fn count_max(&self, frames: usize) -> usize {
        match self.schedule {
            WindowSchedule::UniformStandard | WindowSchedule::UniformLooped => WINDOWS_MAX,
            // Refused when the run begins.
            _ if self.check().is_err() => 1,
            _ => self.lists(frames, 0).len().min(WINDOWS_MAX),
        }
    }

    /// Which section's prompt a window has.
    pub(crate) fn section(&self, frames: usize, window: &Window) -> usize {
        let last = window.frames.iter().copied().max().unwrap_or(0);
        (last * self.sections.len() / frames).min(self.sections.len().saturating_sub(1))
    }

    /// Noise behind the first window, repeated from before it in another order. noise: `[C, T, h, w]`
    ///
    /// # Errors
    /// If windows overlap by all of their frames.
    pub fn shuffle_noise(&self, noise: &Tensor, generator: &mut Generator) -> Result<Tensor, Error> {
        self.check()?;
        let frames = noise.dims()[1];
        let mut order: Vec<usize> = (0..frames).collect();
        let delta = self.frames - self.overlap;
        for start in (0..frames.saturating_sub(self.frames)).step_by(delta) {
            let place = start + self.frames;
            let count = delta.min(frames - place);
            for (offset, from) in generator.randperm(count).into_iter().enumerate() {
                order[place + offset] = order[start + from];
            }
        }
        Ok(pick_frames(noise, &order))
    }

    /// # Errors
    /// If windows are shorter than what they share, or there are windows of no kind.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.frames > self.overlap && self.strides > 0 {
            true => Ok(()),
            false => Err(Error::WindowOverlap { window: self.frames, overlap: self.overlap }),
        }
    }
}

/// Gives the model's answer to a noisy latent `[C, n, h, w]`, its timesteps, one or one a frame, and which window of the
/// video it is, if it is not the whole.
pub type Answer<'a> = dyn FnMut(&Tensor, &[f32], Option<&Window>) -> Result<Tensor, Error> + 'a;

/// The answer to a noisy latent `[C, T, h, w]` that goes through the model in windows. timesteps: one, or one a frame.
///
/// # Errors
/// Whatever `answer` says.
pub fn mixed(x: &Tensor, timesteps: &[f32], windows: &[Window], answer: &mut Answer) -> Result<Tensor, Error> {
    let mut whole = Tensor::zeros(x.dims());
    for window in windows {
        let timesteps = match timesteps {
            [one] => vec![*one],
            each => window.frames.iter().map(|&frame| each[frame]).collect(),
        };
        let part = answer(&pick_frames(x, &window.frames), &timesteps, Some(window))?;
        add_frames(&mut whole, &part, window);
    }
    Ok(whole)
}

/// Some latent frames of `[C, T, h, w]`, in this order.
pub fn pick_frames(x: &Tensor, frames: &[usize]) -> Tensor {
    let [channels, count, rows, columns] = x.sizes();
    let x = vita_ops::to_f32(x);
    let size = rows * columns;
    let mut values = Vec::with_capacity(channels * frames.len() * size);
    for channel in 0..channels {
        for &frame in frames {
            values.extend_from_slice(&x.f32s()[(channel * count + frame) * size..][..size]);
        }
    }
    Tensor::from_vec(values, [channels, frames.len(), rows, columns])
}

fn add_frames(whole: &mut Tensor, part: &Tensor, window: &Window) {
    let [channels, count, rows, columns] = whole.sizes();
    let size = rows * columns;
    let values = whole.f32s_mut();
    for channel in 0..channels {
        for (place, (&frame, &share)) in window.frames.iter().zip(&window.shares).enumerate() {
            let from = &part.f32s()[(channel * window.frames.len() + place) * size..][..size];
            let to = &mut values[(channel * count + frame) * size..][..size];
            to.iter_mut().zip(from).for_each(|(to, from)| *to += share * from);
        }
    }
}

impl PartialEq for ContextWindows {
    fn eq(&self, other: &Self) -> bool {
        let same_texts = |a: &[Arc<TextRows>], b: &[Arc<TextRows>]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        let numbers = |it: &Self| (it.schedule, it.frames, it.overlap, it.strides, it.closed, it.mix, it.free_noise);
        numbers(self) == numbers(other) && self.start == other.start && same_texts(&self.sections, &other.sections)
    }
}

impl PartialEq for WindowStart {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Picture(one), Self::Picture(other)) => Arc::ptr_eq(one, other),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

#[cfg(test)]
mod tests;
