//! What the step caches save on the small model, and what they change.
//!
//! Each video is made in full and with each setting, from the same noise; PSNR is of the frames' bytes against the
//! full run's. Time is that of the sampling alone, with the model loaded.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;
use vita_base::Report;
use vita_pipeline::{
    CacheRule, CacheTables, Cancel, CfgZeroStar, Conditioning, ContextWindows, DecodeOptions, Enhance, Environment,
    Frame, Latent, ModelPatches, NagNumbers, NagPrompt, Noise, PassCache, Passes, PromptStyle, Residency, ReuseCache,
    ReusePlace, SampleJob, Schedule, SkipInNegative, SkipLayers, Span, Steps, TeaMeasure, TextEncoder, TextRows,
    Transformer, Vae, WindowMix, WindowSchedule, WindowStart, WrapperJob, WrapperSchedule, sample, sample_as_wrapper,
};

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of the model and of `eval.json`.
    #[arg(long, default_value = "assets/nano")]
    model: PathBuf,
    /// Videos for each setting: the first pairs of `eval.json`.
    #[arg(long, default_value_t = 8)]
    pairs: usize,
}

#[derive(Deserialize)]
struct Eval {
    sampling: Sampling,
    pairs: Vec<Pair>,
}

#[derive(Deserialize)]
struct Sampling {
    steps: usize,
    shift: f64,
    cfg: f64,
}

#[derive(Deserialize)]
struct Pair {
    prompt: String,
    seed: u64,
    width: usize,
    height: usize,
    frames: usize,
}

type Change = Box<dyn Fn(&mut ModelPatches)>;

/// The small model, and a place to run it in.
struct Bench {
    encoder: TextEncoder,
    model: Transformer,
    vae: Vae,
    sampling: Sampling,
    residency: Residency,
}

/// One video.
struct Made {
    bytes: Vec<u8>,
    passes: Passes,
    time: Duration,
}

/// Measures and prints.
///
/// # Errors
/// If a file cannot be read or a video cannot be made.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let path = arguments.model.join("eval.json");
    let text = std::fs::read_to_string(&path).map_err(|error| Report::new(format!("{}: {error}", path.display())))?;
    let Eval { sampling, pairs } =
        serde_json::from_str(&text).map_err(|error| Report::new(format!("{}: {error}", path.display())))?;
    let pairs = &pairs[..arguments.pairs.clamp(1, pairs.len())];
    let file = |name: &str| arguments.model.join(name);
    let bench = Bench {
        encoder: TextEncoder::open(file("nano-umt5.safetensors"))?,
        model: Transformer::open(file("nano-t2v-dit.safetensors"))?,
        vae: Vae::open(file("nano-vae.safetensors"))?,
        sampling,
        residency: Residency::many(None),
    };
    let nag = bench.encode("")?.text;
    let tables = CacheTables::of(bench.model.config(), bench.model.file());
    println!("| sampler | setting | passes left out | time ratio | PSNR, mean | PSNR, least |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (wrapper, settings) in [(true, wrapper_settings(nag, tables)), (false, native_settings())] {
        let full = bench.all(pairs, wrapper, &|_| {})?;
        for (name, change) in settings {
            let made = bench.all(pairs, wrapper, &*change)?;
            print_row(if wrapper { "wrapper" } else { "native" }, &name, &made, &full);
        }
    }
    Ok(())
}

const WHOLE: Span = Span { start: 0.0, end: 1.0 };

fn wrapper_settings(nag: TextRows, tables: &CacheTables) -> Vec<(String, Change)> {
    let cache = |rule: CacheRule, start_step| -> Change {
        Box::new(move |patches| {
            patches.pass_cache = Some(PassCache { rule: rule.clone(), start_step, end_step: None });
        })
    };
    let ratios = tables.ratios;
    let mut settings: Vec<(String, Change)> = Vec::new();
    for threshold in [0.1, 0.2, 0.3] {
        let rule = CacheRule::TeaCache { threshold, measure: TeaMeasure::Plain };
        settings.push((format!("TeaCache without coefficients, {threshold}"), cache(rule, 1)));
    }
    for threshold in [0.02, 0.06, 0.12] {
        let rule = CacheRule::MagCache { threshold, skips_max: 4, ratios };
        settings.push((format!("MagCache with 14B's ratios, {threshold}"), cache(rule, 1)));
    }
    for threshold in [0.015, 0.05, 0.1] {
        settings.push((format!("EasyCache, {threshold}, from step 4"), cache(CacheRule::EasyCache { threshold }, 4)));
    }
    let skip = SkipInNegative { blocks: vec![3], span: Span { start: 0.1, end: 1.0 } };
    settings.push(("SLG, block 3".into(), Box::new(move |patches| patches.skip_in_negative = Some(skip.clone()))));
    let enhance = Enhance { weight: 2.0, span: WHOLE };
    settings.push(("Enhance-A-Video, 2".into(), Box::new(move |patches| patches.enhance = Some(enhance))));
    settings.push(("RIFLEx, frequency 6".into(), Box::new(|patches| patches.riflex = Some(6))));
    let numbers = NagNumbers { scale: 11.0, tau: 2.5, alpha: 0.25 };
    let nag = NagPrompt { text: nag.into(), numbers };
    settings.push(("NAG, 11, empty prompt".into(), Box::new(move |patches| patches.nag = Some(nag.clone()))));
    settings
}

