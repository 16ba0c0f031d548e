//! Exponential and its relatives over vectors, within about 2 units in the last place of `f32`.

use pulp::Simd;

/// `e^x`; 0 below -87.3, finite above 88.3, and not a number where x is none.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Adding 1.5 * 2^23 leaves round(x / ln 2) in the low bits of the sum.
    const SHIFTER: f32 = 12_582_912.0;
    let shifter = simd.splat_f32s(SHIFTER);
    let given = x;
    let x = simd.max_f32s(x, simd.splat_f32s(-104.0));
    let x = simd.min_f32s(x, simd.splat_f32s(88.3));
    let underflow = simd.less_than_f32s(x, simd.splat_f32s(-87.3));
    let shifted = simd.mul_add_e_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E), shifter);
    let n = simd.sub_f32s(shifted, shifter);
    // ln 2 in two parts, so that r keeps its low bits.
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-0.693_359_4), x);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(2.121_944_4e-4), r);
    // Minimax polynomial for (e^r - 1 - r) / r^2 on [-ln2/2, ln2/2] (Cephes expf).
    let mut p = simd.splat_f32s(1.987_569_1e-4);
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = simd.mul_add_e_f32s(p, r, simd.splat_f32s(c));
    }
    let p = simd.mul_add_e_f32s(simd.mul_f32s(r, r), p, simd.add_f32s(r, simd.splat_f32s(1.0)));
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    let scaled = simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), exponent));
    let result = simd.select_f32s(underflow, simd.splat_f32s(0.0), scaled);
    // Maximum and minimum drop a NaN on some processors; a broken weight must stay visible.
    simd.select_f32s(simd.equal_f32s(given, given), result, given)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(x))))
}

/// Hyperbolic tangent, as `2 sigmoid(2x) - 1`; absolute error about 1e-7.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let s = sigmoid(simd, simd.add_f32s(x, x));
    simd.sub_f32s(simd.add_f32s(s, s), simd.splat_f32s(1.0))
}

/// Error function; absolute error below 2e-7 (Abramowitz and Stegun 7.1.26).
#[inline(always)]
pub(crate) fn erf<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let a = simd.abs_f32s(x);
    let t = simd.div_f32s(one, simd.mul_add_e_f32s(a, simd.splat_f32s(0.327_591_1), one));
    let mut p = simd.splat_f32s(1.061_405_4);
    for c in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = simd.mul_add_e_f32s(p, t, simd.splat_f32s(c));
    }
    let tail = simd.mul_f32s(simd.mul_f32s(p, t), exp(simd, simd.neg_f32s(simd.mul_f32s(a, a))));
    let magnitude = simd.sub_f32s(one, tail);
    simd.select_f32s(simd.less_than_f32s(x, simd.splat_f32s(0.0)), simd.neg_f32s(magnitude), magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, map_in_place};

    macro_rules! vector_function {
        ($name:ident, $function:path) => {
            struct $name<'a>(&'a mut [f32]);
            impl pulp::WithSimd for $name<'_> {
                type Output = ();
                #[inline(always)]
                fn with_simd<S: Simd>(self, simd: S) {
                    map_in_place(simd, self.0, |x| $function(simd, x));
                }
            }
        };
    }
    vector_function!(Exp, exp);
    vector_function!(Tanh, tanh);
    vector_function!(Erf, erf);

    fn inputs() -> Vec<f32> {
        (-30_000..30_000).map(|i| i as f32 * 3.3e-3).collect()
    }

    #[test]
    fn exp_is_within_a_few_units_in_the_last_place() {
        for isa in Isa::available() {
            let mut values = inputs();
            isa.run(Exp(&mut values));
            for (x, got) in inputs().into_iter().zip(values) {
                let want = f64::from(x).exp();
                if (-87.0..88.0).contains(&x) {
                    assert!((f64::from(got) - want).abs() <= 4e-7 * want, "{isa}: exp({x}) = {got}, want {want}");
                } else if x < -87.4 {
                    assert_eq!(got, 0.0, "{isa}: exp({x})");
                } else {
                    assert!(got.is_finite() && got > 1e37 || x < 0.0, "{isa}: exp({x}) = {got}");
                }
            }
        }
    }

    #[test]
    fn exp_keeps_what_is_not_a_number_and_knows_infinities() {
        for isa in Isa::available() {
            let mut values = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, 0.0];
            isa.run(Exp(&mut values));
            assert!(
                values[0].is_nan() && values[1] == 0.0 && values[2] > 1e38 && values[3] == 1.0,
                "{isa}: {values:?}"
            );
        }
    }

    #[test]
    fn tanh_and_erf_are_close_everywhere() {
        // erf by its series, in f64.
        let erf_series = |x: f64| -> f64 {
            if x.abs() > 5.0 {
                return x.signum();
            }
            let (mut term, mut sum) = (x, x);
            for n in 1..200 {
                term *= -x * x / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            sum * std::f64::consts::FRAC_2_SQRT_PI
        };
        for isa in Isa::available() {
            let (mut tanhs, mut erfs) = (inputs(), inputs());
            isa.run(Tanh(&mut tanhs));
            isa.run(Erf(&mut erfs));
            for ((x, tanh), erf) in inputs().into_iter().zip(tanhs).zip(erfs) {
                let x = f64::from(x);
                assert!((f64::from(tanh) - x.tanh()).abs() < 2e-7, "{isa}: tanh({x}) = {tanh}");
                assert!((f64::from(erf) - erf_series(x)).abs() < 5e-7, "{isa}: erf({x}) = {erf}");
            }
        }
    }
}
