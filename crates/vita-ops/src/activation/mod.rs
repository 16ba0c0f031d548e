//! GELU and SiLU, alone or as the tail of another op.

mod card;

pub(crate) use card::function;

use pulp::{Simd, WithSimd};
use vita_tensor::Tensor;

use crate::card::Site;
use crate::rows::for_each_run;
use crate::simd::{Isa, Pointwise, apply_in_place, erf, sigmoid, tanh};

/// A function applied to every value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The value itself.
    None,
    /// `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `x/2 (1 + erf(x / sqrt 2))`.
    GeluErf,
    /// `x / (1 + e^-x)`.
    Silu,
}

impl Activation {
    /// Applies the function to every value of a tensor.
    #[must_use]
    pub fn forward(self, x: Tensor) -> Tensor {
        let (site, dtype, dims) = (Site::of([&x]), x.dtype(), x.dims());
        if let Site::Host = site {
            return self.forward_on(Isa::best(), x);
        }
        site.make(dtype, dims, |card| card::forward(card, self, x)).expect("not on the host")
    }

    /// `activation(x) * y`, as in gated feed-forward layers. Shapes are equal.
    #[must_use]
    pub fn gate(self, x: Tensor, y: &Tensor) -> Tensor {
        crate::mul(self.forward(x), y)
    }

    fn forward_on(self, isa: Isa, x: Tensor) -> Tensor {
        let mut x = if x.is_contiguous() { x } else { crate::to_f32(&x) };
        for_each_run(x.f32s_mut(), 1, |_, values| isa.run(Apply { values, activation: self }));
        x
    }

    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, simd: S, values: &mut [f32]) {
        match self {
            Self::None => {}
            Self::GeluTanh => apply_in_place(simd, values, GeluTanh),
            Self::GeluErf => apply_in_place(simd, values, GeluErf),
            Self::Silu => apply_in_place(simd, values, Silu),
        }
    }

    /// The definition, in `f64`.
    #[cfg(test)]
    pub(crate) fn reference(self, x: f64) -> f64 {
        match self {
            Self::None => x,
            Self::GeluTanh => {
                0.5 * x * (1.0 + (std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            }
            Self::GeluErf => {
                // erf by Simpson's rule on its integral.
                let end = x / 2f64.sqrt();
                let steps = 2000;
                let f = |i: u32| (-(end * f64::from(i) / f64::from(steps)).powi(2)).exp();
                let sum: f64 = (0..=steps)
                    .map(|i| f(i) * if i == 0 || i == steps { 1.0 } else { 2.0 + 2.0 * f64::from(i % 2) })
                    .sum();
                0.5 * x * (1.0 + std::f64::consts::FRAC_2_SQRT_PI * sum * end / f64::from(3 * steps))
            }
            Self::Silu => x / (1.0 + (-x).exp()),
        }
    }
}

#[derive(Clone, Copy)]
struct GeluTanh;

impl Pointwise for GeluTanh {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let cubic = simd.mul_f32s(simd.mul_f32s(x, x), simd.splat_f32s(0.044_715));
        let inner = simd.mul_f32s(x, simd.add_f32s(cubic, simd.splat_f32s(1.0)));
        let t = tanh(simd, simd.mul_f32s(inner, simd.splat_f32s(0.797_884_6)));
        simd.mul_f32s(simd.mul_f32s(x, simd.splat_f32s(0.5)), simd.add_f32s(t, simd.splat_f32s(1.0)))
    }
}

#[derive(Clone, Copy)]
struct GeluErf;

impl Pointwise for GeluErf {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let e = erf(simd, simd.mul_f32s(x, simd.splat_f32s(std::f32::consts::FRAC_1_SQRT_2)));
        simd.mul_f32s(simd.mul_f32s(x, simd.splat_f32s(0.5)), simd.add_f32s(e, simd.splat_f32s(1.0)))
    }
}

#[derive(Clone, Copy)]
struct Silu;

impl Pointwise for Silu {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        simd.mul_f32s(x, sigmoid(simd, x))
    }
}

struct Apply<'a> {
    values: &'a mut [f32],
    activation: Activation,
}

impl WithSimd for Apply<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.activation.apply(simd, self.values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, assert_close};

    #[test]
    fn every_implementation_matches_the_definition() {
        for activation in [Activation::None, Activation::GeluTanh, Activation::GeluErf, Activation::Silu] {
            for dims in [&[1][..], &[3, 67], &[5, 4, 33]] {
                let x = Random::new(7).tensor(dims);
                let want: Vec<f32> = x.to_vec().iter().map(|&x| activation.reference(x.into()) as f32).collect();
                let want = Tensor::from_vec(want, dims);
                for isa in Isa::available() {
                    let got = activation.forward_on(isa, x.clone());
                    assert_close(&got, &want, 1e-6, format!("{isa}, {activation:?} of {dims:?}"));
                }
                if dims.len() == 3 {
                    let turned = activation.forward(x.permute(&[2, 0, 1]));
                    assert_close(&turned, &want.permute(&[2, 0, 1]), 1e-6, "a permuted view");
                }
            }
        }
    }
}
