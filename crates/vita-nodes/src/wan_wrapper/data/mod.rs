//! What flows along the links of the Wan wrapper's nodes. Along `WANVIDEOMODEL`, `WANTEXTENCODER` and `WANVAE` links
//! flow the pipeline's own parts, as along those of ComfyUI's.

mod cache_args;
mod clip_embeds;
mod experiments;
mod image_embeds;
mod text_embeds;

use vita_graph::{Inputs, NodeError};

pub use cache_args::{CacheArgs, CacheKind, TeaKind};
pub use clip_embeds::ClipEmbeds;
pub use experiments::Experiments;
pub use image_embeds::{ImageEmbeds, Pictures};
pub use text_embeds::TextEmbeds;

use crate::data::Transformer;

/// How a program is compiled, or how memory is managed: accepted, without meaning here.
#[derive(Clone, Copy, Debug)]
pub struct Hint;

/// How many blocks of a transformer do not stay on a card.
#[derive(Clone, Copy, Debug)]
pub struct BlockSwap {
    /// Its last ones; all of them, where it has fewer.
    pub blocks: usize,
}

impl BlockSwap {
    /// A model with as many as the input `block_swap_args` says, if it says any.
    ///
    /// # Errors
    /// If the input is of another kind.
    pub fn apply(model: Transformer, inputs: &Inputs) -> Result<Transformer, NodeError> {
        Ok(match inputs.optional::<Self>("block_swap_args")? {
            Some(swap) => model.patched(|patches| patches.blocks_to_swap = swap.blocks),
            None => model,
        })
    }
}
