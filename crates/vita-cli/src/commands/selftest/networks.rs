//! The small models on a card, network by network and a whole video, held to the processor's.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use vita_base::Report;
use vita_cuda::Card;
use vita_models::clip_vision::ClipVision;
use vita_models::umt5::Umt5;
use vita_models::vae::{Decoder, Encoder, Options};
use vita_models::wan::{HIDDEN_BYTES_MAX, LayoutOptions, Prompt, Wan};
use vita_ops::{AttentionMode, Precision};
use vita_pipeline::{Cancel, Environment, Models, Open, Residency, Sampling, VideoRequest, make_video};
use vita_tensor::{Bytes, DType, Dims, Tensor};
use vita_weights::{Checkpoint, ElementType, Role, Stored};

use crate::made_up::made_up;
use crate::nano;

/// What products of bf16 may cost a network: norm of the difference over norm of the processor's.
const ERROR_MAX: f64 = 1e-2;
/// The same of 8-bit floats.
const ERROR_MAX_FP8: f64 = 3e-2;
/// Decibels that a card's video has against the processor's at least.
const DECIBELS_MIN: f64 = 35.0;

/// The systems whose transformers differ in kind.
const SYSTEMS: [&str; 4] = ["nano-t2v", "nano-i2v", "nano-i2v-a14b", "nano-ti2v"];

/// How near a card came.
#[derive(Clone, Copy, Debug)]
pub enum Nearness {
    /// Relative error of a network's answer, and the most that is right.
    Error { error: f64, most: f64 },
    /// Of a video.
    Decibels(f64),
}

impl Nearness {
    /// Whether that is near enough; NaN is not.
    pub fn is_right(self) -> bool {
        match self {
            Self::Error { error, most } => error <= most,
            Self::Decibels(decibels) => decibels >= DECIBELS_MIN,
        }
    }
}

impl fmt::Display for Nearness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_right() { "ok     " } else { "WRONG  " };
        match self {
            Self::Error { error, .. } => write!(f, "{word} {error:.1e}")?,
            Self::Decibels(decibels) => write!(f, "{word} {decibels:.1} dB")?,
        }
        match self {
            _ if self.is_right() => Ok(()),
            Self::Error { most, .. } => write!(f, ", at most {most:.1e} is right"),
            Self::Decibels(_) => write!(f, ", at least {DECIBELS_MIN} dB are right"),
        }
    }
}

/// What is held.
pub struct Check {
    /// What it is.
    pub network: &'static str,
    /// Whose.
    pub system: &'static str,
    /// The work.
    pub run: Run,
}

/// What a check does.
pub type Run = Box<dyn FnOnce(&Arc<Card>) -> Result<Nearness, Report>>;

impl Check {
    /// "transformer nano-t2v"
    pub fn full_name(&self) -> String {
        format!("{} {}", self.network, self.system)
    }
}

/// All that are there, the quick ones first.
pub fn checks() -> Vec<Check> {
    let check = |network, system, run: Run| Check { network, system, run };
    let plain = |system| {
        check(
            "transformer",
            system,
            Box::new(move |card| {
                let here = loaded(&nano::open(system)?.dit)?;
                transformer(&here, &here.to_card(card, 0)?, ERROR_MAX)
            }),
        )
    };
    let mut checks: Vec<Check> = SYSTEMS.into_iter().map(plain).collect();
    checks.push(check("transformer", "nano-t2v, blocks swapped", Box::new(transformer_swapped)));
    checks.push(check("transformer", "nano-t2v, fp8", Box::new(transformer_fp8)));
    checks.push(check("text encoder", "nano", Box::new(text_encoder)));
    checks.push(check("vision encoder", "nano", Box::new(vision_encoder)));
    for (system, name) in [("nano-t2v", "2.1"), ("nano-ti2v", "2.2")] {
        checks.push(check("decoder", name, Box::new(move |card| decoder(card, system))));
        checks.push(check("encoder", name, Box::new(move |card| encoder(card, system))));
    }
    checks.push(check("video", "nano-t2v", Box::new(video)));
    checks
}

