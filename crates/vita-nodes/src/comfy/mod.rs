//! ComfyUI's own nodes, one file each.

use vita_graph::Node;

mod basic_guider;
mod basic_scheduler;
mod batch_images_node;
mod cfg_guider;
mod cfg_zero_star;
mod clip_loader;
mod clip_text_encode;
mod clip_vision_encode;
mod clip_vision_loader;
mod comfy_math_expression;
mod comfy_switch_node;
mod conditioning_zero_out;
mod context_windows_manual;
mod create_video;
mod custom_combo;
mod disable_noise;
mod easy_cache;
mod empty_hunyuan_latent_video;
mod empty_image;
mod get_image_size;
mod get_video_components;
mod grow_mask;
mod image_batch;
mod image_composite_masked;
mod image_from_batch;
mod image_pad_for_outpaint;
mod image_scale;
mod image_scale_by;
mod image_stitch;
mod image_to_mask;
mod invert_mask;
mod join_image_with_alpha;
mod ksampler;
mod ksampler_advanced;
mod ksampler_select;
mod latent_concat;
mod latent_cut;
mod lazy_cache;
mod load_image;
mod load_video;
mod lora_loader;
mod lora_loader_model_only;
mod mask_preview;
mod mask_to_image;
mod model_sampling_sd3;
mod preview_any;
mod preview_image;
mod primitive_boolean;
mod primitive_float;
mod primitive_int;
mod primitive_string;
mod primitive_string_multiline;
mod random_noise;
mod rebatch_images;
mod repeat_image_batch;
mod resize_image_mask_node;
mod sampler_custom;
mod sampler_custom_advanced;
mod save_animated_png;
mod save_animated_webp;
mod save_image;
mod save_video;
mod save_webm;
mod skip_layer_guidance_dit;
mod solid_mask;
mod split_sigmas;
mod split_sigmas_denoise;
mod string_concatenate;
mod string_replace;
mod torch_compile_model;
mod trim_video_latent;
mod unet_loader;
mod unet_temporal_attention_multiply;
mod vae_decode;
mod vae_decode_tiled;
mod vae_encode;
mod vae_encode_tiled;
mod vae_loader;
mod wan22_image_to_video_latent;
mod wan_context_windows_manual;
mod wan_first_last_frame_to_video;
mod wan_fun_inpaint_to_video;
mod wan_image_to_video;

pub use clip_loader::{load_text_encoder, text_encoder_type};

/// Every node of this folder.
pub const NODES: &[&'static dyn Node] = &[
    &basic_guider::BasicGuider,
    &basic_scheduler::BasicScheduler,
    &batch_images_node::BatchImagesNode,
    &cfg_guider::CFGGuider,
    &cfg_zero_star::CFGZeroStar,
    &clip_loader::CLIPLoader,
    &clip_text_encode::CLIPTextEncode,
    &clip_vision_encode::CLIPVisionEncode,
    &clip_vision_loader::CLIPVisionLoader,
    &comfy_math_expression::ComfyMathExpression,
    &comfy_switch_node::ComfySwitchNode,
    &conditioning_zero_out::ConditioningZeroOut,
    &context_windows_manual::ContextWindowsManual,
    &create_video::CreateVideo,
    &custom_combo::CustomCombo,
    &disable_noise::DisableNoise,
    &easy_cache::EasyCache,
    &empty_hunyuan_latent_video::EmptyHunyuanLatentVideo,
    &empty_image::EmptyImage,
    &get_image_size::GetImageSize,
    &get_video_components::GetVideoComponents,
    &grow_mask::GrowMask,
    &image_batch::ImageBatch,
    &image_composite_masked::ImageCompositeMasked,
    &image_from_batch::ImageFromBatch,
    &image_pad_for_outpaint::ImagePadForOutpaint,
    &image_scale::ImageScale,
    &image_scale_by::ImageScaleBy,
    &image_stitch::ImageStitch,
    &image_to_mask::ImageToMask,
    &invert_mask::InvertMask,
    &join_image_with_alpha::JoinImageWithAlpha,
    &ksampler::KSampler,
    &ksampler_advanced::KSamplerAdvanced,
    &ksampler_select::KSamplerSelect,
    &latent_concat::LatentConcat,
    &latent_cut::LatentCut,
    &lazy_cache::LazyCache,
    &load_image::LoadImage,
    &load_video::LoadVideo,
    &lora_loader::LoraLoader,
    &lora_loader_model_only::LoraLoaderModelOnly,
    &mask_preview::MaskPreview,
    &mask_to_image::MaskToImage,
    &model_sampling_sd3::ModelSamplingSD3,
    &preview_any::PreviewAny,
    &preview_image::PreviewImage,
    &primitive_boolean::PrimitiveBoolean,
    &primitive_float::PrimitiveFloat,
    &primitive_int::PrimitiveInt,
    &primitive_string::PrimitiveString,
    &primitive_string_multiline::PrimitiveStringMultiline,
    &random_noise::RandomNoise,
    &rebatch_images::RebatchImages,
    &repeat_image_batch::RepeatImageBatch,
    &resize_image_mask_node::ResizeImageMaskNode,
    &sampler_custom::SamplerCustom,
    &sampler_custom_advanced::SamplerCustomAdvanced,
    &save_animated_png::SaveAnimatedPNG,
    &save_animated_webp::SaveAnimatedWEBP,
    &save_image::SaveImage,
    &save_video::SaveVideo,
    &save_webm::SaveWEBM,
    &skip_layer_guidance_dit::SkipLayerGuidanceDiT,
    &solid_mask::SolidMask,
    &split_sigmas::SplitSigmas,
    &split_sigmas_denoise::SplitSigmasDenoise,
    &string_concatenate::StringConcatenate,
    &string_replace::StringReplace,
    &torch_compile_model::TorchCompileModel,
    &trim_video_latent::TrimVideoLatent,
    &unet_loader::UNETLoader,
    &unet_temporal_attention_multiply::UNetTemporalAttentionMultiply,
    &vae_decode::VAEDecode,
    &vae_decode_tiled::VAEDecodeTiled,
    &vae_encode::VAEEncode,
    &vae_encode_tiled::VAEEncodeTiled,
    &vae_loader::VAELoader,
    &wan22_image_to_video_latent::Wan22ImageToVideoLatent,
    &wan_context_windows_manual::WanContextWindowsManual,
    &wan_first_last_frame_to_video::WanFirstLastFrameToVideo,
    &wan_fun_inpaint_to_video::WanFunInpaintToVideo,
    &wan_image_to_video::WanImageToVideo,
];
