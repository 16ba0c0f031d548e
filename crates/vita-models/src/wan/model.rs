//! The whole network: embeddings, blocks, head.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use vita_ops::{Activation, Card, Linear, Precision, put_rows};
use vita_tensor::Tensor;
use vita_weights::{Lora, Weights};

use super::adapt::{Change, unused};
use super::attention::NagKeys;
use super::block::{Block, BlockPrompt};
use super::context::JobContext;
use super::embedding::{ImageEmbedding, Time, TimeEmbedding};
use super::head::Head;
use super::layers::{Mlp, small};
use super::resident::Resident;
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
    precision: Precision,
    /// Of a network on a card: its blocks there.
    there: Option<Arc<Resident>>,
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
            precision: Precision::default(),
            there: None,
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

    /// The same network, whose blocks compute so once they are on a card.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// How its blocks compute on a card.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The same network with its weights on a card, in the formats they are stored in. The last `swapped` blocks stay
    /// on the host, and are brought there each time they run, the next one while one computes: that takes the room of
    /// two of them. Where room is short in a run, more of them do.
    ///
    /// # Errors
    /// If there is no room, or the card does not answer.
    pub fn to_card(&self, card: &Arc<Card>, swapped: usize) -> Result<Self> {
        let Self { config, patch_embedding, text_embedding, time, img_emb, blocks, head, precision, there: _ } = self;
        let resident = Resident::new(card, *precision, blocks, swapped)?;
        Ok(Self {
            config: *config,
            patch_embedding: patch_embedding.to_card(card)?,
            text_embedding: text_embedding.to_card(card)?,
            time: time.to_card(card)?,
            img_emb: img_emb.as_ref().map(|layers| layers.to_card(card)).transpose()?,
            blocks: blocks.clone(),
            head: head.to_card(card)?,
            precision: *precision,
            there: Some(Arc::new(resident)),
        })
    }

    /// How many blocks are brought to the card each time they run.
    pub fn swapped_blocks(&self) -> usize {
        self.there.as_ref().map_or(0, |there| self.blocks.len() - there.count())
    }

    /// A block where it is to run.
    fn block(&self, index: usize) -> Result<Cow<'_, Block>> {
        let here = &self.blocks[index];
        match &self.there {
            None => Ok(Cow::Borrowed(here)),
            Some(there) => there.block(index, here).map(Cow::Owned),
        }
    }

    /// Does work that may find no room on the card: then blocks leave it, and the work is done again.
    fn with_room<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        match &self.there {
            None => work(),
            Some(there) => there.with_room(work),
        }
    }

    fn change(&mut self, change: &mut Change) {
        let Self { config: _, patch_embedding, text_embedding, time, img_emb, blocks, head, precision: _, there: _ } =
            self;
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

    /// A prompt for the blocks, and an image's features `[257 or 514, image_dim]` where the model has an image branch.
    /// Without features that branch is left out.
    ///
    /// # Errors
    /// If a shape does not fit, or the model takes no features.
    pub fn context(&self, prompt: &Prompt, image: Option<&Tensor>) -> Result<Context> {
        Ok(self.contexts(&[(prompt, image)])?.remove(0))
    }

    /// [`Self::context`] of all prompts of a job at once, which costs little more than one: in each block the keys and
    /// values of all are computed when it first runs, and an image that several prompts share is embedded once.
    ///
    /// # Errors
    /// As [`Self::context`].
    pub fn contexts(&self, prompts: &[(&Prompt, Option<&Tensor>)]) -> Result<Vec<Context>> {
        self.with_room(|| self.try_contexts(prompts))
    }

    fn try_contexts(&self, prompts: &[(&Prompt, Option<&Tensor>)]) -> Result<Vec<Context>> {
        let text_dim = self.config.text_dim;
        if let Some((prompt, _)) = prompts.iter().find(|(prompt, _)| prompt.rows().dims()[1] != text_dim) {
            return Err(Error::Prompt { found: prompt.rows().dims(), text_dim });
        }
        let mut features: Vec<&Tensor> = Vec::new();
        for image in prompts.iter().filter_map(|(_, image)| *image) {
            if !features.iter().any(|known| known.is_same(image)) {
                features.push(image);
            }
        }
        let images = features.iter().map(|features| self.embed_image(features)).collect::<Result<Vec<_>>>()?;
        let mut parts = Vec::with_capacity(prompts.len());
        let mut row_count = 0;
        for (prompt, image) in prompts {
            let rows = row_count..row_count + prompt.key_count();
            row_count = rows.end;
            let bias: Option<Arc<[f32]>> = prompt.key_bias().map(Arc::from);
            let image = image.and_then(|image| features.iter().position(|known| known.is_same(image)));
            parts.push((rows, bias, image));
        }
        let mut rows = Tensor::scratch([row_count, text_dim]);
        for ((prompt, _), (range, ..)) in prompts.iter().zip(&parts) {
            put_rows(&mut rows, range.start, prompt.rows());
        }
        let text = self.text_embedding.forward(rows).made()?;
        let job = Arc::new(JobContext::new(text, images, self.blocks.len()));
        let context = |(rows, text_bias, image)| Context { job: job.clone(), rows, text_bias, image };
        Ok(parts.into_iter().map(context).collect())
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
        let time = self.with_room(|| self.time.forward(as_few(timesteps)).made())?;

        let embed = || self.patch_embedding.forward(&layout.patches(x), Activation::None); // [L, C]
        let x = self.with_room(|| Ok(embed().made()?))?;
        let mut cache = pass.cache.take();
        let residual = cache.as_mut().and_then(|it| it.cache.residual(&time, &x, it.step_index, it.step_count));
        let x = match residual {
            Some(residual) => {
                proceed(on_block(self.blocks.len(), self.blocks.len()))?;
                vita_ops::add(x, &residual)
            }
            None => {
                let before = cache.is_some().then(|| x.clone());
                // Taken, so that the blocks may write over it; made again where they must begin again.
                let mut first = Some(x);
                let after = self.with_room(|| {
                    let x = first.take().unwrap_or_else(embed);
                    self.run_blocks(x, &time, context, layout, &pass, on_block)
                })?;
                if let (Some(Cached { cache, .. }), Some(before)) = (&mut cache, before) {
                    cache.keep(&time, before, &after);
                }
                after
            }
        };
        let patches = self.with_room(|| Ok(self.head.forward(&x, &time.e).to_host()?))?; // [L, 4 * out_dim]
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
        // Of a network on a card, the host's pages have been read when it was brought there.
        let read_ahead = |index: usize| {
            if let (Some(block), None) = (self.blocks.get(index), &self.there) {
                block.read_ahead(context.has_keys(index));
            }
        };
        read_ahead(0);
        for index in 0..self.blocks.len() {
            read_ahead(index + 1);
            if !pass.skipped_blocks.contains(&index) {
                let block = self.block(index)?;
                let keys = context.keys(index, block.cross_attn());
                let nag = pass.nag.map(|nag| (nag.context.keys(index, block.cross_attn()), nag.numbers));
                let nag = nag.as_ref().map(|(keys, numbers)| NagKeys { keys, numbers: *numbers });
                x = block.forward(x, &time.e0, BlockPrompt { keys: &keys, nag }, layout, pass.enhance);
            }
            if let Some(failure) = x.failure() {
                return Err(failure.clone().into());
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
            [count, width] if count > 0 && width == config.dim => Ok(img_emb.forward(features).made()?),
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
        if !context.is_of(self.blocks.len(), self.config.dim) {
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