fn transformer_swapped(card: &Arc<Card>) -> Result<Nearness, Report> {
    let here = loaded(&nano::open("nano-t2v")?.dit)?;
    transformer(&here, &here.to_card(card, here.config().layers - 1)?, ERROR_MAX)
}

fn transformer_fp8(card: &Arc<Card>) -> Result<Nearness, Report> {
    let precision = Precision { attention: AttentionMode::Fp8, fp8_products: true };
    let here = loaded(&eight_bits(&nano::open("nano-t2v")?.dit)?)?.with_precision(precision);
    transformer(&here, &here.to_card(card, 0)?, ERROR_MAX_FP8)
}

fn loaded(file: &Checkpoint) -> Result<Wan, Report> {
    Ok(Wan::load(&file.weights(Role::DiffusionModel)?, &mut |_, _| ControlFlow::Continue(()))?)
}

fn transformer(here: &Wan, there: &Wan, most: f64) -> Result<Nearness, Report> {
    let config = here.config();
    let latent = [2, 6, 8];
    let x = made_up(&[config.in_dim, latent[0], latent[1], latent[2]]);
    let prompt = Prompt::new(&made_up(&[20, config.text_dim]), 492)?;
    let features = config.image.map(|image| made_up(&[image.positions.unwrap_or(257), image.dim]));
    held(here, there, most, |wan| {
        let layout = wan.layout(latent, LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX })?;
        let context = wan.context(&prompt, features.as_ref())?;
        Ok(wan.forward(&x, &[700.0], &context, &layout, &mut |_, _| ControlFlow::Continue(()))?)
    })
}

/// The same network with its blocks' matrices as e4m3, each times a scale of its own.
fn eight_bits(file: &Checkpoint) -> Result<Checkpoint, Report> {
    const LARGEST: f32 = 448.0;
    // Positive values rise with their codes; the one after the last is no number.
    let values = &DType::F8E4M3.f8_table().expect("a type of 8 bits")[..0x7f];
    let code = |value: f32| {
        let above = values.partition_point(|&known| known < value.abs()).min(values.len() - 1);
        let below = above.saturating_sub(1);
        let nearest = if value.abs() - values[below] < values[above] - value.abs() { below } else { above };
        nearest as u8 | if value < 0.0 { 0x80 } else { 0 }
    };
    let stored = |dtype, dims, bytes| Stored { element_type: ElementType::Known(dtype), dims, bytes };
    let mut tensors = vec![("scaled_fp8".into(), stored(DType::F8E4M3, Dims::from([2]), Bytes::from_static(&[0; 2])))];
    for (name, tensor) in file.tensors() {
        let Some(layer) =
            name.strip_suffix(".weight").filter(|_| name.starts_with("blocks.") && tensor.dims.len() == 2)
        else {
            tensors.push((name.to_owned(), tensor.clone()));
            continue;
        };
        let weight = file.tensor(name)?.to_vec();
        let scale = weight.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs())) / LARGEST;
        let codes: Vec<u8> = weight.iter().map(|value| code(value / scale)).collect();
        tensors.push((name.to_owned(), stored(DType::F8E4M3, tensor.dims, codes.into())));
        let scale = Bytes::copy_from_slice(&scale.to_le_bytes());
        tensors.push((format!("{layer}.scale_weight"), stored(DType::F32, Dims::from([1]), scale)));
    }
    Ok(Checkpoint::from_tensors(file.name(), tensors)?)
}

fn text_encoder(card: &Arc<Card>) -> Result<Nearness, Report> {
    let Open { text_encoder, .. } = nano::open("nano-t2v")?;
    let encoder = Umt5::load(&text_encoder.weights(Role::TextEncoder)?)?;
    let ids: Vec<u32> = (0..40).map(|index| (index * 37 + 3) % encoder.config().vocab_size as u32).collect();
    held(&encoder, &encoder.to_card(card)?, ERROR_MAX, |encoder| Ok(encoder.encode(&ids)?.to_host()?))
}

fn vision_encoder(card: &Arc<Card>) -> Result<Nearness, Report> {
    let file = nano::open("nano-i2v")?.clip_vision.ok_or_else(|| Report::new("nano-i2v has no vision encoder"))?;
    let encoder = ClipVision::load(&file.weights(Role::ClipVision)?)?;
    let side = encoder.config().image_size;
    let pixels = made_up(&[3, side, side]);
    held(&encoder, &encoder.to_card(card)?, ERROR_MAX, |encoder| Ok(encoder.forward(&pixels)?.to_host()?))
}

