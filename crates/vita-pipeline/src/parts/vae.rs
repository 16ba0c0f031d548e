//! The autoencoder of either generation: pictures to latents and back.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use vita_models::vae::{self, Options, Progress};
use vita_tensor::Tensor;
use vita_weights::{Checkpoint, Role};

use super::Part;
use crate::environment::Environment;
use crate::frame::{Sink, push_frames};
use crate::latent::{Latent, LatentSpace};
use crate::memory::{BASE_BYTES, StageMemory};
use crate::progress::Stage;
use crate::{Error, resize};

/// An autoencoder, opened. Cheap to clone. Its two halves are loaded apart.
#[derive(Clone)]
pub struct Vae(Arc<Part<vae::Vae>>);

/// How latents become pictures, or pictures latents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Squares to cut pictures into; `None` takes whole pictures.
    pub tile: Option<vae::Tile>,
}

/// Activations of a decode that is given no bound: beyond this, larger pieces gain nothing.
const WORK_BYTES: u64 = 4 << 30;

impl Vae {
    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no Wan autoencoder.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::new(&Checkpoint::open(path)?)
    }

    /// The same of a checkpoint that is open already.
    ///
    /// # Errors
    /// As [`Vae::open`].
    pub fn new(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let weights = checkpoint.weights(Role::Vae)?;
        let network = vae::Vae::of(weights.clone())?;
        Ok(Self(Arc::new(Part::new(weights, network, "VAE"))))
    }

    /// Its file, as it was given.
    pub fn file(&self) -> &str {
        self.0.file()
    }

    /// Channels of a latent: 16 or 48.
    pub fn latent_channels(&self) -> usize {
        self.0.config.latent_channels()
    }

    /// Pixels a side of a latent pixel: 8 or 16.
    pub fn spatial_factor(&self) -> usize {
        self.0.config.spatial_factor()
    }

    /// The latent of a video of `[frames, height, width]`: `[C, T, h, w]`.
    pub fn latent_dims(&self, video: [usize; 3]) -> [usize; 4] {
        self.0.config.latent_dims(video)
    }

    /// Pictures `[F, H, W, 3]` in 0..1 to a raw latent `[C, 1 + (F - 1) / 4, ..]`. Rows and columns that do not fill
    /// a latent pixel are cut off on both sides, as ComfyUI does.
    ///
    /// # Errors
    /// If the pictures have another form, the encoder cannot be loaded, or the work was cancelled.
    pub fn encode(
        &self,
        pictures: &Tensor,
        options: DecodeOptions,
        environment: &mut Environment,
    ) -> Result<Latent, Error> {
        resize::check_pictures(pictures)?;
        let pictures = resize::crop_to_multiple(pictures, self.spatial_factor());
        let signed = signed(&pictures);
        drop(pictures);
        let part = &self.0;
        let [frames, height, width, _] = signed.sizes();
        let id = part.id.with_part("VAE encoder");
        let free = environment.residency.memory_bytes_max();
        let (memory, options) = self.encode_memory([frames, height, width], options, free);
        let encoder = environment.network(&id, memory, 1, |_, _| Ok(part.config.load_encoder()?))?;
        let mut stage = environment.begin(Stage::Image, frames);
        let mut latents = Vec::new();
        let flow = encoder.encode_with(&signed, options, &mut |progress: Progress| {
            latents.extend(progress.frames);
            environment.advance(&mut stage, (progress.fraction * frames as f64) as usize);
            environment.proceed()
        })?;
        if flow.is_break() {
            return Err(Error::Cancelled);
        }
        environment.end(stage);
        Ok(Latent::raw(channels_first(&latents)))
    }

    /// A latent to pictures, first to last, in pieces `[F, H, W, 3]` in 0..1 as they come. An error of `sink` ends
    /// the work.
    ///
    /// # Errors
    /// If the latent is of another autoencoder, the decoder cannot be loaded, or the work was cancelled.
    pub fn decode_pieces(
        &self,
        latent: &Latent,
        options: DecodeOptions,
        environment: &mut Environment,
        sink: &mut dyn FnMut(&Tensor) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let part = &self.0;
        let [channels, frames, height, width] = latent.sizes()?;
        if channels != self.latent_channels() {
            return Err(Error::LatentOfAnotherVae {
                found: channels,
                file: self.file().into(),
                expected: self.latent_channels(),
            });
        }
        let raw = latent.samples_in(LatentSpace::Raw)?;
        let id = part.id.with_part("VAE decoder");
        let free = environment.residency.memory_bytes_max();
        let (memory, options) = self.decode_memory([frames, height, width], options, free);
        let decoder = environment.network(&id, memory, 1, |_, _| Ok(part.config.load_decoder()?))?;
        let count = part.config.frames(frames);
        let mut stage = environment.begin(Stage::Decoding, count);
        let mut failure = None;
        let flow = decoder.decode_with(&raw, options, &mut |progress: Progress| {
            if let Some(pictures) = progress.frames
                && let Err(error) = sink(&unsigned(pictures))
            {
                failure = Some(error);
                return ControlFlow::Break(());
            }
            // By the work done: all frames of a short clip come out together at the end.
            environment.advance(&mut stage, (progress.fraction * count as f64) as usize);
            environment.proceed()
        })?;
        match (failure, flow) {
            (Some(failure), _) => Err(failure),
            (None, ControlFlow::Break(())) => Err(Error::Cancelled),
            (None, ControlFlow::Continue(())) => {
                environment.end(stage);
                Ok(())
            }
        }
    }

    /// A latent to all of its pictures, `[F, H, W, 3]` in 0..1.
    ///
    /// # Errors
    /// As [`Vae::decode_pieces`].
    pub fn decode(
        &self,
        latent: &Latent,
        options: DecodeOptions,
        environment: &mut Environment,
    ) -> Result<Tensor, Error> {
        let mut pieces = Vec::new();
        self.decode_pieces(latent, options, environment, &mut |pictures| {
            pieces.push(pictures.clone());
            Ok(())
        })?;
        Ok(resize::after_each_other(&pieces))
    }

    /// A latent to frames of bytes.
    ///
    /// # Errors
    /// As [`Vae::decode_pieces`], or if a frame is refused.
    pub fn decode_frames(
        &self,
        latent: &Latent,
        options: DecodeOptions,
        environment: &mut Environment,
        sink: &mut Sink,
    ) -> Result<(), Error> {
        let mut next = 0;
        self.decode_pieces(latent, options, environment, &mut |pictures| {
            next += push_frames(pictures, next, sink).map_err(Error::Sink)?;
            Ok(())
        })
    }

    /// What decoding a latent of `[T, h, w]` takes if so many bytes are free, and how it is then done.
    pub(crate) fn decode_memory(
        &self,
        latent: [usize; 3],
        options: DecodeOptions,
        free_bytes: Option<u64>,
    ) -> (StageMemory, Options) {
        let weight_bytes = self.0.config.decoder_bytes();
        let cost = |options| self.0.config.decode_cost(latent, options);
        let options = within(options, free_bytes, weight_bytes, cost);
        let latent_bytes = (latent.iter().product::<usize>() * self.latent_channels() * size_of::<f32>()) as u64;
        let activation_bytes = cost(options).peak_bytes as u64 + latent_bytes;
        (StageMemory { stage: Stage::Decoding, weight_bytes, activation_bytes }, options)
    }

    /// What encoding a video of `[F, H, W]` takes if so many bytes are free, and how it is then done.
    pub(crate) fn encode_memory(
        &self,
        video: [usize; 3],
        options: DecodeOptions,
        free_bytes: Option<u64>,
    ) -> (StageMemory, Options) {
        let weight_bytes = self.0.config.encoder_bytes();
        // The pictures as they are given, and on the encoder's scale.
        let video_bytes = 2 * video.iter().product::<usize>() * 3 * size_of::<f32>();
        let free = free_bytes.map(|free| free.saturating_sub(video_bytes as u64));
        let cost = |options| self.0.config.encode_cost(video, options);
        let options = within(options, free, weight_bytes, cost);
        let activation_bytes = (cost(options).peak_bytes + video_bytes) as u64;
        (StageMemory { stage: Stage::Image, weight_bytes, activation_bytes }, options)
    }
}

