//! Normalisation of rows: layer norm (plain, affine, or modulated), RMS norm, and the L2 norm of
//! the autoencoder. The statistics are `f32` sums over a row, as PyTorch's are.

mod card;
mod cpu;
#[cfg(test)]
mod reference;

use vita_tensor::{DType, Tensor};

use crate::card::Site;
use crate::rows::Rows;
use crate::simd::Isa;
use crate::{Activation, to_f32};

/// What follows the normalisation of a layer norm.
#[derive(Clone, Copy)]
pub enum Affine<'a> {
    /// Nothing.
    None,
    /// `y * weight + bias`, both `[C]`.
    Weight {
        /// `[C]`
        weight: &'a Tensor,
        /// `[C]`
        bias: &'a Tensor,
    },
    /// `y * (1 + scale) + shift`, both `[T, C]`: row `t` serves the `t`-th equal share of the rows.
    Modulate {
        /// `[T, C]`
        scale: &'a Tensor,
        /// `[T, C]`
        shift: &'a Tensor,
    },
}

/// `(x - mean) / sqrt(variance + epsilon)` over each row, then `affine`. x: `[.., C]`, any strides.
///
/// # Panics
/// If the affine parts do not fit x.
#[must_use]
pub fn layer_norm(x: &Tensor, affine: Affine, epsilon: f32) -> Tensor {
    let (first, second) = match affine {
        Affine::None => (None, None),
        Affine::Weight { weight, bias } => (Some(weight), Some(bias)),
        Affine::Modulate { scale, shift } => (Some(scale), Some(shift)),
    };
    let site = Site::of([x].into_iter().chain(first).chain(second));
    let made = site.make(DType::BF16, x.dims(), |card| card::layer_norm(card, x, affine, epsilon));
    made.unwrap_or_else(|| layer_norm_on(Isa::best(), x, affine, epsilon))
}

/// `x / sqrt(mean(x^2) + epsilon) * weight` over each row. x: `[.., C]`, weight: `[C]`.
///
/// # Panics
/// If the weight is not `[C]`.
#[must_use]
pub fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f32) -> Tensor {
    let made = Site::of([x, weight]).make(DType::BF16, x.dims(), |card| card::rms_norm(card, x, weight, epsilon));
    made.unwrap_or_else(|| rms(Isa::best(), x, weight, Rms::MeanSquare { epsilon }, Activation::None))
}

/// `x / max(|x|, 1e-12) * sqrt(C) * gamma` over each row, then the activation: the norm of the Wan
/// autoencoders, over the channels of a channels-last video. x: `[.., C]`, gamma: `[C]`. On a card its answers are f16:
/// none is larger than `sqrt(C) * gamma`.
///
/// # Panics
/// If gamma is not `[C]`.
#[must_use]
pub fn l2_norm(x: &Tensor, gamma: &Tensor, then: Activation) -> Tensor {
    let made = Site::of([x, gamma]).make(DType::F16, x.dims(), |card| card::l2_norm(card, x, gamma, then));
    made.unwrap_or_else(|| rms(Isa::best(), x, gamma, Rms::L2, then))
}

#[derive(Clone, Copy, Debug)]
enum Rms {
    MeanSquare { epsilon: f32 },
    L2,
}

impl Rms {
    /// What a row is multiplied with, given the sum of its squares.
    fn factor(self, square_sum: f32, width: usize) -> f32 {
        match self {
            Self::MeanSquare { epsilon } => 1.0 / (square_sum / width as f32 + epsilon).sqrt(),
            Self::L2 => (width as f32).sqrt() / square_sum.sqrt().max(1e-12),
        }
    }
}

