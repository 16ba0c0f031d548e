//! A whole run from text to frames.

use std::ops::ControlFlow;
use std::time::Duration;

use vita_base::Cancel;
use vita_models::umt5::Umt5;
use vita_models::vae21::{self, WAN21};
use vita_models::wan::{HIDDEN_BYTES_MAX, LayoutOptions, Wan};
use vita_tensor::{Tensor, memory as pool};

use crate::Error;
use crate::conditioning::{Encoded, encode};
use crate::denoise::Denoise;
use crate::guidance::needs_negative;
use crate::memory::{self, Estimate};
use crate::models::Models;
use crate::progress::{Event, Observer, Stage};
use crate::request::TextToVideo;

/// What a run has around it.
pub struct Environment<'a> {
    /// Stops it.
    pub cancel: &'a Cancel,
    /// Hears of it.
    pub observer: &'a mut dyn Observer,
    /// Time since any fixed moment.
    pub clock: &'a dyn Fn() -> Duration,
    /// Bytes that the run may take; `None` for no bound.
    pub memory_free_bytes: Option<u64>,
}

/// One frame of a video.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// From 0.
    pub index: usize,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Rows of red, green, blue.
    pub rgb: &'a [u8],
}

/// What a run took.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What was said beforehand.
    pub estimate: Estimate,
    /// The most bytes of activations at once, as measured.
    pub activation_bytes_peak: u64,
    /// Each stage that ran, and how long.
    pub stages: Vec<(Stage, Duration)>,
}

/// Takes frames as they come; its error ends the run.
pub type Sink<'a> = dyn FnMut(Frame<'_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + 'a;

/// Makes a video of a text, and hands over its frames one by one, first to last.
///
/// # Errors
/// If the request cannot be, does not fit in memory, was cancelled, or a frame was refused; see [`Error`].
pub fn text_to_video(
    models: &Models,
    request: &TextToVideo,
    environment: &mut Environment,
    sink: &mut Sink,
) -> Result<Summary, Error> {
    request.check()?;
    let denoise = Denoise::new(request)?;
    let estimate = memory::check(models, request, environment.memory_free_bytes)?;
    pool::release_idle();
    pool::reset_peak();
    let mut run = Run { models, request, environment, stages: Vec::new() };
    let prompts = run.encode_prompts()?;
    let latent = run.sample(denoise, &prompts)?;
    run.decode(&latent, sink)?;
    let stages = run.stages;
    pool::release_idle();
    Ok(Summary { estimate, activation_bytes_peak: pool::stats().peak_bytes as u64, stages })
}

struct Run<'a, 'b> {
    models: &'a Models,
    request: &'a TextToVideo,
    environment: &'a mut Environment<'b>,
    stages: Vec<(Stage, Duration)>,
}

impl Run<'_, '_> {
    /// The prompt, and the negative prompt if guidance asks for it.
    fn encode_prompts(&mut self) -> Result<Vec<Encoded>, Error> {
        let used = if needs_negative(self.request.sampling.cfg) { 2 } else { 1 };
        let texts = &[&self.request.prompt, &self.request.negative_prompt][..used];
        let loading = self.begin(Stage::Loading, 1);
        let part = &self.models.text_encoder;
        let encoder = Umt5::load(&part.weights)?;
        self.end(loading);
        let mut stage = self.begin(Stage::Text, used);
        let mut prompts = Vec::with_capacity(used);
        for text in texts {
            let encoded = encode(&encoder, &self.models.tokenizer, text, self.environment.cancel)?;
            if !is_finite(&encoded.rows) {
                return Err(Error::TextNotFinite { file: part.file() });
            }
            encoded
                .warnings
                .iter()
                .for_each(|warning| self.environment.observer.observe(Event::Warning(warning.clone())));
            prompts.push(encoded);
            self.step(&mut stage);
        }
        self.end(stage);
        Ok(prompts)
    }

