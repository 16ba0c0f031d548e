//! The stages of a whole run, one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use vita_models::vae::Tile;
use vita_tensor::{Tensor, memory as pool};

use super::memory::{check, uses_negative};
use super::models::Models;
use super::request::{Source, VideoRequest};
use crate::Error;
use crate::conditioning::{Conditioning, ImageConditioning};
use crate::environment::Environment;
use crate::frame::Sink;
use crate::guidance::Cfg;
use crate::image_to_video::{VideoSize, native};
use crate::latent::{Latent, LatentSpace};
use crate::memory::Estimate;
use crate::parts::{ClipCrop, DecodeOptions, PromptStyle, TextRows, below_each_other};
use crate::progress::{Event, Observer, Stage};
use crate::resize::bilinear_center;
use crate::sampling::{
    Experts, Noise, SampleJob, Sampled, Schedule, Steps, WrapperJob, WrapperSchedule, sample, sample_as_wrapper,
    sample_experts, sample_experts_as_wrapper,
};

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

/// How a whole run reads its prompts.
pub(super) const CONTEXT_STYLE: PromptStyle = PromptStyle::Comfy;

/// Makes a video, and hands over its frames one by one, first to last.
///
/// # Errors
/// If the request cannot be, does not fit in memory, was cancelled, or a frame was refused; see [`Error`].
pub fn make_video(
    models: &Models,
    request: &VideoRequest,
    environment: &mut Environment,
    sink: &mut Sink,
) -> Result<Summary, Error> {
    request.check()?;
    models.check_request(request)?;
    check_schedule(models, request)?;
    let estimate = check(models, request, environment.residency)?;
    pool::release_idle();
    pool::reset_peak();
    let mut timed = Timed { observer: &mut *environment.observer, stages: Vec::new(), current: None };
    let mut inner = Environment {
        cancel: environment.cancel,
        observer: &mut timed,
        clock: environment.clock,
        residency: environment.residency,
    };
    run(models, request, &mut inner, sink)?;
    timed.finish();
    let stages = timed.stages;
    pool::release_idle();
    Ok(Summary { estimate, activation_bytes_peak: pool::stats().peak_bytes as u64, stages })
}

/// How the autoencoder is to be run.
pub(super) fn tiles(request: &VideoRequest) -> DecodeOptions {
    DecodeOptions { tile: request.tile.map(|side| Tile { size: side, overlap: side / 4 }) }
}

fn run(models: &Models, request: &VideoRequest, environment: &mut Environment, sink: &mut Sink) -> Result<(), Error> {
    let prompts = prompts(models, request, environment)?;
    let image = image(models, request, environment)?;
    let latent = start(models, request, environment)?;
    let mut conditionings = prompts.into_iter().map(|text| Conditioning { text, image: image.clone() });
    let positive = conditionings.next().expect("a run has a prompt");
    let led = Led { positive, negative: conditionings.next(), latent };
    let sampled = match request.sampling.wrapper_scheduler() {
        None => as_comfy(models, request, led, environment)?,
        Some(scheduler) => as_wrapper(models, request, scheduler, led, environment)?,
    };
    models.vae.decode_frames(&sampled.latent, tiles(request), environment, sink)
}

/// What a sampler starts from, and what leads it.
struct Led {
    positive: Conditioning,
    negative: Option<Conditioning>,
    latent: Latent,
}

fn as_comfy(
    models: &Models,
    request: &VideoRequest,
    led: Led,
    environment: &mut Environment,
) -> Result<Sampled, Error> {
    let job = comfy_job(models, request, led);
    let Some((low, switch)) = &models.dit_low else { return sample(&job, environment) };
    let shift = request.sampling.shift;
    let experts = Experts {
        low: low.patched(|patches| patches.shift = Some(shift)),
        cfg_low: cfg_low(request),
        switch: request.switch.unwrap_or(*switch),
    };
    sample_experts(&job, &experts, environment)
}

fn as_wrapper(
    models: &Models,
    request: &VideoRequest,
    scheduler: &str,
    led: Led,
    environment: &mut Environment,
) -> Result<Sampled, Error> {
    let job = wrapper_job(models, request, scheduler, led)?;
    let Some((low, switch)) = &models.dit_low else { return sample_as_wrapper(&job, environment) };
    sample_experts_as_wrapper(&job, low, &cfg_low(request), request.switch.unwrap_or(*switch), environment)
}

fn cfg_low(request: &VideoRequest) -> Cfg {
    Cfg::Constant(request.sampling.cfg_low.unwrap_or(request.sampling.cfg))
}

/// The prompt, and the negative prompt if guidance asks for it.
fn prompts(models: &Models, request: &VideoRequest, environment: &mut Environment) -> Result<Vec<TextRows>, Error> {
    let used = if uses_negative(models, request) { 2 } else { 1 };
    let prompts = [request.prompt.as_str(), request.negative_prompt.as_str()].map(|prompt| (prompt, CONTEXT_STYLE));
    models.text_encoder.encode_all(&prompts[..used], environment)
}