fn within(
    DecodeOptions { tile }: DecodeOptions,
    free_bytes: Option<u64>,
    weight_bytes: u64,
    cost: impl Fn(Options) -> vae::Cost,
) -> Options {
    let bound = free_bytes.map_or(WORK_BYTES, |free| free.saturating_sub(BASE_BYTES + weight_bytes).min(WORK_BYTES));
    // Where even single frames are too many, the check before the work says so.
    let least = Options { piece_bytes: 0, tile };
    let found = Options::within(bound as usize, |options| cost(Options { tile, ..options }));
    Options { tile, ..found.unwrap_or(least) }
}

/// 0..1 to -1..1.
fn signed(pictures: &Tensor) -> Tensor {
    let mut pictures = pictures.to_contiguous_f32();
    pictures.f32s_mut().iter_mut().for_each(|value| *value = *value * 2.0 - 1.0);
    pictures
}

/// -1..1 to 0..1.
fn unsigned(mut pictures: Tensor) -> Tensor {
    pictures.f32s_mut().iter_mut().for_each(|value| *value = (*value + 1.0) / 2.0);
    pictures
}

/// Latent frames `[T, h, w, C]` in pieces to one `[C, T, h, w]`.
fn channels_first(pieces: &[Tensor]) -> Tensor {
    vita_ops::to_f32(&resize::after_each_other(pieces).permute(&[3, 0, 1, 2]))
}
