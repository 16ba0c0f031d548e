//! The arithmetic: one folder an op, each with its definition and checks (`mod.rs`), a slow and
//! obvious `reference.rs`, the implementation for processors (`cpu.rs`), and one test that holds
//! every implementation to the reference.
//!
//! - Activations are `f32` in, `f32` out; weights are any float dtype and are widened one panel
//!   at a time, never whole.
//! - Tokens are rows: `[L, C]`, with heads as `[L, H, D]`. Videos inside the autoencoder are
//!   channels last: `[T, H, W, C]`. There is no batch axis: a batch is a loop of the caller.
//! - An op takes its first operand by value where it can work in place.
//! - Wrong shapes are mistakes of our own code and panic; a model checks a file's shapes when it loads.
//! - The instruction set is chosen at run time ([`simd::Isa::best`]); work is spread with rayon.

pub mod activation;
mod attention;
mod card;
mod conv;
mod copies;
mod elementwise;
mod embedding;
mod fold;
mod frames;
mod gemm;
mod linear;
mod norm;
mod pages;
mod patch;
mod pixel_groups;
mod resample;
mod rope;
mod rows;
pub mod simd;
#[cfg(test)]
mod testing;
mod upload;

pub use activation::Activation;
pub use attention::{AttentionOptions, attention, attention_card_bytes};
pub use card::to_card;
pub use conv::{Conv, ConvOptions, conv_scratch_bytes};
pub use elementwise::{
    add, add_row, combine, gapless, gated_add, mul, put_rows, room_for_rows, scale, scale_bias_channels, to_f32,
};
pub use embedding::embedding;
pub use fold::{SIDE as FOLD_SIDE, fold, unfold};
pub use frames::{concat_frames, with_doubled_frames};
pub use linear::Linear;
pub use norm::{Affine, l2_norm, layer_norm, rms_norm};
pub use patch::{patchify, unpatchify};
pub use pixel_groups::PixelGroups;
pub use resample::upsample_nearest;
pub use rope::{RopeTable, rms_rope, rope, rope_frequencies};
pub use upload::{Arrived, OnTheWay, Precision, Upload, Waiting};
pub use vita_cuda::Card;
pub use vita_cuda::ops::Mode as AttentionMode;
