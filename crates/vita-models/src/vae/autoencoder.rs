//! One autoencoder of either generation, as callers see it.

use std::ops::ControlFlow;

use vita_tensor::Tensor;
use vita_weights::{Result, VaeGeneration, Weights};

use super::{
    Config, Cost, Decoder, Encoder, InputError, LatentFormat, Options, WAN21, WAN22, Watch, decode_cost, encode_cost,
};

/// An autoencoder's file, and what its shapes tell. Its two halves are loaded when they are asked for.
///
/// ```no_run
/// # use vita_models::vae::{Options, Vae};
/// # use vita_weights::{Checkpoint, Role};
/// # fn run(image: &vita_tensor::Tensor) -> Result<(), Box<dyn std::error::Error>> {
/// let vae = Vae::of(Checkpoint::open("wan2.2_vae.safetensors")?.weights(Role::Vae)?)?;
/// let latent = vae.normalize(&vae.load_encoder()?.encode(image, Options::WHOLE)?); // [48, 1, h, w]
/// # Ok(()) }
/// ```
pub struct Vae {
    weights: Weights,
    encoder: Config,
    decoder: Config,
    format: &'static LatentFormat,
}

impl Vae {
    /// Finds the sizes; reads no tensor. A half that the file lacks, or that makes no sense, is found
    /// when it is loaded.
    ///
    /// # Errors
    /// If its latents have other channels than those of its generation, whose scale is known.
    pub fn of(weights: Weights) -> Result<Self, Error> {
        let (encoder, decoder) = (Config::of_encoder(&weights), Config::of_decoder(&weights));
        let format = match decoder.generation {
            VaeGeneration::Wan21 => &WAN21,
            VaeGeneration::Wan22 => &WAN22,
        };
        let expected = format.mean.len();
        match decoder.latent_channels == expected {
            true => Ok(Self { encoder, decoder, format, weights }),
            false => {
                let file = weights.checkpoint().name().to_owned();
                Err(Error::LatentChannels { file, found: decoder.latent_channels, expected })
            }
        }
    }

    /// Loads the half that makes latents.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn load_encoder(&self) -> Result<Encoder> {
        Encoder::load(&self.weights)
    }

    /// Loads the half that makes pixels.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn load_decoder(&self) -> Result<Decoder> {
        Decoder::load(&self.weights)
    }

    /// The file.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Which of the two architectures.
    pub fn generation(&self) -> VaeGeneration {
        self.decoder.generation
    }

    /// Sizes of the encoder.
    pub fn encoder_config(&self) -> &Config {
        &self.encoder
    }

    /// Sizes of the decoder.
    pub fn decoder_config(&self) -> &Config {
        &self.decoder
    }

    /// Bytes in the file of what [`Self::load_encoder`] loads.
    pub fn encoder_bytes(&self) -> u64 {
        self.stored_bytes("encoder.", "conv1.")
    }

    /// Bytes in the file of what [`Self::load_decoder`] loads.
    pub fn decoder_bytes(&self) -> u64 {
        self.stored_bytes("decoder.", "conv2.")
    }

    /// Pixels a side of a latent pixel: 8 or 16.
    pub fn spatial_factor(&self) -> usize {
        self.decoder.spatial_factor()
    }

    /// Frames a latent frame but for the first, which is one: 4.
    pub fn time_factor(&self) -> usize {
        self.decoder.time_factor()
    }

    /// Channels of a latent: 16 or 48.
    pub fn latent_channels(&self) -> usize {
        self.decoder.latent_channels
    }

    /// Frames of a clip of so many latent frames.
    pub fn frames(&self, latent_frames: usize) -> usize {
        self.decoder.frames(latent_frames)
    }

    /// Latent frames of a clip of so many frames; those that do not fill a latent frame do not count.
    pub fn latent_frames(&self, frames: usize) -> usize {
        self.decoder.latent_frames(frames)
    }

    /// The latent of a video: `[C, T, h, w]` for rows and columns that are multiples of the spatial factor.
    pub fn latent_dims(&self, [frames, height, width]: [usize; 3]) -> [usize; 4] {
        let factor = self.spatial_factor();
        [self.latent_channels(), self.latent_frames(frames), height / factor, width / factor]
    }

    /// The scale of its latents in the sampler. Every published file of a generation has the same.
    pub fn latent_format(&self) -> &'static LatentFormat {
        self.format
    }

    /// `(z - mean) / std`: a raw latent `[C, ..]` on the sampler's scale.
    ///
    /// # Panics
    /// If the latent has other channels.
    pub fn normalize(&self, raw: &Tensor) -> Tensor {
        self.format.normalize(raw)
    }

    /// `z * std + mean`: a latent `[C, ..]` on the sampler's scale as the decoder takes it.
    ///
    /// # Panics
    /// If the latent has other channels.
    pub fn denormalize(&self, normalised: &Tensor) -> Tensor {
        self.format.denormalize(normalised)
    }

    /// One latent frame as a small picture: `[h, w, 3]` in 0..1, from a latent `[C, T, h, w]` on the
    /// sampler's scale.
    ///
    /// # Panics
    /// If the latent has other channels, or no such frame.
    pub fn preview(&self, latent: &Tensor, frame: usize) -> Tensor {
        self.format.preview(latent, frame)
    }

    /// Cost of decoding a latent of `[T, h, w]`.
    pub fn decode_cost(&self, latent: [usize; 3], options: Options) -> Cost {
        decode_cost(&self.decoder, latent, options)
    }

    /// Cost of encoding a video of `[F, H, W]`, see [`encode_cost`].
    pub fn encode_cost(&self, video: [usize; 3], options: Options) -> Cost {
        encode_cost(&self.encoder, video, options)
    }

    /// Loads the encoder for this one video: `[F, H, W, 3]` in -1..1 to the mean of the raw latent,
    /// `[C, T, h, w]`. See [`Encoder::encode`].
    ///
    /// # Errors
    /// If the file has no good encoder, or the video does not fit it.
    pub fn encode(&self, video: &Tensor, options: Options) -> Result<Tensor, Error> {
        Ok(self.load_encoder()?.encode(video, options)?)
    }

    /// Loads the decoder for this one raw latent, `[C, T, h, w]`, and hands over frames as they come. See
    /// [`Decoder::decode_with`].
    ///
    /// # Errors
    /// If the file has no good decoder, or the latent does not fit it.
    pub fn decode_with(&self, latent: &Tensor, options: Options, watch: &mut Watch) -> Result<ControlFlow<()>, Error> {
        Ok(self.load_decoder()?.decode_with(latent, options, watch)?)
    }

    fn stored_bytes(&self, half: &str, pointwise: &str) -> u64 {
        let part = |name: &str| name.starts_with(half) || name.starts_with(pointwise);
        self.weights.all().filter(|(name, _)| part(name)).map(|(_, stored)| stored.bytes.len() as u64).sum()
    }
}

/// What can be wrong with a file, or with a clip for it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file does not fit.
    #[error(transparent)]
    Weights(#[from] vita_weights::Error),
    /// Latents whose scale is not known.
    #[error("the latents of `{file}` have {found} channels, expected {expected}")]
    LatentChannels {
        /// The checkpoint.
        file: String,
        /// Their channels.
        found: usize,
        /// Channels of its generation.
        expected: usize,
    },
    /// The clip does not fit.
    #[error(transparent)]
    Input(#[from] InputError),
}

impl vita_base::Hint for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Weights(error) => error.hint(),
            Self::LatentChannels { .. } => Some("choose the VAE of a Wan 2.1 or 2.2 model".into()),
            Self::Input(error) => error.hint(),
        }
    }
}
