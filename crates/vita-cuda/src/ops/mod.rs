//! The ops: one folder each, with what it computes and its checks (`mod.rs`), its kernel (`*.cu`), a slow and
//! obvious reference, and the cases that hold the kernel to it ([`crate::selftest`]).
//!
//! - Activations are rows `[L, C]` of bf16, f16 or f32; sums and statistics are f32.
//! - A kernel is set up for the types and widths of its use by names that are defined before its text, and
//!   compiled once for each set.
//! - Wrong shapes are mistakes of our own code and panic, as in `vita-ops`.

mod activation;
mod attention;
mod cast;
mod combine;
mod conv;
mod gated_add;
mod gather;
mod l2_norm;
mod linear;
mod norm;
mod operand;
mod pad;
mod permute;
mod pixel_groups;
mod quantise;
mod softmax;
mod widen;

pub use activation::{Function, activation};
pub(crate) use attention::reference as attention_reference;
pub use attention::{Attention, HEAD, Mode, attention, attention_in};
pub use cast::cast;
pub use combine::{combine, multiply};
pub use conv::{Conv, ConvShape, conv};
pub use gated_add::{GatedAdd, gated_add};
pub use gather::gather;
pub use l2_norm::l2_norm;
pub use linear::{Linear, Weight, linear, linear_e4m3};
pub use norm::{Affine, LayerNorm, RmsRope, Rope, layer_norm, rms_rope, rope};
pub use operand::{Float, Modulation, Rows};
pub use pad::pad;
pub use permute::{AXES_MAX, View, permute};
pub use pixel_groups::{PixelGroups, Video};
pub use quantise::{WIDTH_MAX as QUANTISED_WIDTH_MAX, quantise_rows, quantise_tensor};
pub use softmax::softmax;
pub use widen::{Format, widen};

use crate::compile::Source;
use crate::selftest::Case;

/// A kernel as it is used somewhere, for compiling all of them where no card is.
pub struct Variant {
    /// What is compiled.
    pub source: Source,
    /// The functions in it, the source's own first.
    pub functions: &'static [&'static str],
    /// Whether a generation runs it.
    pub runs_on: fn(crate::Arch) -> bool,
}

/// The kernels in the variants that the models use.
pub fn variants() -> Vec<Variant> {
    [
        norm::variants(),
        gated_add::variants(),
        activation::variants(),
        cast::variants(),
        quantise::variants(),
        widen::variants(),
        attention::variants(),
        linear::variants(),
        conv::variants(),
        l2_norm::variants(),
        permute::variants(),
        combine::variants(),
        softmax::variants(),
        gather::variants(),
        pad::variants(),
        pixel_groups::variants(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The cases of every op.
pub fn cases() -> Vec<Case> {
    [
        norm::cases(),
        gated_add::cases(),
        activation::cases(),
        cast::cases(),
        quantise::cases(),
        widen::cases(),
        attention::cases(),
        linear::cases(),
        conv::cases(),
        l2_norm::cases(),
        permute::cases(),
        combine::cases(),
        softmax::cases(),
        gather::cases(),
        pad::cases(),
        pixel_groups::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn everywhere(_: crate::Arch) -> bool {
    true
}
