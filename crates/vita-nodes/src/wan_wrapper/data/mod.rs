//! What flows along the links of the Wan wrapper's nodes. Along `WANVIDEOMODEL`, `WANTEXTENCODER` and `WANVAE` links
//! flow the pipeline's own parts, as along those of ComfyUI's.

mod cache_args;
mod clip_embeds;
mod experiments;
mod image_embeds;
mod text_embeds;

pub use cache_args::{CacheArgs, CacheKind, TeaKind};
pub use clip_embeds::ClipEmbeds;
pub use experiments::Experiments;
pub use image_embeds::{ImageEmbeds, Pictures};
pub use text_embeds::TextEmbeds;

/// How a program is compiled, or where its weights lie: accepted, without meaning here.
#[derive(Clone, Copy, Debug)]
pub struct Hint;
