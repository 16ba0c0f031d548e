//! The whole network: embeddings, blocks, head.

use std::ops::ControlFlow;
use std::sync::Arc;

use vita_ops::{Activation, Linear};
use vita_tensor::Tensor;
use vita_weights::{Lora, Weights};

use super::adapt::{Change, unused};
use super::attention::NagKeys;
use super::block::{Block, BlockPrompt};
use super::embedding::{ImageEmbedding, Time, TimeEmbedding};
use super::head::Head;
use super::layers::{Mlp, small};
use super::{Cached, Config, Context, Error, Layout, LayoutOptions, Pass, Prompt, Result};

/// Told after each block: how many are done, of how many. `Break` stops with [`Error::Cancelled`].
pub type OnBlock<'a> = &'a mut dyn FnMut(usize, usize) -> ControlFlow<()>;

/// A loaded Wan transformer.
#[derive(Clone)]
pub struct Wan {
    config: Config,
    patch_embedding: Linear,
    text_embedding: Mlp,
    time: TimeEmbedding,
    img_emb: Option<ImageEmbedding>,
    blocks: Vec<Block>,
    head: Head,
}

impl Wan {
    /// Loads a checkpoint. Large weights stay in the dtype of the file; the patch embedding, biases, norms and
    /// modulations become f32.
    ///
    /// # Errors
    /// If the checkpoint does not fit, or on request.
    pub fn load(weights: &Weights, on_block: OnBlock) -> Result<Self> {
        let config = Config::of(weights)?;
        let img_emb = config.image.map(|image| ImageEmbedding::load(&weights.scope("img_emb"), image, config.dim));
        let text_widths = [config.text_dim, config.dim, config.dim];
        Ok(Self {
            patch_embedding: patch_embedding(&weights.scope("patch_embedding"), &config)?,
            text_embedding: Mlp::load(&weights.scope("text_embedding"), text_widths, Activation::GeluTanh)?,
            time: TimeEmbedding::load(weights, &config)?,
            img_emb: img_emb.transpose()?,
            blocks: (0..config.layers)
                .map(|index| {
                    let block = Block::load(&weights.scope("blocks").scope(index), &config)?;
                    // Packed now: a large file must not lie in memory twice.
                    weights.checkpoint().release_pages();
                    proceed(on_block(index + 1, config.layers))?;
                    Ok(block)
                })
                .collect::<Result<_>>()?,
            head: Head::load(&weights.scope("head"), &config)?,
            config,
        })
    }

    /// The same network with LoRAs, each with its strength. Its large weights are shared with this one, which stays as
    /// it is.
    ///
    /// # Errors
    /// If a LoRA was read for another transformer.
    pub fn adapted(&self, loras: &[(&Lora, f32)]) -> Result<Self> {
        let mut adapted = self.clone();
        for &(lora, strength) in loras {
            let mut change = Change::new(lora, strength);
            adapted.change(&mut change);
            if let Some(layer) = unused(&change) {
                return Err(Error::LoraOfAnother { file: lora.file().to_owned(), layer });
            }
        }
        Ok(adapted)
    }

    fn change(&mut self, change: &mut Change) {
        let Self { config: _, patch_embedding, text_embedding, time, img_emb, blocks, head } = self;
        change.linear("patch_embedding", patch_embedding);
        text_embedding.change("text_embedding", change);
        time.change(change);
        if let Some(img_emb) = img_emb {
            img_emb.change(change);
        }
        for (index, block) in blocks.iter_mut().enumerate() {
            block.change(&format!("blocks.{index}"), change);
        }
        head.change(change);
    }

    /// Sizes of the network.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes that the loaded weights take, but for vectors.
    pub fn size_bytes(&self) -> usize {
        self.patch_embedding.size_bytes()
            + self.text_embedding.size_bytes()
            + self.time.size_bytes()
            + self.img_emb.as_ref().map_or(0, ImageEmbedding::size_bytes)
            + self.blocks.iter().map(Block::size_bytes).sum::<usize>()
            + self.head.size_bytes()
    }

    /// The tokens of a latent of a size: see [`Layout::new`].
    ///
    /// # Errors
    /// If the latent is empty.
    pub fn layout(&self, latent: [usize; 3], options: LayoutOptions) -> Result<Layout> {
        Layout::new(&self.config, latent, options)
    }

    /// Keys and values of a prompt, and of an image's features `[257 or 514, image_dim]` where the model has an
    /// image branch. Without features that branch is left out.
    ///
    /// # Errors
    /// If a shape does not fit, or the model takes no features.
    pub fn context(&self, prompt: &Prompt, image: Option<&Tensor>) -> Result<Context> {
        let text_dim = self.config.text_dim;
        if prompt.rows().dims()[1] != text_dim {
            return Err(Error::Prompt { found: prompt.rows().dims(), text_dim });
        }
        let image = image.map(|features| self.embed_image(features)).transpose()?;
        let text = self.text_embedding.forward(prompt.rows().clone());
        let bias: Option<Arc<[f32]>> = prompt.key_bias().map(Arc::from);
        let keys = |block: &Block| block.cross_attn().keys(&text, bias.clone(), image.as_ref());
        Ok(Context {
            blocks: self.blocks.iter().map(keys).collect(),
            dim: self.config.dim,
            text_keys: prompt.key_count(),
            image_keys: image.as_ref().map_or(0, |image| image.dims()[0]),
        })
    }

