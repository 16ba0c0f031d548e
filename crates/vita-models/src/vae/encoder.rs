//! From pixels to latents.

use std::ops::ControlFlow;
use std::sync::Arc;

use vita_ops::{Activation, Card, Linear, concat_frames, to_f32};
use vita_tensor::Tensor;
use vita_weights::Weights;

use super::chain::Chain;
use super::plan::encode_cost;
use super::tile::{Canvas, tiles};
use super::{Config, InputError, Options, Progress, Watch};

/// The encoder of the autoencoder.
pub struct Encoder {
    config: Config,
    chain: Chain,
    conv1: Linear, // 1 x 1 x 1, beside `encoder.` in the checkpoint; only the rows of the mean
}

impl Encoder {
    /// Reads the encoder's tensors, in the dtype they have; the decoder's are not touched.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn load(weights: &Weights) -> vita_weights::Result<Self> {
        let config = Config::of_encoder(weights);
        let encoder = Self {
            chain: Chain::load(&weights.scope("encoder"), config.encoder_blocks())?,
            conv1: mean(&weights.scope("conv1"), config.latent_channels)?,
            config,
        };
        weights.checkpoint().release_pages();
        Ok(encoder)
    }

    /// The same encoder with its weights on a card: it encodes there, and latent frames come to the host as they are
    /// done.
    ///
    /// # Errors
    /// If there is no room, or the card does not answer.
    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self, InputError> {
        let Self { config, chain, conv1 } = self;
        Ok(Self { config: config.clone(), chain: chain.to_card(card)?, conv1: conv1.to_card(card)? })
    }

    /// Sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of the packed weights.
    pub fn size_bytes(&self) -> usize {
        self.conv1.size_bytes() + self.chain.size_bytes()
    }

    /// video: pixels in -1..1, `[F, H, W, 3]`, any strides. Returns the mean of the raw latent,
    /// `[C, T, h, w]`. Last frames that do not fill a latent frame are dropped, as the original does.
    ///
    /// # Errors
    /// If the video has another form, H or W is not a multiple of the spatial factor, or the tiles cannot be.
    pub fn encode(&self, video: &Tensor, options: Options) -> Result<Tensor, InputError> {
        let mut parts = Vec::new();
        let _ = self.encode_with(video, options, &mut |progress: Progress| {
            parts.extend(progress.frames);
            ControlFlow::Continue(())
        })?;
        let latent = concat_frames(&parts.iter().collect::<Vec<_>>());
        Ok(to_f32(&latent.permute(&[3, 0, 1, 2])))
    }

    /// Like [`Encoder::encode`], but hands over latent frames `[T, h, w, C]` as they come, first to last,
    /// and stops when told to; then returns `Break`.
    ///
    /// # Errors
    /// Like [`Encoder::encode`], before any work is done; a card may have no room, or not answer, at any time.
    pub fn encode_with(
        &self,
        video: &Tensor,
        options: Options,
        watch: &mut Watch,
    ) -> Result<ControlFlow<()>, InputError> {
        let (dims, channels) = (video.dims(), self.config.image_channels);
        if dims.len() != 4 || dims[3] != channels || dims.element_count() == 0 {
            return Err(InputError::Video { found: dims, channels });
        }
        let [frames, height, width, _] = video.sizes();
        let factor = self.config.spatial_factor();
        if !height.is_multiple_of(factor) || !width.is_multiple_of(factor) {
            return Err(InputError::Size { width, height, factor });
        }
        let latent_frames = self.config.latent_frames(frames);
        let frames = self.config.frames(latent_frames);
        let video = video.narrow(0, 0, frames);
        let flops = |[height, width]: [usize; 2]| {
            encode_cost(&self.config, [frames, height * factor, width * factor], options).flops
        };
        let latent_size = [height / factor, width / factor];
        match tiles(options.tile, latent_size, factor)? {
            None => self.run(video, options, flops(latent_size), watch),
            Some(tiles) => {
                let work: f64 = tiles.iter().map(|tile| flops(tile.size())).sum();
                let mut done = 0.0;
                let mut canvas =
                    Canvas::new([latent_frames, latent_size[0], latent_size[1], self.config.latent_channels]);
                for tile in tiles {
                    let pixels = tile.scaled_up(factor);
                    let part = video.narrow(1, pixels.rows.start, pixels.rows.len());
                    let part = part.narrow(2, pixels.columns.start, pixels.columns.len());
                    let (tile_work, mut at) = (flops(tile.size()), 0);
                    let flow = self.run(part, options, tile_work, &mut |progress: Progress| {
                        if let Some(frames) = &progress.frames {
                            canvas.add(frames, at, &tile);
                            at += frames.dims()[0];
                        }
                        let fraction = (done + progress.fraction * tile_work) / work;
                        watch(Progress { fraction, frames: None })
                    })?;
                    if flow.is_break() {
                        return Ok(flow);
                    }
                    done += tile_work;
                }
                Ok(watch(Progress { fraction: 1.0, frames: Some(canvas.finish()) }))
            }
        }
    }

    fn run(
        &self,
        video: Tensor,
        options: Options,
        flops: f64,
        watch: &mut Watch,
    ) -> Result<ControlFlow<()>, InputError> {
        let leave = |frames: Tensor| self.conv1.forward(&frames, Activation::None).to_host();
        Ok(self.chain.run(video, options.piece_bytes, flops, &leave, watch)?)
    }
}

/// The first half of the rows makes the mean, the second the logarithm of the variance, which is not used.
fn mean(weights: &Weights, channels: usize) -> vita_weights::Result<Linear> {
    let weight = weights.get("weight", &[2 * channels, 2 * channels, 1, 1, 1])?;
    let weight = weight.reshape([2 * channels, 2 * channels]).narrow(0, 0, channels);
    let bias = weights.get("bias", &[2 * channels])?.narrow(0, 0, channels);
    Ok(Linear::new(&weight, None, Some(&bias)).precise())
}
