//! `probe sample`: a whole run of the transformer, from noise to the final latent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use vita_base::Report;
use vita_pipeline::{
    Cancel, Cfg, Conditioning, Environment, Event, Experts, ImageConditioning, KnownFrames, Latent, LatentSpace, Noise,
    Observer, Residency, SampleJob, Schedule, Switch, TextRows, Transformer, guidance, sample, sample_experts,
};
use vita_tensor::Tensor;

use super::files::{Files, Inputs};
use super::schedule;
use crate::arguments::Shape;
use crate::changes::{Features, LoraFile, Nag};
use crate::terminal;

/// A whole run of the transformer, from noise to the final latent.
///
/// Inputs; latents are on the sampler's scale, rows of zeros at a prompt's end are padding and
/// take part:
///
///   context           [1, S, text width], the prompt
///   context_negative  the same of the negative prompt, if a guidance is not 1
///   latent            of --shape, which the noise is added to; zeros if there is none
///   mask              [1, T] or [1, T, H, W]: 1 where something is made, 0 where latent is kept
///   image_latent      for files that take it beside the noise: [1, C, T, H, W], every frame;
///                     for TI2V: [1, C, t, H, W], the first frames, which stay clean
///   image_mask        [1, 4, T, H, W]: 1 where a frame of image_latent is known; the first
///                     latent frame if there is none
///   clip_fea          [1, 257, width], or [1, 514, width] for a first and a last image
///   context_nag       as context, what --nag leads away from
///
/// Result: the latent, of --shape.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    files: Files,
    /// The expert for low noise; --weights is then that for high noise.
    #[arg(long, value_name = "FILE")]
    weights_low: Option<PathBuf>,
    /// Noise level, 0 to 1, below which the expert for low noise takes over [default: 0.9 for files that take image
    /// latents, else 0.875].
    #[arg(long, value_name = "F", requires = "weights_low")]
    boundary: Option<f64>,
    /// First step, from 0, of the expert for low noise, instead of a level.
    #[arg(long, value_name = "N", requires = "weights_low", conflicts_with = "boundary")]
    switch_step: Option<usize>,
    /// A LoRA upon the transformer, or upon the expert for high noise; may be given several times.
    #[arg(long, value_name = "FILE[:STRENGTH]")]
    lora: Vec<LoraFile>,
    /// The same upon the expert for low noise.
    #[arg(long, value_name = "FILE[:STRENGTH]", requires = "weights_low")]
    lora_low: Vec<LoraFile>,
    /// Seed of all noise, of which the low 32 bits count.
    #[arg(long, value_name = "N")]
    seed: u64,
    /// Shape of the latent: 1,C,T,H,W.
    #[arg(long, value_name = "1,C,T,H,W")]
    shape: Shape,
    /// Guidance; at 1 the negative prompt is not run. Several with commas between are those of the steps, the last
    /// of which goes on.
    #[arg(long, value_name = "F", default_value = "1", value_delimiter = ',', allow_negative_numbers = true)]
    cfg: Vec<f64>,
    /// Guidance of the expert for low noise [default: that of the other].
    #[arg(long, value_name = "F", value_delimiter = ',', requires = "weights_low", allow_negative_numbers = true)]
    cfg_low: Vec<f64>,
    #[command(flatten)]
    schedule: schedule::Arguments,
    /// Take `latent` as it is, without noise.
    #[arg(long)]
    no_noise: bool,
    #[command(flatten)]
    features: Features,
    /// Lead away from `context_nag` inside the attention to the prompt, so strongly; the authors use 11.
    #[arg(long, value_name = "SCALE", help_heading = "Speed and guidance")]
    nag: Option<f32>,
}