    /// The velocity of a noisy latent.
    ///
    /// x: `[in_dim, T, H, W]`, what is concatenated to the latent included; timesteps: `1000 * sigma`, one for
    /// the video or one a latent frame. Returns `[out_dim, T, H, W]`.
    ///
    /// # Errors
    /// If a shape does not fit, or on request.
    pub fn forward(
        &self,
        x: &Tensor,
        timesteps: &[f32],
        context: &Context,
        layout: &Layout,
        on_block: OnBlock,
    ) -> Result<Tensor> {
        self.pass(x, timesteps, context, layout, Pass::default(), on_block)
    }

    /// [`Self::forward`] with something done otherwise.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn pass(
        &self,
        x: &Tensor,
        timesteps: &[f32],
        context: &Context,
        layout: &Layout,
        mut pass: Pass,
        on_block: OnBlock,
    ) -> Result<Tensor> {
        self.check(x, timesteps, context, layout)?;
        if let Some(nag) = &pass.nag {
            self.check(x, timesteps, nag.context, layout)?;
        }
        let time = self.time.forward(as_few(timesteps));

        let x = self.patch_embedding.forward(&layout.patches(x), Activation::None); // [L, C]
        let cache = pass.cache.take();
        let x = match cache {
            None => self.run_blocks(x, &time, context, layout, &pass, on_block)?,
            Some(Cached { cache, step_index, step_count }) => match cache.residual(&time, &x, step_index, step_count) {
                Some(residual) => {
                    proceed(on_block(self.blocks.len(), self.blocks.len()))?;
                    vita_ops::add(x, &residual)
                }
                None => {
                    let before = x.clone();
                    let x = self.run_blocks(x, &time, context, layout, &pass, on_block)?;
                    cache.keep(&time, before, &x);
                    x
                }
            },
        };
        let patches = self.head.forward(&x, &time.e); // [L, 4 * out_dim]
        drop(x);
        Ok(layout.latent_of(&patches))
    }

    /// x: `[L, C]`. Returns `[L, C]`.
    fn run_blocks(
        &self,
        mut x: Tensor,
        time: &Time,
        context: &Context,
        layout: &Layout,
        pass: &Pass,
        on_block: OnBlock,
    ) -> Result<Tensor> {
        for (index, (block, keys)) in self.blocks.iter().zip(&context.blocks).enumerate() {
            if !pass.skipped_blocks.contains(&index) {
                let nag = pass.nag.map(|nag| NagKeys { keys: &nag.context.blocks[index], numbers: nag.numbers });
                x = block.forward(x, &time.e0, BlockPrompt { keys, nag }, layout, pass.enhance);
            }
            proceed(on_block(index + 1, self.blocks.len()))?;
        }
        Ok(x)
    }

    fn embed_image(&self, features: &Tensor) -> Result<Tensor> {
        let (Some(config), Some(img_emb)) = (self.config.image, &self.img_emb) else {
            return Err(Error::ImageUnexpected);
        };
        match *features.dims() {
            [count, width] if count > 0 && width == config.dim => Ok(img_emb.forward(features)),
            _ => Err(Error::Image { found: features.dims(), image_dim: config.dim }),
        }
    }

    fn check(&self, x: &Tensor, timesteps: &[f32], context: &Context, layout: &Layout) -> Result<()> {
        let [frames, rows, columns] = layout.latent();
        let expected = [self.config.in_dim, frames, rows, columns];
        if *x.dims() != expected {
            return Err(Error::Latent { found: x.dims(), expected });
        }
        if timesteps.len() != 1 && timesteps.len() != frames {
            return Err(Error::Timesteps { found: timesteps.len(), frames });
        }
        if context.blocks.len() != self.blocks.len() || context.dim != self.config.dim {
            return Err(Error::ContextOfAnother);
        }
        Ok(())
    }
}

/// The convolution `[C, in_dim, 1, 2, 2]` as a linear layer on patches, in f32.
fn patch_embedding(weights: &Weights, config: &Config) -> Result<Linear> {
    let &Config { dim, in_dim, .. } = config;
    let [frames, rows, columns] = Config::PATCH;
    let weight = small(weights, "weight", &[dim, in_dim, frames, rows, columns])?;
    let bias = small(weights, "bias", &[dim])?;
    Ok(Linear::new(&weight.reshape([dim, in_dim * frames * rows * columns]), None, Some(&bias)))
}

/// One timestep, if all are equal.
fn as_few(timesteps: &[f32]) -> &[f32] {
    match timesteps.iter().all(|timestep| *timestep == timesteps[0]) {
        true => &timesteps[..1],
        false => timesteps,
    }
}

fn proceed(answer: ControlFlow<()>) -> Result<()> {
    match answer {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}
