//! Nodes of Kijai's Wan wrapper, one file each; what several share is in the folders.

use vita_graph::Node;

mod context_windows;
mod data;
mod extra_latents;
mod fields;
mod load_wan_video_t5_text_encoder;
mod loras;
mod prompts;
mod sampling;
mod tiles;
mod wan_video_decode;
mod wan_video_empty_embeds;
mod wan_video_model_loader;
mod wan_video_sampler;
mod wan_video_text_encode;
mod wan_video_vae_loader;

/// Every node of this folder.
pub const NODES: &[&'static dyn Node] = &[
    &load_wan_video_t5_text_encoder::LoadWanVideoT5TextEncoder,
    &wan_video_decode::WanVideoDecode,
    &wan_video_empty_embeds::WanVideoEmptyEmbeds,
    &wan_video_model_loader::WanVideoModelLoader,
    &wan_video_sampler::WanVideoSampler,
    &wan_video_text_encode::WanVideoTextEncode,
    &wan_video_vae_loader::WanVideoVAELoader,
];
