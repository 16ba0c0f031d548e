//! The networks that are timed, each on made-up inputs.

use std::ops::ControlFlow;
use std::sync::Arc;

use vita_base::Report;
use vita_cuda::Card;
use vita_cuda::plan::Network;
use vita_models::clip_vision::{self, ClipVision};
use vita_models::umt5::{self, Umt5};
use vita_models::vae::{self, Cost, Decoder, Encoder, Options};
use vita_models::wan::{self, Config, HIDDEN_BYTES_MAX, LayoutOptions, Prompt, Wan, Workload};
use vita_tensor::Tensor;
use vita_weights::Role;

use super::measured::{Measured, time, timed};
use super::{Arguments, Site, sizes};
use crate::cuda;
use crate::made_up::made_up;

const LAYOUT: LayoutOptions = LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX };

/// How strongly guidance leads; the time does not depend on it.
const GUIDANCE: f32 = 5.0;

/// Tokens of a picture, as the vision encoder makes them.
const IMAGE_TOKENS: usize = 257;

/// One step: a pass, or two and what guidance makes of them.
pub fn transformer(arguments: &Arguments) -> Result<Measured, Report> {
    let pixels = arguments.model.as_deref().map(sizes::transformer).transpose()?.map(|(_, pixels)| pixels);
    let latent = arguments.latent(pixels)?;
    let site = arguments.site()?;
    let proceed = &mut |_, _| ControlFlow::Continue(());
    let weights = arguments.weights(Role::DiffusionModel, |model| Ok(sizes::transformer(model)?.0))?;
    let (wan, load_seconds) = timed(|| -> Result<Wan, Report> {
        let wan = Wan::load(&weights, proceed)?.with_precision(arguments.precision());
        let Some(Site { card, .. }) = &site else { return Ok(wan) };
        Ok(wan.to_card(card, swapped(arguments, &wan, latent, card)?)?)
    })?;
    drop(weights);
    let config = *wan.config();
    let features = image_features(&config);
    let prompts = [prompt(arguments, &config, 0)?, prompt(arguments, &config, 1)?];
    let prompts = &prompts[..passes(arguments)];
    let contexts = wan.contexts(&prompts.iter().map(|prompt| (prompt, features.as_ref())).collect::<Vec<_>>())?;
    let layout = wan.layout(latent, LAYOUT)?;
    let x = made_up(&[config.in_dim, latent[0], latent[1], latent[2]]);
    let flops = config.flops(&workload(arguments, &config, latent)) * contexts.len() as f64;
    // What leaves a pass is on the host, so all work is done then. The first one makes the keys of the prompts too.
    let seconds = time(arguments.pace(), true, || -> Result<Tensor, wan::Error> {
        let mut passes = Vec::with_capacity(2);
        for context in &contexts {
            passes.push(wan.forward(&x, &[500.0], context, &layout, proceed)?);
        }
        Ok(match &passes[..] {
            [cond, uncond] => vita_ops::combine(&[(GUIDANCE, cond), (1.0 - GUIDANCE, uncond)]),
            _ => passes.remove(0),
        })
    })?;
    let measured = Measured::new(seconds, flops, load_seconds, wan.size_bytes());
    Ok(on(measured, site.as_ref(), wan.swapped_blocks()))
}

/// Blocks that have no room on the card beside the work, or more where that was asked.
fn swapped(arguments: &Arguments, wan: &Wan, latent: [usize; 3], card: &Card) -> Result<usize, Report> {
    let config = wan.config();
    let Workload { text_keys, image_keys, .. } = workload(arguments, config, latent);
    let passes = passes(arguments);
    let work = config.activation_bytes(&workload(arguments, config, latent), LAYOUT)
        + config.context_bytes(passes * text_keys, passes * image_keys);
    let tokens = latent[0] * latent[1].div_ceil(2) * latent[2].div_ceil(2);
    let work = work as u64 + arguments.attention.scratch_bytes(tokens, config.dim);
    let network = Network {
        block_bytes: vec![(wan.size_bytes() / config.layers) as u64; config.layers],
        other_bytes: 0,
        work_bytes: work,
    };
    let free = card.machine().free_bytes()?;
    let usable = arguments.vram_budget().map_or(free, |most| cuda::pool_budget(most).min(free));
    let placement = network.place(usable, arguments.blocks_to_swap);
    placement.map(|placement| placement.streamed_blocks).ok_or_else(|| {
        let [needed, usable] = [network.least_bytes(), usable].map(vita_base::bytes_text);
        Report::new(format!("the step needs {needed} of the card even if every block is swapped, {usable} can be used"))
            .with_hint("give a larger --vram-budget, a smaller --size or fewer --frames")
    })
}

fn workload(arguments: &Arguments, config: &Config, latent: [usize; 3]) -> Workload {
    let image_keys = config.image.map_or(0, |image| image.positions.unwrap_or(IMAGE_TOKENS));
    Workload { latent, text_keys: arguments.tokens as usize, image_keys }
}

fn passes(arguments: &Arguments) -> usize {
    if arguments.guidance { 2 } else { 1 }
}

fn image_features(config: &Config) -> Option<Tensor> {
    config.image.map(|image| made_up(&[image.positions.unwrap_or(IMAGE_TOKENS), image.dim]))
}

