//! The loss of two experts: each alone, and each in its own range of noise.
//!
//! The clips are the scenes of the list, which training never saw. The loss is the mean square of velocity minus
//! `noise - clean`, at noise levels spread as the schedule's shift spreads them.

use vita_base::Report;
use vita_pipeline::image_to_video::{VideoSize, native};
use vita_pipeline::{
    Cfg, Conditioning, DecodeOptions, ImageConditioning, Latent, LatentSpace, Noise, PromptStyle, SampleJob, Schedule,
    Transformer, pictures, sample,
};

use super::clip::{Clip, Settings};
use super::eval::Pair;
use super::{Bench, scene};

/// Levels a clip is looked at.
const LEVELS: usize = 8;

/// Prints the losses.
///
/// # Errors
/// If the system has not two experts, a clip cannot be made of, or the pair is no better than each expert.
pub fn run(bench: &Bench, pairs: &[Pair], settings: &Settings) -> Result<(), Report> {
    let (Some((low, _)), Some(boundary)) = (&bench.models.dit_low, bench.sampling.boundary) else {
        return Err(Report::new("the loss is compared of systems of two experts"));
    };
    let experts = [&bench.models.dit, low];
    // Of each expert above and below the boundary.
    let (mut sums, mut counts) = ([[0.0; 2]; 2], [0usize; 2]);
    for (index, pair) in pairs.iter().enumerate() {
        let Some(start) = &pair.start else { return Err(Report::new("the list has no start pictures")) };
        let work = Work::new(bench, pair, &scene::draw_clip(pair, start, settings))?;
        for level in 0..LEVELS {
            let sigma = spread(bench.sampling.shift, index, level, pairs.len());
            let side = usize::from(sigma < boundary);
            counts[side] += 1;
            for (expert, sums) in experts.iter().zip(&mut sums) {
                sums[side] += work.loss(bench, expert, sigma as f32, pair.seed + level as u64)?;
            }
        }
    }
    let total = (counts[0] + counts[1]) as f64;
    let [high, low] = sums;
    let mean = |sum: f64, count: usize| sum / count.max(1) as f64;
    for (name, sums) in [("high-noise expert alone", high), ("low-noise expert alone", low)] {
        println!(
            "{name:24} {:.4}; from {boundary} on {:.4}, below {:.4}",
            (sums[0] + sums[1]) / total,
            mean(sums[0], counts[0]),
            mean(sums[1], counts[1])
        );
    }
    let pair = (high[0] + low[1]) / total;
    println!("{:24} {pair:.4} ({} and {} samples)", "pair", counts[0], counts[1]);
    match [high, low].iter().all(|alone| pair < (alone[0] + alone[1]) / total) {
        true => Ok(()),
        false => Err(Report::new("the pair is no better than one expert alone")),
    }
}

/// A level for a clip: all of them together lie evenly, then are shifted.
fn spread(shift: f64, clip: usize, level: usize, clips: usize) -> f64 {
    let share = (level as f64 + (clip as f64 + 0.5) / clips as f64) / LEVELS as f64;
    shift * share / (1.0 + (shift - 1.0) * share)
}

/// A clip, made ready.
struct Work {
    conditioning: Conditioning,
    /// On the transformer's scale.
    clean: Latent,
}

impl Work {
    fn new(bench: &Bench, pair: &Pair, clip: &Clip) -> Result<Self, Report> {
        let models = &bench.models;
        let size = VideoSize { width: clip.width, height: clip.height, frames: clip.frames.len() };
        let all = pictures(size.video(), &clip.frames.concat());
        let made = bench.within(|environment| {
            let text = models.text_encoder.encode(&pair.prompt, PromptStyle::Comfy, environment)?;
            let clean = models.vae.encode(&all, DecodeOptions::default(), environment)?;
            let clean = Latent::normalised(clean.samples_in(LatentSpace::Normalised)?);
            let known = native::image_to_video(&models.vae, Some(&all.narrow(0, 0, 1)), size, environment)?;
            let conditioning = Conditioning { text, image: ImageConditioning { known, clip: None } };
            Ok::<_, vita_pipeline::Error>(Self { conditioning, clean })
        })?;
        Ok(made)
    }

    /// One step to no noise at all tells the velocity: `denoised = x - sigma v`, so `v - (noise - clean)` is
    /// `(clean - denoised) / sigma`.
    fn loss(&self, bench: &Bench, expert: &Transformer, sigma: f32, seed: u64) -> Result<f64, Report> {
        let job = SampleJob {
            model: expert.clone(),
            positive: self.conditioning.clone(),
            negative: None,
            cfg: Cfg::Constant(1.0),
            sampler: "euler".into(),
            schedule: Schedule::Sigmas(vec![sigma, 0.0]),
            noise: Noise::Seed(seed),
            seed,
            latent: self.clean.clone(),
        };
        let denoised = bench.within(|environment| sample(&job, environment))?.denoised;
        let (clean, denoised) = (self.clean.samples.to_vec(), denoised.samples.to_vec());
        let square = |(a, b): (&f32, &f32)| (f64::from(a - b) / f64::from(sigma)).powi(2);
        Ok(clean.iter().zip(&denoised).map(square).sum::<f64>() / clean.len() as f64)
    }
}