fn layer_norm_on(isa: Isa, x: &Tensor, affine: Affine, epsilon: f32) -> Tensor {
    let rows = Rows::of(x);
    // Every kind is y * factor + term over groups of rows.
    let (factor, term, plus_one) = match affine {
        Affine::None => (None, None, false),
        Affine::Weight { weight, bias } => (Some(as_rows(weight)), Some(as_rows(bias)), false),
        Affine::Modulate { scale, shift } => (Some(as_rows(scale)), Some(as_rows(shift)), true),
    };
    for part in [&factor, &term].into_iter().flatten() {
        let fits = part.width == rows.width && part.count > 0 && rows.count.is_multiple_of(part.count);
        assert!(fits, "affine [{}, {}] of x {}", part.count, part.width, x.dims());
    }
    let mut y = Tensor::scratch(x.dims());
    let affine = cpu::RowAffine { factor: factor.as_ref(), term: term.as_ref(), plus_one };
    cpu::layer_norm(isa, &rows, affine, epsilon, y.f32s_mut());
    y
}

fn rms(isa: Isa, x: &Tensor, weight: &Tensor, kind: Rms, then: Activation) -> Tensor {
    let rows = Rows::of(x);
    assert_eq!(weight.element_count(), rows.width, "norm of {}", x.dims());
    let mut y = Tensor::scratch(x.dims());
    cpu::rms(isa, &rows, to_f32(weight).f32s(), kind, then, y.f32s_mut());
    y
}

fn as_rows(x: &Tensor) -> Rows {
    match *x.dims() {
        [width] => Rows::of(&x.reshape([1, width])),
        _ => Rows::of(x),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, assert_close};

    #[test]
    fn every_layer_norm_matches_the_reference() {
        let mut random = Random::new(11);
        for (rows, width, groups) in [(1, 1, 1), (6, 33, 3), (40, 128, 2), (9, 300, 9), (400, 70, 1)] {
            // Far from zero mean, where a careless variance loses its digits.
            let x = crate::add(
                random.tensor(&[rows, width + 1]),
                &Tensor::from_vec(vec![5.0; rows * (width + 1)], [rows, width + 1]),
            );
            let x = x.narrow(1, 0, width);
            let (a, b) = (random.tensor(&[groups, width]), random.tensor(&[groups, width]));
            let (weight, bias) = (a.select(0, 0), b.select(0, 0));
            let kinds = [
                Affine::None,
                Affine::Weight { weight: &weight, bias: &bias },
                Affine::Modulate { scale: &a, shift: &b },
            ];
            for (kind, affine) in kinds.into_iter().enumerate() {
                let want = reference::layer_norm(&x, affine, 1e-6);
                for isa in Isa::available() {
                    let got = layer_norm_on(isa, &x, affine, 1e-6);
                    assert_close(&got, &want, 5e-6, format!("{isa}, {rows}x{width}, kind {kind}"));
                }
            }
        }
    }

    #[test]
    fn every_rms_norm_matches_the_reference() {
        let mut random = Random::new(12);
        for dims in [&[1, 1][..], &[5, 31], &[2, 3, 48], &[500, 96]] {
            let weight = random.tensor(&[dims[dims.len() - 1]]);
            for x in [random.tensor(dims), Tensor::zeros(dims)] {
                for kind in [Rms::MeanSquare { epsilon: 1e-6 }, Rms::L2] {
                    for then in [Activation::None, Activation::Silu] {
                        let want = reference::rms(&x, &weight, kind, then);
                        for isa in Isa::available() {
                            let got = rms(isa, &x, &weight, kind, then);
                            assert_close(&got, &want, 2e-6, format!("{isa}, {dims:?} {kind:?} {then:?}"));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_channel_axis_of_a_video_is_normalised_through_a_view() {
        let mut random = Random::new(13);
        let (video, gamma) = (random.tensor(&[6, 2, 3, 5]), random.tensor(&[6]));
        let channels_last = video.permute(&[1, 2, 3, 0]);
        let want = l2_norm(&to_f32(&channels_last), &gamma, Activation::None);
        assert_close(&l2_norm(&channels_last, &gamma, Activation::None), &want, 0.0, "view");
    }
}
