//! The CLIP vision encoder, ViT-H/14: a picture to 257 features, which Wan 2.1's image-to-video models take.
//!
//! Follows `CLIPVisionModel` of transformers, whose names it has, and `VisionTransformer` of Wan2.1
//! (`wan/modules/clip.py`). What Wan takes is the output of the last block but one, without the final
//! norm; the last block is not even loaded. GELU is the exact one. Everything is `f32`, whatever the
//! weights are stored as, as in ComfyUI.
//!
//! L tokens (the class token, then patches row by row), C width, H heads of D = 80.

mod block;
mod config;
mod input;
mod preprocess;

use std::sync::Arc;

use vita_ops::{Activation, Card, Linear, to_f32};
use vita_tensor::{DType, Dims, Failure, Tensor};
use vita_weights::{Result, Weights};

use block::{Block, LayerNorm};
pub use config::Config;
pub use input::InputError;
pub use preprocess::{Crop, preprocess};

/// Added to the variance by all norms.
const EPSILON: f32 = 1e-5;

/// The vision encoder, without its last block.
pub struct ClipVision {
    config: Config,
    patch_embedding: Linear,
    class_embedding: Tensor,    // [C]
    position_embedding: Tensor, // [L, C]
    pre_layrnorm: LayerNorm,    // spelled so in the checkpoint
    layers: Vec<Block>,
}

impl ClipVision {
    /// Reads the encoder's tensors, in the dtype they have.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn load(weights: &Weights) -> Result<Self> {
        let facts = weights.clip_vision_facts()?;
        let config = Config::of(&facts);
        let model = weights.scope("vision_model");
        let embeddings = model.scope("embeddings");
        let [class, positions] = &facts.embedding_dims;
        let rows = config.token_count();
        let load_block = |index| {
            let block = Block::load(&model.scope("encoder.layers").scope(index), &config);
            // Packed now: a large file must not lie in memory twice.
            weights.checkpoint().release_pages();
            block
        };
        Ok(Self {
            patch_embedding: patch_embedding(&embeddings, &config)?,
            class_embedding: table(&embeddings, "class_embedding", class, 1, config.dim)?.reshape([config.dim]),
            position_embedding: table(&embeddings, "position_embedding.weight", positions, rows, config.dim)?,
            pre_layrnorm: LayerNorm::load(&model.scope("pre_layrnorm"), config.dim)?,
            layers: (0..config.layers.saturating_sub(1)).map(load_block).collect::<Result<_>>()?,
            config,
        })
    }

    /// The same encoder with its blocks on a card; patches are embedded on the host, which is little work. What it
    /// makes of a picture lies on the card too.
    ///
    /// # Errors
    /// If there is no room, or the card does not answer.
    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self, Failure> {
        let Self { config, patch_embedding, class_embedding, position_embedding, pre_layrnorm, layers } = self;
        Ok(Self {
            config: config.clone(),
            patch_embedding: patch_embedding.clone(),
            class_embedding: class_embedding.clone(),
            position_embedding: position_embedding.clone(),
            pre_layrnorm: pre_layrnorm.to_card(card)?,
            layers: layers.iter().map(|block| block.to_card(card)).collect::<Result<_, _>>()?,
        })
    }

    /// Sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of the packed weights and of the table of positions.
    pub fn size_bytes(&self) -> usize {
        let blocks: usize = self.layers.iter().map(Block::size_bytes).sum();
        self.patch_embedding.size_bytes() + self.position_embedding.size_bytes() + blocks
    }

    /// image: `[H, W, 3]` in 0..1, any size. Returns the features that Wan takes, `[257, C]`.
    ///
    /// # Errors
    /// If the image has another form.
    pub fn encode(&self, image: &Tensor, crop: Crop) -> Result<Tensor, InputError> {
        self.forward(&preprocess(image, self.config.image_size, crop)?)
    }

    /// pixels: `[3, S, S]`, as [`preprocess`] gives them (S is 224). Returns the output of the last block but
    /// one, `[257, C]`.
    ///
    /// # Errors
    /// If the pixels have another form.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor, InputError> {
        let size = self.config.image_size;
        if *pixels.dims() != [3, size, size] {
            return Err(InputError::Pixels { found: pixels.dims(), size });
        }
        // The stream is f32 on a card too, where norms yield less.
        let x = to_f32(&self.pre_layrnorm.forward(&self.embeddings(pixels)));
        Ok(self.layers.iter().fold(x, |x, block| block.forward(x)))
    }

    /// The class token and the patches, each at its place, `[L, C]`.
    fn embeddings(&self, pixels: &Tensor) -> Tensor {
        let patches = self.patch_embedding.forward(&self.patches(pixels), Activation::None); // [L - 1, C]
        let mut x = self.position_embedding.to_contiguous_f32();
        let (class, rest) = x.f32s_mut().split_at_mut(self.config.dim);
        for (to, from) in [(class, &self.class_embedding), (rest, &patches)] {
            to.iter_mut().zip(from.f32s()).for_each(|(sum, value)| *sum += value);
        }
        x
    }

    /// Values in the order of a convolution weight, `[L - 1, 3 * patch * patch]`.
    fn patches(&self, pixels: &Tensor) -> Tensor {
        let &Config { patch_size: patch, image_size, .. } = &self.config;
        let side = image_size / patch;
        let split = to_f32(pixels).reshape([3, side, patch, side, patch]);
        to_f32(&split.permute(&[1, 3, 0, 2, 4])).reshape([side * side, 3 * patch * patch])
    }
}

/// Bytes of activations at the largest moment; weights are not among them.
pub fn peak_bytes(config: &Config) -> usize {
    let &Config { dim, ffn_dim, image_size, .. } = config;
    let tokens = config.token_count();
    let block = tokens * (7 * dim).max(2 * dim + ffn_dim);
    let embeddings = 3 * image_size * image_size + tokens * dim;
    block.max(embeddings) * DType::F32.size_bytes()
}

/// Floating-point operations of one picture: two for each multiplication of the products.
pub fn flops(config: &Config) -> f64 {
    let &Config { dim, ffn_dim, layers, .. } = config;
    let tokens = config.token_count();
    let block = 4 * dim * dim + 2 * dim * ffn_dim + 2 * tokens * dim;
    2.0 * (tokens * layers.saturating_sub(1)) as f64 * block as f64
}

/// The convolution `[C, 3, patch, patch]`, in steps of its size, as a linear layer on patches.
fn patch_embedding(weights: &Weights, config: &Config) -> Result<Linear> {
    let &Config { dim, patch_size: patch, .. } = config;
    let weight = weights.weight("patch_embedding.weight", &[dim, 3, patch, patch])?;
    Ok(Linear::new(&weight.tensor.reshape([dim, 3 * patch * patch]), weight.scale, None))
}

/// A table of rows; dialects put axes of one before it.
fn table(weights: &Weights, name: &str, stored: &Dims, rows: usize, dim: usize) -> Result<Tensor> {
    let is_it = stored.last() == Some(&dim) && stored.element_count() == rows * dim;
    let dims = if is_it { stored.to_vec() } else { vec![rows, dim] };
    Ok(weights.get(name, &dims)?.to_contiguous_f32().reshape([rows, dim]))
}