/// Runs the transformer step by step.
///
/// # Errors
/// If the checkpoint is no transformer, or an input or a flag does not fit it.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let &[1, channels, frames, rows, columns] = &arguments.shape.0[..] else {
        return Err(Report::new(format!("--shape is {:?}, expected 1,C,T,H,W", arguments.shape.0)));
    };
    let given = Given { inputs: arguments.files.inputs()?, latent: [channels, frames, rows, columns] };
    let model = arguments.model(&arguments.files.weights, &arguments.lora, &given)?;
    let low = arguments.weights_low.as_deref().map(|file| arguments.model(file, &arguments.lora_low, &given));
    let low = low.transpose()?;

    let cfg = cfg(&arguments.cfg);
    let cfg_low = if arguments.cfg_low.is_empty() { cfg.clone() } else { self::cfg(&arguments.cfg_low) };
    let image = given.image(&model)?;
    let prompt =
        |name| -> Result<Conditioning, Report> { Ok(Conditioning { text: given.text(name)?, image: image.clone() }) };
    let is_guided = arguments.cfg.iter().chain(&arguments.cfg_low).any(|&cfg| guidance::needs_negative(cfg));
    let has_negative = is_guided || given.inputs.has("context_negative");
    let job = SampleJob {
        positive: prompt("context")?,
        negative: has_negative.then(|| prompt("context_negative")).transpose()?,
        cfg,
        sampler: arguments.schedule.sampler().to_owned(),
        schedule: Schedule::Named(arguments.schedule.steps()),
        noise: if arguments.no_noise { Noise::None } else { Noise::Seed(arguments.seed) },
        seed: arguments.seed,
        latent: given.start(&model)?,
        model,
    };
    let mut environment = Environment {
        cancel: &Cancel::default(),
        observer: &mut Warnings,
        clock: &|| Duration::ZERO,
        residency: &Residency::one(None),
    };
    let sampled = match low {
        None => sample(&job, &mut environment)?,
        Some(low) => {
            let switch = arguments.switch(&job.model);
            sample_experts(&job, &Experts { low, cfg_low, switch }, &mut environment)?
        }
    };
    let out = sampled.latent.samples_in(LatentSpace::Normalised)?;
    arguments.files.outputs.write(&out.reshape(&arguments.shape.0[..]))
}

impl Arguments {
    /// A transformer with what the flags change of it.
    fn model(&self, file: &Path, loras: &[LoraFile], given: &Given) -> Result<Transformer, Report> {
        let model = LoraFile::upon(&Transformer::open(file)?, loras.iter(), Path::new(""))?;
        let model = model.patched(|patches| patches.shift = Some(self.schedule.shift()));
        let nag = self.nag.map(|scale| Ok::<_, Report>(Nag { text: given.text("context_nag")?, scale })).transpose()?;
        Ok(self.features.apply(&model, nag))
    }

    fn switch(&self, model: &Transformer) -> Switch {
        let own = if model.takes_image_latents() { 0.9 } else { 0.875 };
        self.switch_step.map_or(Switch::Boundary(self.boundary.unwrap_or(own)), Switch::Step)
    }
}

fn cfg(steps: &[f64]) -> Cfg {
    match steps {
        &[one] => Cfg::Constant(one),
        steps => Cfg::PerStep(steps.to_vec()),
    }
}

/// The inputs, and `[C, T, H, W]` of the latent.
struct Given {
    inputs: Inputs,
    latent: [usize; 4],
}

impl Given {
    fn text(&self, name: &str) -> Result<TextRows, Report> {
        let padded = self.inputs.tensor(name, &["1", "S", "text width"])?;
        self.inputs.check_batch(name, &padded, 1)?;
        Ok(TextRows::from_padded(&padded.select(0, 0).to_contiguous_f32()))
    }

