//! What a run takes, stage by stage, before it takes it; and what would fit where it does not.
//!
//! A stage's networks are loaded when it begins and dropped when it ends, so the largest stage counts.
//! Mapped files are not counted: the system drops their pages when it needs them.

use vita_models::{umt5, vae21, wan};

use crate::Error;
use crate::conditioning::token_count;
use crate::error::Fits;
use crate::guidance::needs_negative;
use crate::models::Models;
use crate::progress::Stage;
use crate::request::{FRAME_STEP, SIZE_STEP, TextToVideo};

/// Bytes that each stage takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// In the order they run.
    pub stages: Vec<StageMemory>,
}

/// Bytes that one stage takes at its largest moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageMemory {
    /// Which.
    pub stage: Stage,
    /// Of loaded weights.
    pub weight_bytes: u64,
    /// Of everything else.
    pub activation_bytes: u64,
}

impl StageMemory {
    /// Weights and activations together.
    pub fn bytes(&self) -> u64 {
        self.weight_bytes + self.activation_bytes
    }
}

/// The program itself: code, threads, small buffers.
const BASE_BYTES: u64 = 24 << 20;

/// Activations of a decode that is given no bound: beyond this, larger pieces gain nothing.
const DECODE_BYTES: u64 = 4 << 30;

impl Estimate {
    /// Bytes at the largest moment, the program's own included.
    pub fn peak_bytes(&self) -> u64 {
        BASE_BYTES + self.largest().map_or(0, |stage| stage.bytes())
    }

    fn largest(&self) -> Option<&StageMemory> {
        self.stages.iter().max_by_key(|stage| stage.bytes())
    }
}

/// What a request takes of memory, if `free_bytes` are there for it; without a bound, what is fastest.
///
/// # Errors
/// If a prompt cannot be tokenised.
pub fn estimate(models: &Models, request: &TextToVideo, free_bytes: Option<u64>) -> Result<Estimate, Error> {
    let prompts = [&request.prompt, &request.negative_prompt];
    let used = if needs_negative(request.sampling.cfg) { 2 } else { 1 };
    let mut tokens = Vec::with_capacity(used);
    for prompt in &prompts[..used] {
        tokens.push(token_count(&models.tokenizer, prompt)?);
    }
    Ok(estimate_with(models, request, &tokens, free_bytes))
}

/// [`estimate`], and an error if that is more than what is free.
pub(crate) fn check(models: &Models, request: &TextToVideo, free_bytes: Option<u64>) -> Result<Estimate, Error> {
    let made = estimate(models, request, free_bytes)?;
    let (Some(free), Some(largest)) = (free_bytes, made.largest()) else { return Ok(made) };
    if made.peak_bytes() <= free {
        return Ok(made);
    }
    let fits =
        |changed: TextToVideo| estimate(models, &changed, free_bytes).is_ok_and(|other| other.peak_bytes() <= free);
    Err(Error::Memory {
        needed_bytes: made.peak_bytes(),
        free_bytes: free,
        stage: largest.stage,
        fits: Fits { frames: frames_that_fit(request, fits), size: size_that_fits(request, fits) },
    })
}

/// How the autoencoder is to run in the memory that is there beside its weights.
pub(crate) fn decode_options(models: &Models, request: &TextToVideo, free_bytes: Option<u64>) -> vae21::Options {
    let tile = request.tile.map(|side| vae21::Tile { size: side, overlap: side / 4 });
    let bound = free_bytes
        .map_or(DECODE_BYTES, |free| free.saturating_sub(BASE_BYTES + decoder_bytes(models)).min(DECODE_BYTES));
    let [_, frames, height, width] = request.latent_dims(models.vae.config.latent_channels);
    let cost =
        |options| vae21::decode_cost(&models.vae.config, [frames, height, width], vae21::Options { tile, ..options });
    // Where even single frames are too many, the check before the run says so.
    let least = vae21::Options { piece_bytes: 0, tile };
    vae21::Options { tile, ..vae21::Options::within(bound as usize, cost).unwrap_or(least) }
}

