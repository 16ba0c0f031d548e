//! The autoencoder of either generation: pictures to latents and back.

mod room;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use vita_models::vae::{self, Decoder, Encoder, InputError, Options, Progress};
use vita_ops::Card;
use vita_tensor::Tensor;
use vita_weights::{Checkpoint, Role};

pub(crate) use self::room::Room;
use self::room::{Work, with_room};
use super::Part;
use crate::environment::Environment;
use crate::frame::{Sink, push_frames};
use crate::latent::{Latent, LatentSpace};
use crate::memory::StageMemory;
use crate::progress::Stage;
use crate::residency::Residency;
use crate::{Error, resize};

/// What its halves are called among the loaded networks.
const ENCODER: &str = "VAE encoder";
const DECODER: &str = "VAE decoder";

/// An autoencoder, opened. Cheap to clone. Its two halves are loaded apart.
#[derive(Clone)]
pub struct Vae(Arc<Part<vae::Vae>>);

/// How latents become pictures, or pictures latents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Squares to cut pictures into; `None` takes whole pictures.
    pub tile: Option<vae::Tile>,
}

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

    /// Has it leave the card it is on, if it is on one, until it is used again.
    pub fn offload(&self, residency: &Residency) {
        [ENCODER, DECODER].into_iter().for_each(|half| residency.leave_card(&self.0.id.with_part(half)));
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
        let id = part.id.with_part(ENCODER);
        let video = [frames, height, width];
        let (memory, options) = self.encode_memory(video, options, Room::of(environment.residency));
        let encoder = environment.network(&id, memory, 1, |environment, _| {
            placed(part.config.load_encoder()?, Encoder::to_card, environment)
        })?;
        let mut stage = environment.begin(Stage::Image, frames);
        let mut latents = Vec::new();
        let run = |options: Options, environment: &mut Environment| {
            latents.clear();
            encoder.encode_with(&signed, options, &mut |progress: Progress| {
                latents.extend(progress.frames);
                environment.advance(&mut stage, (progress.fraction * frames as f64) as usize);
                environment.proceed()
            })
        };
        let flow = self.with_encode(video, |work| with_room(environment, &id, work, options, run))?;
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
        let id = part.id.with_part(DECODER);
        let latent = [frames, height, width];
        let (memory, options) = self.decode_memory(latent, options, Room::of(environment.residency));
        let decoder = environment.network(&id, memory, 1, |environment, _| {
            placed(part.config.load_decoder()?, Decoder::to_card, environment)
        })?;
        let count = part.config.frames(frames);
        let mut stage = environment.begin(Stage::Decoding, count);
        let (mut failure, mut sent) = (None, 0);
        let run = |options: Options, environment: &mut Environment| {
            // Where the work is done again, frames that are out stay as they are.
            let mut known = 0;
            decoder.decode_with(&raw, options, &mut |progress: Progress| {
                if let Some(pictures) = progress.frames {
                    let new = unsent(pictures, &mut known, &mut sent);
                    if let Some(Err(error)) = new.map(|new| sink(&unsigned(new))) {
                        failure = Some(error);
                        return ControlFlow::Break(());
                    }
                }
                // By the work done: all frames of a short clip come out together at the end.
                environment.advance(&mut stage, (progress.fraction * count as f64) as usize);
                environment.proceed()
            })
        };
        let flow = self.with_decode(latent, |work| with_room(environment, &id, work, options, run))?;
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

    /// What decoding a latent of `[T, h, w]` takes in some room, and how it is then done.
    pub(crate) fn decode_memory(
        &self,
        latent: [usize; 3],
        options: DecodeOptions,
        room: Room,
    ) -> (StageMemory, Options) {
        self.with_decode(latent, |work| work.plan(options, room))
    }

    /// What encoding a video of `[F, H, W]` takes in some room, and how it is then done.
    pub(crate) fn encode_memory(
        &self,
        video: [usize; 3],
        options: DecodeOptions,
        room: Room,
    ) -> (StageMemory, Options) {
        self.with_encode(video, |work| work.plan(options, room))
    }

    fn with_decode<T>(&self, latent: [usize; 3], then: impl FnOnce(&Work) -> T) -> T {
        let (network, factor, [frames, rows, columns]) = (&self.0.config, self.spatial_factor(), latent);
        let latent_bytes = latent.iter().product::<usize>() * self.latent_channels() * size_of::<f32>();
        then(&Work {
            stage: Stage::Decoding,
            weight_bytes: network.decoder_bytes(),
            beside_bytes: latent_bytes as u64,
            picture: [rows * factor, columns * factor],
            factor,
            cost: &|[height, width], options| network.decode_cost([frames, height / factor, width / factor], options),
        })
    }

    fn with_encode<T>(&self, video: [usize; 3], then: impl FnOnce(&Work) -> T) -> T {
        let (network, [frames, height, width]) = (&self.0.config, video);
        // The pictures as they are given, and on the encoder's scale.
        let video_bytes = 2 * video.iter().product::<usize>() * 3 * size_of::<f32>();
        then(&Work {
            stage: Stage::Image,
            weight_bytes: network.encoder_bytes(),
            beside_bytes: video_bytes as u64,
            picture: [height, width],
            factor: self.spatial_factor(),
            cost: &|[height, width], options| network.encode_cost([frames, height, width], options),
        })
    }
}

/// A half of the autoencoder where networks work. Where a card has no room for it, all others leave it first.
fn placed<N>(
    half: N,
    to_card: impl Fn(&N, &Arc<Card>) -> Result<N, InputError>,
    environment: &mut Environment,
) -> Result<N, Error> {
    let Some(card) = environment.card().cloned() else { return Ok(half) };
    match to_card(&half, &card) {
        Err(InputError::Card(failure)) if failure.is_shortage() && environment.residency.loaded_bytes() > 0 => {
            tracing::warn!("{failure}; all other networks leave it");
            environment.residency.unload_all();
            Ok(to_card(&half, &card)?)
        }
        done => Ok(done?),
    }
}

/// Of the next pictures of a clip, `known` of which came before, those behind the first `sent`.
fn unsent(pictures: Tensor, known: &mut usize, sent: &mut usize) -> Option<Tensor> {
    let count = pictures.dims()[0];
    let old = sent.saturating_sub(*known).min(count);
    *known += count;
    *sent = (*sent).max(*known);
    match old {
        0 => Some(pictures),
        old => (old < count).then(|| pictures.narrow(0, old, count - old).to_contiguous_f32()),
    }
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