    /// What goes in beside the noise and the prompt.
    fn image(&self, model: &Transformer) -> Result<ImageConditioning, Report> {
        let clip = self.one("clip_fea", &["1", "tokens", "width"])?;
        if !model.takes_image_latents() {
            return Ok(ImageConditioning { known: None, clip });
        }
        let Some(latent) = self.one("image_latent", &["1", "C", "T", "H", "W"])? else {
            return Ok(ImageConditioning { known: None, clip });
        };
        let [_, frames, rows, columns] = self.latent;
        let mask = match self.one("image_mask", &["1", "4", "T", "H", "W"])? {
            Some(mask) => mask,
            None => {
                let mut mask = Tensor::zeros([4, frames, rows, columns]);
                let plane = rows * columns;
                mask.f32s_mut().chunks_exact_mut(frames * plane).for_each(|clip| clip[..plane].fill(1.0));
                mask
            }
        };
        Ok(ImageConditioning { known: Some(KnownFrames { latent, mask, space: LatentSpace::Normalised }), clip })
    }

    /// What is started from, and what of it is kept.
    fn start(&self, model: &Transformer) -> Result<Latent, Report> {
        let dims @ [channels, frames, rows, columns] = self.latent;
        let mut latent = match self.one("latent", &["1", "C", "T", "H", "W"])? {
            None => Tensor::zeros(dims),
            Some(latent) if *latent.dims() == dims => latent,
            Some(latent) => {
                return Err(self.inputs.error(format!("`latent` is {}, expected {dims:?}", latent.dims())));
            }
        };
        let mut mask = self.mask()?;
        let image =
            if model.has_frame_timesteps() { self.one("image_latent", &["1", "C", "T", "H", "W"])? } else { None };
        if let Some(image) = image {
            let [found, known, ..] = image.sizes::<4>();
            if known > frames || *image.dims() != [channels, known, rows, columns] || found != channels {
                let found = image.dims();
                return Err(self
                    .inputs
                    .error(format!("`image_latent` is {found}, expected the first frames of {dims:?}")));
            }
            let plane = rows * columns;
            let clips = latent.f32s_mut().chunks_exact_mut(frames * plane);
            for (clip, image) in clips.zip(image.f32s().chunks_exact(known * plane)) {
                clip[..known * plane].copy_from_slice(image);
            }
            let mut first = mask.unwrap_or_else(|| Tensor::from_vec(vec![1.0; frames], [frames, 1, 1]));
            let frame = first.element_count() / frames;
            first.f32s_mut()[..known * frame].fill(0.0);
            mask = Some(first);
        }
        Ok(Latent { noise_mask: mask, ..Latent::normalised(latent) })
    }

    /// `[T, h, w]`; of one value a frame, 1 by 1.
    fn mask(&self) -> Result<Option<Tensor>, Report> {
        let [_, frames, ..] = self.latent;
        let whole = self.inputs.optional("mask", &["1", "T", "H", "W"]);
        let mask = match whole {
            Ok(mask) => mask,
            Err(_) => self.inputs.optional("mask", &["1", "T"])?.map(|mask| {
                let count = mask.element_count();
                mask.reshape([1, count, 1, 1])
            }),
        };
        let Some(mask) = mask.map(|mask| mask.select(0, 0).to_contiguous_f32()) else { return Ok(None) };
        match mask.dims()[0] == frames {
            true => Ok(Some(mask)),
            false => Err(self.inputs.error(format!("`mask` has {} frames, expected {frames}", mask.dims()[0]))),
        }
    }

    /// A tensor without its batch of one.
    fn one(&self, name: &str, axes: &[&str]) -> Result<Option<Tensor>, Report> {
        let Some(tensor) = self.inputs.optional(name, axes)? else { return Ok(None) };
        self.inputs.check_batch(name, &tensor, 1)?;
        Ok(Some(tensor.select(0, 0).to_contiguous_f32()))
    }
}

/// Says what a run warns of.
struct Warnings;

impl Observer for Warnings {
    fn observe(&mut self, event: Event<'_>) {
        if let Event::Warning(text) = event {
            terminal::note(&format!("warning: {text}"));
        }
    }
}