fn estimate_with(models: &Models, request: &TextToVideo, tokens: &[usize], free_bytes: Option<u64>) -> Estimate {
    let longest = tokens.iter().copied().max().unwrap_or(1);
    let dit = &models.dit.config;
    let dims = request.latent_dims(dit.out_dim);
    let latent: [usize; 3] = [dims[1], dims[2], dims[3]];
    // The padding counts as one key.
    let workload = wan::Workload { latent, text_keys: longest + 1, image_keys: 0 };
    let options = wan::LayoutOptions { hidden_bytes_max: wan::HIDDEN_BYTES_MAX };
    let contexts: usize = tokens.iter().map(|count| dit.context_bytes(count + 1, 0)).sum();
    // The sampler's own: latent, noise, the model's two answers and a solver's history.
    let latents = 8 * dims.iter().product::<usize>() * size_of::<f32>();
    let decode = vae21::decode_cost(&models.vae.config, latent, decode_options(models, request, free_bytes));
    let stage = |stage, weight_bytes, activations: usize| StageMemory {
        stage,
        weight_bytes,
        activation_bytes: activations as u64,
    };
    let text = &models.text_encoder;
    // The table of embeddings stays in its file.
    let table = text
        .weights
        .all()
        .find(|(name, _)| *name == "shared.weight")
        .map_or(0, |(_, stored)| stored.bytes.len() as u64);
    Estimate {
        stages: vec![
            stage(Stage::Text, text.bytes.saturating_sub(table), umt5::peak_bytes(&text.config, longest)),
            stage(Stage::Sampling, models.dit.bytes, dit.activation_bytes(&workload, options) + contexts + latents),
            stage(Stage::Decoding, decoder_bytes(models), decode.peak_bytes + latents / 8),
        ],
    }
}

fn decoder_bytes(models: &Models) -> u64 {
    let part = |name: &str| name.starts_with("decoder.") || name.starts_with("conv2.");
    models.vae.weights.all().filter(|(name, _)| part(name)).map(|(_, stored)| stored.bytes.len() as u64).sum()
}

/// The most frames, of the size asked for.
fn frames_that_fit(request: &TextToVideo, fits: impl Fn(TextToVideo) -> bool) -> Option<usize> {
    let steps = largest((request.frames - 1) / FRAME_STEP, |steps| {
        fits(TextToVideo { frames: steps * FRAME_STEP + 1, ..request.clone() })
    })?;
    Some(steps * FRAME_STEP + 1)
}

/// The largest size of about the shape asked for, with all frames.
fn size_that_fits(request: &TextToVideo, fits: impl Fn(TextToVideo) -> bool) -> Option<(usize, usize)> {
    let longer = request.width.max(request.height) / SIZE_STEP;
    let scaled = |pixels: usize, step: usize| (pixels * step / longer / SIZE_STEP).max(1) * SIZE_STEP;
    let size = |step| (scaled(request.width, step), scaled(request.height, step));
    let step = largest(longer.saturating_sub(1), |step| {
        let (width, height) = size(step.max(1));
        fits(TextToVideo { width, height, ..request.clone() })
    })?;
    Some(size(step.max(1)))
}

/// The largest of `0..=most` that is good, where all below a good one are good.
fn largest(most: usize, good: impl Fn(usize) -> bool) -> Option<usize> {
    if !good(0) {
        return None;
    }
    let (mut low, mut high) = (0, most + 1);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if good(middle) { low = middle } else { high = middle }
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_good_one_is_found() {
        for most in 0..20 {
            for bound in 0..=most {
                assert_eq!(largest(most, |value| value <= bound), Some(bound));
            }
            assert_eq!(largest(most, |_| false), None);
        }
    }
}
