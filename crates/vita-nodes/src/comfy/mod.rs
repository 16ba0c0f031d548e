//! ComfyUI's own nodes, one file each.

use vita_graph::Node;

mod batch_images_node;
mod comfy_math_expression;
mod comfy_switch_node;
mod create_video;
mod custom_combo;
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
mod load_image;
mod load_video;
mod mask_preview;
mod mask_to_image;
mod preview_any;
mod preview_image;
mod primitive_boolean;
mod primitive_float;
mod primitive_int;
mod primitive_string;
mod primitive_string_multiline;
mod rebatch_images;
mod repeat_image_batch;
mod resize_image_mask_node;
mod save_animated_png;
mod save_animated_webp;
mod save_image;
mod save_video;
mod save_webm;
mod solid_mask;
mod string_concatenate;
mod string_replace;

/// Every node of this folder.
pub const NODES: &[&'static dyn Node] = &[
    &batch_images_node::BatchImagesNode,
    &comfy_math_expression::ComfyMathExpression,
    &comfy_switch_node::ComfySwitchNode,
    &create_video::CreateVideo,
    &custom_combo::CustomCombo,
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
    &load_image::LoadImage,
    &load_video::LoadVideo,
    &mask_preview::MaskPreview,
    &mask_to_image::MaskToImage,
    &preview_any::PreviewAny,
    &preview_image::PreviewImage,
    &primitive_boolean::PrimitiveBoolean,
    &primitive_float::PrimitiveFloat,
    &primitive_int::PrimitiveInt,
    &primitive_string::PrimitiveString,
    &primitive_string_multiline::PrimitiveStringMultiline,
    &rebatch_images::RebatchImages,
    &repeat_image_batch::RepeatImageBatch,
    &resize_image_mask_node::ResizeImageMaskNode,
    &save_animated_png::SaveAnimatedPNG,
    &save_animated_webp::SaveAnimatedWEBP,
    &save_image::SaveImage,
    &save_video::SaveVideo,
    &save_webm::SaveWEBM,
    &solid_mask::SolidMask,
    &string_concatenate::StringConcatenate,
    &string_replace::StringReplace,
];