/// What the model is told of the pictures, beside the noise.
fn image(models: &Models, request: &VideoRequest, environment: &mut Environment) -> Result<ImageConditioning, Error> {
    let Source::Image { start, end } = &request.source else { return Ok(ImageConditioning::default()) };
    if !models.dit.takes_image_latents() {
        return Ok(ImageConditioning::default());
    }
    let clip = match (&models.clip_vision, models.dit.clip_width()) {
        (Some(clip), Some(_)) => {
            let mut of = |pictures: &Tensor, frame: usize| {
                clip.encode(&pictures.narrow(0, frame, 1), ClipCrop::Center, environment)
            };
            let first = of(start, 0)?;
            Some(match end {
                None => first,
                Some(end) => below_each_other(&[&first, &of(end, end.dims()[0] - 1)?]),
            })
        }
        _ => None,
    };
    let size = size(request);
    let known = match end {
        None => native::image_to_video(&models.vae, Some(start), size, environment)?,
        Some(end) => Some(native::first_last_frame(&models.vae, Some(start), Some(end), size, environment)?),
    };
    Ok(ImageConditioning { known, clip })
}

/// The latent that the run starts from.
fn start(models: &Models, request: &VideoRequest, environment: &mut Environment) -> Result<Latent, Error> {
    match &request.source {
        Source::Image { start, .. } if models.dit.has_frame_timesteps() => {
            native::image_latent(&models.vae, Some(start), size(request), environment)
        }
        Source::Video(video) => {
            let count = request.frames.min(video.dims()[0]);
            let video = bilinear_center(&video.narrow(0, 0, count), [request.height, request.width]);
            models.vae.encode(&video, tiles(request), environment)
        }
        _ => Ok(Latent::zeros(models.vae.latent_dims(request.video()))),
    }
}

fn size(request: &VideoRequest) -> VideoSize {
    VideoSize { width: request.width, height: request.height, frames: request.frames }
}

fn comfy_job(models: &Models, request: &VideoRequest, led: Led) -> SampleJob {
    let sampling = &request.sampling;
    let Led { positive, negative, latent } = led;
    SampleJob {
        model: models.dit.patched(|patches| patches.shift = Some(sampling.shift)),
        positive,
        negative,
        cfg: Cfg::Constant(sampling.cfg),
        sampler: sampling.sampler.clone(),
        schedule: Schedule::Named(Steps {
            denoise: sampling.denoise,
            ..Steps::new(&sampling.scheduler, sampling.steps)
        }),
        noise: Noise::Seed(sampling.seed),
        seed: sampling.seed,
        latent,
    }
}

fn wrapper_job(models: &Models, request: &VideoRequest, scheduler: &str, led: Led) -> Result<WrapperJob, Error> {
    let sampling = &request.sampling;
    let [_, frames, rows, columns] = led.latent.sizes()?;
    let known = match &led.latent.noise_mask {
        None => BTreeMap::new(),
        // The picture is the first latent frame.
        Some(_) => BTreeMap::from([(0, led.latent.samples_in(LatentSpace::Normalised)?.narrow(1, 0, 1))]),
    };
    Ok(WrapperJob {
        model: models.dit.clone(),
        positive: led.positive,
        negative: led.negative,
        cfg: Cfg::Constant(sampling.cfg),
        schedule: WrapperSchedule {
            denoise: sampling.denoise,
            ..WrapperSchedule::new(scheduler, sampling.steps, sampling.shift)
        },
        seed: sampling.seed,
        latent: [frames, rows, columns],
        samples: matches!(request.source, Source::Video(_)).then_some(led.latent),
        add_noise_to_samples: true,
        known_frames: known,
    })
}

/// Finds wrong names and numbers of the schedule before anything is loaded.
fn check_schedule(models: &Models, request: &VideoRequest) -> Result<(), Error> {
    let positive = Conditioning::text(TextRows::new(Tensor::zeros([0, models.text_encoder.width()])));
    let latent = Latent::zeros([models.dit.latent_channels(), 1, 1, 1]);
    let led = Led { positive, negative: None, latent };
    match request.sampling.wrapper_scheduler() {
        None => comfy_job(models, request, led).levels().map(drop),
        Some(scheduler) => wrapper_job(models, request, scheduler, led)?.timetable().map(drop),
    }
}

/// Adds up the time of each stage on the way to an observer.
struct Timed<'a> {
    observer: &'a mut dyn Observer,
    stages: Vec<(Stage, Duration)>,
    /// The stage that runs, and its time so far.
    current: Option<(Stage, Duration)>,
}

impl Timed<'_> {
    fn finish(&mut self) {
        let Some((current, elapsed)) = self.current.take() else { return };
        match self.stages.iter_mut().find(|(stage, _)| *stage == current) {
            Some((_, sum)) => *sum += elapsed,
            None => self.stages.push((current, elapsed)),
        }
    }
}

impl Observer for Timed<'_> {
    fn observe(&mut self, event: Event<'_>) {
        if let Event::Step { stage, step, elapsed, .. } = event {
            if step == 0 {
                self.finish();
            }
            self.current = Some((stage, elapsed));
        }
        self.observer.observe(event);
    }

    fn wants_previews(&self) -> bool {
        self.observer.wants_previews()
    }
}