    /// The denoised latent, on the transformer's scale.
    fn sample(&mut self, denoise: Denoise, prompts: &[Encoded]) -> Result<Tensor, Error> {
        let part = &self.models.dit;
        let mut loading = self.begin(Stage::Loading, part.config.layers);
        let wan = Wan::load(&part.weights, &mut |_, _| {
            self.step(&mut loading);
            self.proceed()
        })?;
        self.end(loading);

        let [_, frames, rows, columns] = self.request.latent_dims(part.config.out_dim);
        let layout = wan.layout([frames, rows, columns], LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX })?;
        let mut contexts = Vec::with_capacity(prompts.len());
        for prompt in prompts {
            contexts.push(wan.context(&prompt.prompt()?, None)?);
        }
        let mut stage = self.begin(Stage::Sampling, denoise.step_count());
        let cancel = self.environment.cancel.clone();
        let latent = denoise.run(
            part.config.out_dim,
            &mut |x, timestep, use_negative| {
                let context = &contexts[usize::from(use_negative)];
                Ok(wan.forward(x, &[timestep], context, &layout, &mut |_, _| flow(&cancel))?)
            },
            &mut |step, denoised| {
                if !is_finite(denoised) {
                    return Err(Error::NotFinite { step, total: stage.total, culprit: self.culprit() });
                }
                self.step(&mut stage);
                self.preview(step, denoised);
                check(self.environment.cancel)
            },
        )?;
        self.end(stage);
        Ok(latent)
    }

    fn decode(&mut self, latent: &Tensor, sink: &mut Sink) -> Result<(), Error> {
        let loading = self.begin(Stage::Loading, 1);
        let decoder = vae21::Decoder::load(&self.models.vae.weights)?;
        self.end(loading);
        let options = memory::decode_options(self.models, self.request, self.environment.memory_free_bytes);
        let raw = WAN21.denormalize(latent);
        let mut stage = self.begin(Stage::Decoding, self.request.frames);
        let mut next = 0;
        let mut failure = None;
        let flow = decoder.decode_with(&raw, options, &mut |progress| {
            if let Some(frames) = progress.frames {
                match push_frames(&frames, next, sink) {
                    Ok(count) => next += count,
                    Err(error) => {
                        failure = Some(Error::Sink(error));
                        return ControlFlow::Break(());
                    }
                }
            }
            // By the work done: all frames of a short clip come out together at the end.
            self.advance(&mut stage, (progress.fraction * self.request.frames as f64) as usize);
            self.proceed()
        })?;
        match (failure, flow) {
            (Some(failure), _) => Err(failure),
            (None, ControlFlow::Break(())) => Err(Error::Cancelled),
            (None, ControlFlow::Continue(())) => {
                self.end(stage);
                Ok(())
            }
        }
    }

    fn preview(&mut self, step: usize, denoised: &Tensor) {
        if !self.environment.observer.wants_previews() {
            return;
        }
        let picture = WAN21.preview(denoised, 0);
        let [height, width, _] = picture.sizes();
        let rgb: Vec<u8> = picture.f32s().iter().map(|&value| byte(value)).collect();
        self.environment.observer.observe(Event::Preview { step, width, height, rgb: &rgb });
    }

    /// A tensor of the transformer that holds values that are not numbers itself.
    fn culprit(&self) -> Option<String> {
        let weights = &self.models.dit.weights;
        let broken = weights.all().find(|(_, stored)| {
            let dtype = stored.element_type.dtype().filter(|dtype| dtype.is_float());
            let tensor = dtype.and_then(|dtype| Tensor::from_bytes(stored.bytes.clone(), dtype, &stored.dims).ok());
            tensor.is_some_and(|tensor| !is_finite(&vita_ops::to_f32(&tensor)))
        });
        broken.map(|(name, _)| name.to_owned())
    }

    fn begin(&mut self, stage: Stage, total: usize) -> Current {
        let current = Current { stage, total, done: 0, start: (self.environment.clock)() };
        self.report(&current);
        current
    }

    fn step(&mut self, current: &mut Current) {
        current.done += 1;
        self.report(current);
    }

    /// Reports a number of steps done, if it is new.
    fn advance(&mut self, current: &mut Current, done: usize) {
        if done > current.done {
            current.done = done;
            self.report(current);
        }
    }

    fn end(&mut self, mut current: Current) {
        if current.done < current.total {
            current.done = current.total;
            self.report(&current);
        }
        let elapsed = (self.environment.clock)() - current.start;
        match self.stages.iter_mut().find(|(stage, _)| *stage == current.stage) {
            Some((_, sum)) => *sum += elapsed,
            None => self.stages.push((current.stage, elapsed)),
        }
    }

    fn report(&mut self, current: &Current) {
        let &Current { stage, total, done, start } = current;
        let elapsed = (self.environment.clock)() - start;
        self.environment.observer.observe(Event::Step { stage, step: done, total, elapsed });
    }

    fn proceed(&self) -> ControlFlow<()> {
        flow(self.environment.cancel)
    }
}

/// A stage that is running.
struct Current {
    stage: Stage,
    total: usize,
    done: usize,
    start: Duration,
}

fn check(cancel: &Cancel) -> Result<(), Error> {
    if cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

fn flow(cancel: &Cancel) -> ControlFlow<()> {
    if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// frames: `[F, H, W, 3]` in -1..1. Returns how many they were.
fn push_frames(
    frames: &Tensor,
    first: usize,
    sink: &mut Sink,
) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
    let [count, height, width, channels] = frames.sizes();
    let frames = vita_ops::to_f32(frames);
    for (i, values) in frames.f32s().chunks_exact(height * width * channels).enumerate() {
        let rgb: Vec<u8> = values.iter().map(|&value| byte((value + 1.0) / 2.0)).collect();
        sink(Frame { index: first + i, width, height, rgb: &rgb })?;
    }
    Ok(count)
}

/// 0..1 to 0..=255, rounded.
fn byte(value: f32) -> u8 {
    (value * 255.0 + 0.5) as u8
}

fn is_finite(tensor: &Tensor) -> bool {
    // A sum of products with zero is zero, unless one factor is infinite or no number.
    tensor.f32s().iter().map(|value| value * 0.0).sum::<f32>() == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_bytes_and_broken_ones_are_found() {
        assert_eq!([-0.1, 0.0, 0.5, 1.0, 1.2, f32::NAN].map(byte), [0, 0, 128, 255, 255, 0]);
        let tensor = |value| Tensor::from_vec(vec![1.0, value, -3e38], [3]);
        assert!(is_finite(&tensor(3e38)));
        assert!(!is_finite(&tensor(f32::NAN)) && !is_finite(&tensor(f32::NEG_INFINITY)));
    }
}