fn decoder(card: &Arc<Card>, system: &str) -> Result<Nearness, Report> {
    let here = Decoder::load(&nano::open(system)?.vae.weights(Role::Vae)?)?;
    let z = made_up(&[here.config().latent_channels, 2, 2, 3]);
    held(&here, &here.to_card(card)?, ERROR_MAX, |decoder| Ok(decoder.decode(&z, Options::WHOLE)?))
}

fn encoder(card: &Arc<Card>, system: &str) -> Result<Nearness, Report> {
    let here = Encoder::load(&nano::open(system)?.vae.weights(Role::Vae)?)?;
    let factor = here.config().spatial_factor();
    let video = made_up(&[5, 2 * factor, 2 * factor, 3]);
    held(&here, &here.to_card(card)?, ERROR_MAX, |encoder| Ok(encoder.encode(&video, Options::WHOLE)?))
}

fn video(card: &Arc<Card>) -> Result<Nearness, Report> {
    let models = Models::new(nano::open("nano-t2v")?)?;
    let sampling = Sampling {
        seed: 7,
        steps: 3,
        cfg: 2.0,
        cfg_low: None,
        shift: 3.0,
        sampler: "euler".into(),
        scheduler: "simple".into(),
        denoise: 1.0,
    };
    let request = VideoRequest::of_text("a red ball moves to the right", [32, 32], 5, sampling);
    let want = frames(&models, &request, &Residency::one(None))?;
    let got = frames(&models, &request, &Residency::one(None).on_card(card.clone()))?;
    let pairs = got.iter().zip(&want);
    let square: f64 = pairs.map(|(&got, &want)| (f64::from(got) - f64::from(want)).powi(2)).sum();
    Ok(Nearness::Decibels(10.0 * (255.0f64.powi(2) / (square / want.len() as f64)).log10()))
}

/// All frames' bytes.
fn frames(models: &Models, request: &VideoRequest, residency: &Residency) -> Result<Vec<u8>, Report> {
    let mut bytes = Vec::new();
    let mut environment =
        Environment { cancel: &Cancel::default(), observer: &mut (), clock: &|| Duration::ZERO, residency };
    make_video(models, request, &mut environment, &mut |frame| {
        bytes.extend(frame.rgb);
        Ok(())
    })?;
    Ok(bytes)
}

/// A network there, asked the same as the one here.
fn held<N>(
    here: &N,
    there: &N,
    most: f64,
    mut answer: impl FnMut(&N) -> Result<Tensor, Report>,
) -> Result<Nearness, Report> {
    Ok(Nearness::Error { error: relative_error(&answer(there)?, &answer(here)?), most })
}

fn relative_error(got: &Tensor, want: &Tensor) -> f64 {
    if got.dims() != want.dims() {
        return f64::INFINITY;
    }
    let (mut difference, mut norm) = (0.0, 0.0);
    for (&got, &want) in got.to_vec().iter().zip(&want.to_vec()) {
        difference += (f64::from(got) - f64::from(want)).powi(2);
        norm += f64::from(want).powi(2);
    }
    (difference / norm).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bits_keep_the_weights() {
        let before = nano::open("nano-t2v").unwrap().dit;
        let after = eight_bits(&before).unwrap();
        let layer = "blocks.0.ffn.0";
        let values = |file: &Checkpoint, name: &str| file.tensor(&format!("{layer}.{name}")).unwrap();
        let scale = values(&after, "scale_weight").to_vec()[0];
        let weight = values(&after, "weight");
        assert_eq!(weight.dtype(), DType::F8E4M3);
        let widened = weight.to_vec().iter().map(|code| code * scale).collect();
        let error = relative_error(&Tensor::from_vec(widened, weight.dims()), &values(&before, "weight"));
        // Three bits of mantissa: half a sixteenth at most, evenly spread.
        assert!((0.015..0.035).contains(&error), "{error}");
    }
}