fn native_settings() -> Vec<(String, Change)> {
    let reuse = |threshold, place| -> Change {
        let span = Span { start: 0.15, end: 0.95 };
        Box::new(move |patches| patches.reuse_cache = Some(ReuseCache { threshold, span, place }))
    };
    let mut settings: Vec<(String, Change)> = Vec::new();
    for threshold in [0.05, 0.1, 0.2] {
        settings.push((format!("EasyCache, {threshold}"), reuse(threshold, ReusePlace::Velocity)));
    }
    for threshold in [0.05, 0.1, 0.2] {
        settings.push((format!("LazyCache, {threshold}"), reuse(threshold, ReusePlace::Guided)));
    }
    let span = Span { start: 0.01, end: 0.15 };
    let skip = SkipLayers { blocks: vec![3], scale: 3.0, span, rescale: 0.0 };
    settings.push((
        "SkipLayerGuidanceDiT, block 3".into(),
        Box::new(move |patches| patches.skip_layers = Some(skip.clone())),
    ));
    let star = CfgZeroStar { zero_steps: 0 };
    settings.push(("CFG-zero-star".into(), Box::new(move |patches| patches.cfg_zero_star = Some(star))));
    for (name, free_noise) in [("windows of 3 latent frames, 1 shared", false), ("the same with FreeNoise", true)] {
        let windows = ContextWindows {
            schedule: WindowSchedule::StaticStandard,
            frames: 3,
            overlap: 1,
            strides: 1,
            closed: false,
            mix: WindowMix::Pyramid,
            free_noise,
            start: WindowStart::OfFrame,
            sections: Vec::new(),
        };
        settings.push((name.into(), Box::new(move |patches| patches.windows = Some(windows.clone()))));
    }
    settings
}

impl Bench {
    fn all(&self, pairs: &[Pair], wrapper: bool, change: &dyn Fn(&mut ModelPatches)) -> Result<Vec<Made>, Report> {
        pairs.iter().map(|pair| self.make(pair, wrapper, change)).collect()
    }

    fn make(&self, pair: &Pair, wrapper: bool, change: &dyn Fn(&mut ModelPatches)) -> Result<Made, Report> {
        let Sampling { steps, shift, cfg } = self.sampling;
        let (positive, negative) = (self.encode(&pair.prompt)?, Some(self.encode("")?));
        let model = self.model.patched(|patches| {
            patches.shift = Some(shift);
            change(patches);
        });
        let latent = [pair.frames.div_ceil(4), pair.height / 8, pair.width / 8];
        let start = Instant::now();
        let sampled = self.within(|environment| match wrapper {
            true => {
                let job = WrapperJob {
                    model,
                    positive,
                    negative,
                    cfg: cfg.into(),
                    schedule: WrapperSchedule::new("unipc", steps, shift),
                    seed: pair.seed,
                    latent,
                    samples: None,
                    add_noise_to_samples: false,
                    known_frames: Default::default(),
                };
                sample_as_wrapper(&job, environment)
            }
            false => {
                let [frames, rows, columns] = latent;
                let channels = model.latent_channels();
                let job = SampleJob {
                    model,
                    positive,
                    negative,
                    cfg: cfg.into(),
                    sampler: "euler".into(),
                    schedule: Schedule::Named(Steps::new("simple", steps)),
                    noise: Noise::Seed(pair.seed),
                    seed: pair.seed,
                    latent: Latent::zeros([channels, frames, rows, columns]),
                };
                sample(&job, environment)
            }
        })?;
        let time = start.elapsed();
        let mut bytes = Vec::new();
        self.within(|environment| {
            let sink = &mut |frame: Frame<'_>| {
                bytes.extend_from_slice(frame.rgb);
                Ok(())
            };
            self.vae.decode_frames(&sampled.latent, DecodeOptions::default(), environment, sink)
        })?;
        Ok(Made { bytes, passes: sampled.passes, time })
    }

    fn encode(&self, text: &str) -> Result<Conditioning, Report> {
        Ok(self.within(|environment| self.encoder.encode(text, PromptStyle::Comfy, environment))?.into())
    }

    fn within<T>(&self, work: impl FnOnce(&mut Environment) -> T) -> T {
        work(&mut Environment {
            cancel: &Cancel::default(),
            observer: &mut (),
            clock: &|| Duration::ZERO,
            residency: &self.residency,
        })
    }
}

fn print_row(sampler: &str, name: &str, made: &[Made], full: &[Made]) {
    let total = |all: &[Made]| all.iter().map(|made| made.time.as_secs_f64()).sum::<f64>();
    let sum = |count: fn(&Passes) -> usize| made.iter().map(|made| count(&made.passes)).sum::<usize>();
    let (asked, skipped) = (sum(|passes| passes.asked), sum(|passes| passes.skipped));
    let all: Vec<f64> = made.iter().zip(full).map(|(made, full)| psnr(&made.bytes, &full.bytes)).collect();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    let share = 100.0 * skipped as f64 / asked as f64;
    let ratio = total(made) / total(full);
    println!(
        "| {sampler} | {name} | {skipped} of {asked} ({share:.0} %) | {ratio:.2} | {mean:.1} dB | {least:.1} dB |"
    );
}

/// In decibels, of bytes.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let square: f64 = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    10.0 * (255.0f64.powi(2) / (square / a.len() as f64)).log10()
}
