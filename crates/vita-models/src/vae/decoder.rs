//! From latents to pixels.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use vita_ops::{Activation, Card, Linear, concat_frames};
use vita_tensor::{Failure, Tensor};
use vita_weights::Weights;

use super::blocks::pointwise;
use super::chain::Chain;
use super::plan::decode_cost;
use super::tile::{Canvas, tiles};
use super::{Config, InputError, Options, Progress, Watch};

/// The decoder of the autoencoder.
pub struct Decoder {
    config: Config,
    conv2: Linear, // 1 x 1 x 1, beside `decoder.` in the checkpoint
    chain: Chain,
}

impl Decoder {
    /// Reads the decoder's tensors, in the dtype they have; the encoder's are not touched.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn load(weights: &Weights) -> vita_weights::Result<Self> {
        let config = Config::of_decoder(weights);
        let channels = config.latent_channels;
        let decoder = Self {
            conv2: pointwise(&weights.scope("conv2"), &[channels, channels, 1, 1, 1])?,
            chain: Chain::load(&weights.scope("decoder"), config.decoder_blocks())?,
            config,
        };
        weights.checkpoint().release_pages();
        Ok(decoder)
    }

    /// The same decoder with its weights on a card: it decodes there, and frames come to the host as they are done.
    ///
    /// # Errors
    /// If there is no room, or the card does not answer.
    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self, InputError> {
        let Self { config, conv2, chain } = self;
        Ok(Self { config: config.clone(), conv2: conv2.to_card(card)?, chain: chain.to_card(card)? })
    }

    /// Sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of the packed weights.
    pub fn size_bytes(&self) -> usize {
        self.conv2.size_bytes() + self.chain.size_bytes()
    }

    /// latent: raw, `[C, T, h, w]`. Returns pixels in -1..1 (cut off there), `[3, F, 8 h, 8 w]` (16 h, 16 w of Wan 2.2), a view of
    /// a channels-last video.
    ///
    /// # Errors
    /// If the latent has another form, or the tiles cannot be.
    pub fn decode(&self, latent: &Tensor, options: Options) -> Result<Tensor, InputError> {
        let mut parts = Vec::new();
        let _ = self.decode_with(latent, options, &mut |progress: Progress| {
            parts.extend(progress.frames);
            ControlFlow::Continue(())
        })?;
        let video = match &parts[..] {
            [whole] => whole.clone(),
            parts => concat_frames(&parts.iter().collect::<Vec<_>>()),
        };
        Ok(video.permute(&[3, 0, 1, 2]))
    }

    /// Like [`Decoder::decode`], but hands over frames `[F, H, W, 3]` as they come, first to last, and
    /// stops when told to; then returns `Break`.
    ///
    /// # Errors
    /// Like [`Decoder::decode`], before any work is done; a card may have no room, or not answer, at any time.
    pub fn decode_with(
        &self,
        latent: &Tensor,
        options: Options,
        watch: &mut Watch,
    ) -> Result<ControlFlow<()>, InputError> {
        let dims = latent.dims();
        let channels = self.config.latent_channels;
        if dims.len() != 4 || dims[0] != channels || dims.element_count() == 0 {
            return Err(InputError::Latent { found: dims, channels });
        }
        let [_, frames, height, width] = latent.sizes();
        let factor = self.config.spatial_factor();
        let flops = |[height, width]: [usize; 2]| decode_cost(&self.config, [frames, height, width], options).flops;
        match tiles(options.tile, [height, width], factor)? {
            None => self.run(latent, options, flops([height, width]), watch),
            Some(tiles) => {
                let work: f64 = tiles.iter().map(|tile| flops(tile.size())).sum();
                let mut done = 0.0;
                let size = [self.config.frames(frames), height * factor, width * factor, self.config.image_channels];
                let mut canvas = Canvas::new(size);
                for tile in tiles {
                    let part = narrow(latent, &tile.rows, &tile.columns);
                    let (tile_work, mut at) = (flops(tile.size()), 0);
                    let flow = self.run(&part, options, tile_work, &mut |progress: Progress| {
                        if let Some(frames) = &progress.frames {
                            canvas.add(frames, at, &tile.scaled_up(factor));
                            at += frames.dims()[0];
                        }
                        // The picture is not ready before the last tile is in.
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
        latent: &Tensor,
        options: Options,
        flops: f64,
        watch: &mut Watch,
    ) -> Result<ControlFlow<()>, InputError> {
        let x = self.conv2.forward(&latent.permute(&[1, 2, 3, 0]), Activation::None); // [T, h, w, C]
        Ok(self.chain.run(x, options.piece_bytes, flops, &pixels, watch)?)
    }
}

/// Frames as they leave the network, on the host and clamped.
fn pixels(frames: Tensor) -> Result<Tensor, Failure> {
    let here = frames.to_host()?;
    // Held by one alone, they are written in place.
    drop(frames);
    Ok(clamped(here))
}

fn narrow(video: &Tensor, rows: &Range<usize>, columns: &Range<usize>) -> Tensor {
    video.narrow(2, rows.start, rows.len()).narrow(3, columns.start, columns.len())
}

/// Pixels cut off at -1 and 1; NaN stays NaN.
fn clamped(mut frames: Tensor) -> Tensor {
    frames.f32s_mut().iter_mut().for_each(|value| *value = value.clamp(-1.0, 1.0));
    frames
}