fn prompt(arguments: &Arguments, config: &Config, index: usize) -> Result<Prompt, wan::Error> {
    let tokens = arguments.tokens as usize;
    Prompt::new(&made_up(&[tokens + index, config.text_dim]).narrow(0, index, tokens), 0)
}

/// One prompt.
pub fn text_encoder(arguments: &Arguments) -> Result<Measured, Report> {
    let site = arguments.site()?;
    let weights = arguments.weights(Role::TextEncoder, sizes::text_encoder)?;
    let (encoder, load_seconds) = timed(|| placed(Umt5::load(&weights)?, site.as_ref(), Umt5::to_card))?;
    let tokens = arguments.tokens as usize;
    let ids: Vec<u32> = (0..tokens).map(|index| (index * 7 % encoder.config().vocab_size) as u32).collect();
    let flops = umt5::flops(encoder.config(), tokens);
    let run = || -> Result<Tensor, Report> { Ok(encoder.encode(&ids)?.to_host()?) };
    let seconds = time(arguments.pace(), site.is_some(), run)?;
    Ok(on(Measured::new(seconds, flops, load_seconds, encoder.size_bytes()), site.as_ref(), 0))
}

/// One picture.
pub fn vision_encoder(arguments: &Arguments) -> Result<Measured, Report> {
    let site = arguments.site()?;
    let weights = arguments.weights(Role::ClipVision, sizes::vision_encoder)?;
    let (encoder, load_seconds) = timed(|| placed(ClipVision::load(&weights)?, site.as_ref(), ClipVision::to_card))?;
    let side = encoder.config().image_size;
    let pixels = made_up(&[3, side, side]);
    let flops = clip_vision::flops(encoder.config());
    let run = || -> Result<Tensor, Report> { Ok(encoder.forward(&pixels)?.to_host()?) };
    let seconds = time(arguments.pace(), site.is_some(), run)?;
    Ok(on(Measured::new(seconds, flops, load_seconds, encoder.size_bytes()), site.as_ref(), 0))
}

/// A whole video.
pub fn decoder(arguments: &Arguments) -> Result<Measured, Report> {
    let latent = arguments.latent(autoencoder_pixels(arguments)?)?;
    let site = arguments.site()?;
    let weights = arguments.weights(Role::Vae, |model| Ok(sizes::autoencoder(model)?.0))?;
    let (decoder, load_seconds) = timed(|| placed(Decoder::load(&weights)?, site.as_ref(), Decoder::to_card))?;
    let config = decoder.config();
    let z = made_up(&[config.latent_channels, latent[0], latent[1], latent[2]]);
    let cost = |options| vae::decode_cost(config, latent, options);
    let options = options(site.as_ref(), cost)?;
    let flops = cost(options).flops;
    let seconds = time(arguments.pace(), site.is_some(), || decoder.decode(&z, options))?;
    Ok(on(Measured::new(seconds, flops, load_seconds, decoder.size_bytes()), site.as_ref(), 0))
}

/// The same back.
pub fn encoder(arguments: &Arguments) -> Result<Measured, Report> {
    let [frames, height, width] = arguments.latent(autoencoder_pixels(arguments)?)?;
    let site = arguments.site()?;
    let weights = arguments.weights(Role::Vae, |model| Ok(sizes::autoencoder(model)?.0))?;
    let (encoder, load_seconds) = timed(|| placed(Encoder::load(&weights)?, site.as_ref(), Encoder::to_card))?;
    let config = encoder.config();
    let factor = config.spatial_factor();
    let size = [config.frames(frames), factor * height, factor * width];
    let video = made_up(&[size[0], size[1], size[2], 3]);
    let cost = |options| vae::encode_cost(config, size, options);
    let options = options(site.as_ref(), cost)?;
    let flops = cost(options).flops;
    let seconds = time(arguments.pace(), site.is_some(), || encoder.encode(&video, options))?;
    Ok(on(Measured::new(seconds, flops, load_seconds, encoder.size_bytes()), site.as_ref(), 0))
}

fn autoencoder_pixels(arguments: &Arguments) -> Result<Option<usize>, Report> {
    Ok(arguments.model.as_deref().map(sizes::autoencoder).transpose()?.map(|(_, pixels)| pixels))
}

/// As large parts as have room on the card.
fn options(site: Option<&Site>, cost: impl Fn(Options) -> Cost) -> Result<Options, Report> {
    let Some(Site { card, .. }) = site else { return Ok(Options::WHOLE) };
    let free = usize::try_from(card.machine().free_bytes()?).unwrap_or(usize::MAX);
    Options::within(free, cost).ok_or_else(|| {
        Report::new("the video has no room on the card").with_hint("give a smaller --size or fewer --frames")
    })
}

/// A network where it is to work.
fn placed<N, E: Into<Report>>(
    here: N,
    site: Option<&Site>,
    to_card: impl FnOnce(&N, &Arc<Card>) -> Result<N, E>,
) -> Result<N, Report> {
    match site {
        None => Ok(here),
        Some(Site { card, .. }) => to_card(&here, card).map_err(Into::into),
    }
}

fn on(measured: Measured, site: Option<&Site>, swapped_blocks: usize) -> Measured {
    let matrix_gflops = site.map_or(0.0, |site| site.matrix_gflops);
    measured.on(Site::card(site).map(|card| &**card), matrix_gflops, swapped_blocks)
}
