//! Nodes of Kijai's Wan wrapper, one file each; what several share is in the folders.

use vita_graph::Node;

mod context_windows;
mod create_cfg_schedule_float_list;
mod data;
mod extra_latents;
mod fields;
mod load_wan_video_clip_text_encoder;
mod load_wan_video_t5_text_encoder;
mod loras;
mod pictures;
mod prompts;
mod sampling;
mod tiles;
mod wan_video_add_extra_latent;
mod wan_video_apply_nag;
mod wan_video_block_swap;
mod wan_video_clip_vision_encode;
mod wan_video_context_options;
mod wan_video_decode;
mod wan_video_easy_cache;
mod wan_video_empty_embeds;
mod wan_video_encode;
mod wan_video_enhance_a_video;
mod wan_video_experimental_args;
mod wan_video_image_clip_encode;
mod wan_video_image_to_video_encode;
mod wan_video_loop_args;
mod wan_video_lora_select;
mod wan_video_lora_select_multi;
mod wan_video_mag_cache;
mod wan_video_model_loader;
mod wan_video_rope_function;
mod wan_video_sampler;
mod wan_video_sampler_extra_args;
mod wan_video_sampler_from_settings;
mod wan_video_sampler_settings;
mod wan_video_samplerv2;
mod wan_video_scheduler;
mod wan_video_schedulerv2;
mod wan_video_set_block_swap;
mod wan_video_set_loras;
mod wan_video_slg;
mod wan_video_tea_cache;
mod wan_video_text_embed_bridge;
mod wan_video_text_encode;
mod wan_video_text_encode_cached;
mod wan_video_text_encode_single;
mod wan_video_tiny_vae_loader;
mod wan_video_torch_compile_settings;
mod wan_video_vae_loader;
mod wan_video_vram_management;

/// Every node of this folder.
pub const NODES: &[&'static dyn Node] = &[
    &create_cfg_schedule_float_list::CreateCFGScheduleFloatList,
    &load_wan_video_clip_text_encoder::LoadWanVideoClipTextEncoder,
    &load_wan_video_t5_text_encoder::LoadWanVideoT5TextEncoder,
    &wan_video_add_extra_latent::WanVideoAddExtraLatent,
    &wan_video_apply_nag::WanVideoApplyNAG,
    &wan_video_block_swap::WanVideoBlockSwap,
    &wan_video_clip_vision_encode::WanVideoClipVisionEncode,
    &wan_video_context_options::WanVideoContextOptions,
    &wan_video_decode::WanVideoDecode,
    &wan_video_easy_cache::WanVideoEasyCache,
    &wan_video_empty_embeds::WanVideoEmptyEmbeds,
    &wan_video_encode::WanVideoEncode,
    &wan_video_enhance_a_video::WanVideoEnhanceAVideo,
    &wan_video_experimental_args::WanVideoExperimentalArgs,
    &wan_video_image_clip_encode::WanVideoImageClipEncode,
    &wan_video_image_to_video_encode::WanVideoImageToVideoEncode,
    &wan_video_loop_args::WanVideoLoopArgs,
    &wan_video_lora_select::WanVideoLoraSelect,
    &wan_video_lora_select_multi::WanVideoLoraSelectMulti,
    &wan_video_mag_cache::WanVideoMagCache,
    &wan_video_model_loader::WanVideoModelLoader,
    &wan_video_rope_function::WanVideoRoPEFunction,
    &wan_video_sampler::WanVideoSampler,
    &wan_video_sampler_extra_args::WanVideoSamplerExtraArgs,
    &wan_video_sampler_from_settings::WanVideoSamplerFromSettings,
    &wan_video_sampler_settings::WanVideoSamplerSettings,
    &wan_video_samplerv2::WanVideoSamplerv2,
    &wan_video_scheduler::WanVideoScheduler,
    &wan_video_schedulerv2::WanVideoSchedulerv2,
    &wan_video_set_block_swap::WanVideoSetBlockSwap,
    &wan_video_set_loras::WanVideoSetLoRAs,
    &wan_video_slg::WanVideoSLG,
    &wan_video_tea_cache::WanVideoTeaCache,
    &wan_video_text_embed_bridge::WanVideoTextEmbedBridge,
    &wan_video_text_encode::WanVideoTextEncode,
    &wan_video_text_encode_cached::WanVideoTextEncodeCached,
    &wan_video_text_encode_single::WanVideoTextEncodeSingle,
    &wan_video_tiny_vae_loader::WanVideoTinyVAELoader,
    &wan_video_torch_compile_settings::WanVideoTorchCompileSettings,
    &wan_video_vae_loader::WanVideoVAELoader,
    &wan_video_vram_management::WanVideoVRAMManagement,
];
