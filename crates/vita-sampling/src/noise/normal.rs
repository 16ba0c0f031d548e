//! Normal numbers from uniform ones, by PyTorch's vector code on processors with FMA.
//!
//! Every product that feeds a sum is one fused multiply-add, rounded once, so the results are the
//! same bits on every processor: where there is no such instruction `mul_add` computes it slowly.
//! The polynomials are those of the Cephes library, as `sse_mathfun` laid them out.

use std::f32::consts::TAU;

/// Uniform numbers in, normal numbers out, eight pairs to a block: `a` and `b` side by side.
pub(super) const BLOCK: usize = 16;
/// Values that are transformed at a time: long loops vectorise, and they stay in the first cache.
const CHUNK: usize = 32 * BLOCK;

/// Turns uniform numbers of [0, 1) into normal ones, in blocks of sixteen (Box and Muller).
///
/// Of each block, the first eight become `sqrt(-2 ln(1 - a)) cos(2 pi b)`, the last eight the same
/// with the sine, where `b` lies eight places after `a`.
///
/// # Panics
/// If the length is not a multiple of 16.
pub(super) fn normals_of_uniforms(values: &mut [f32]) {
    assert_eq!(values.len() % BLOCK, 0, "whole blocks");
    pulp::Arch::new().dispatch(Transform(values));
}

struct Transform<'a>(&'a mut [f32]);

impl pulp::WithSimd for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        transform(self.0);
    }
}

#[inline(always)]
fn transform(values: &mut [f32]) {
    let mut radius = [0.0; CHUNK / 2];
    let mut cosine = [0.0; CHUNK / 2];
    let mut sine = [0.0; CHUNK / 2];
    for chunk in values.chunks_mut(CHUNK) {
        let count = chunk.len() / 2;
        // The arrays hold `a` and `b` until they are overwritten by what is made of them.
        for (block, (a, b)) in
            chunk.chunks_exact(BLOCK).zip(radius.chunks_exact_mut(BLOCK / 2).zip(cosine.chunks_exact_mut(BLOCK / 2)))
        {
            a.copy_from_slice(&block[..BLOCK / 2]);
            b.copy_from_slice(&block[BLOCK / 2..]);
        }
        for radius in &mut radius[..count] {
            *radius = (-2.0 * ln(1.0 - *radius)).sqrt();
        }
        for (cosine, sine) in cosine[..count].iter_mut().zip(&mut sine[..count]) {
            (*sine, *cosine) = sine_cosine(TAU * *cosine);
        }
        for (block, (radius, (cosine, sine))) in chunk
            .chunks_exact_mut(BLOCK)
            .zip(radius.chunks_exact(BLOCK / 2).zip(cosine.chunks_exact(BLOCK / 2).zip(sine.chunks_exact(BLOCK / 2))))
        {
            for j in 0..BLOCK / 2 {
                block[j] = radius[j] * cosine[j];
                block[j + BLOCK / 2] = radius[j] * sine[j];
            }
        }
    }
}

/// Natural logarithm of a positive normal number.
#[inline(always)]
fn ln(x: f32) -> f32 {
    // x = m * 2^e with m in [0.5, 1), then both moved so that m - 1 is around zero.
    let bits = x.to_bits();
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    let small = mantissa < 0.707_106_77;
    let exponent = (bits >> 23) as i32 - 126 - i32::from(small);
    let e = exponent as f32;
    let x = (mantissa - 1.0) + if small { mantissa } else { 0.0 };

    let z = x * x;
    let mut y = 7.037_683_6e-2_f32;
    for coefficient in [
        -1.151_461e-1,
        1.167_699_84e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        y = y.mul_add(x, coefficient);
    }
    let y = (y * x).mul_add(z, e * -2.121_944_4e-4) - 0.5 * z;
    e.mul_add(0.693_359_4, x + y)
}

/// Sine and cosine of an angle of [0, 8192).
#[inline(always)]
fn sine_cosine(x: f32) -> (f32, f32) {
    const QUARTERS_PER_RADIAN: f32 = 1.273_239_5; // 4 / pi
    let octant = ((x * QUARTERS_PER_RADIAN) as i32 + 1) & !1;
    let j = octant as f32;
    // x - j * pi / 4, with pi / 4 in three parts.
    let x = j.mul_add(-0.785_156_25, x);
    let x = j.mul_add(-2.418_756_5e-4, x);
    let x = j.mul_add(-3.774_895e-8, x);

    let z = x * x;
    let cosine = 2.443_315_7e-5_f32.mul_add(z, -1.388_731_6e-3).mul_add(z, 4.166_664_6e-2) * z;
    let cosine = cosine.mul_add(z, -0.5 * z) + 1.0;
    let sine = (-1.951_529_6e-4_f32).mul_add(z, 8.332_161e-3).mul_add(z, -1.666_665_5e-1) * z;
    let sine = sine.mul_add(x, x);

    let swapped = octant & 2 != 0;
    let sine_sign = ((octant & 4) as u32) << 29;
    let cosine_sign = ((!(octant - 2) & 4) as u32) << 29;
    let (s, c) = if swapped { (cosine, sine) } else { (sine, cosine) };
    (f32::from_bits(s.to_bits() ^ sine_sign), f32::from_bits(c.to_bits() ^ cosine_sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processors without fused multiply-add run the same code, which must give the same bits.
    #[test]
    fn the_portable_form_gives_the_same_bits() {
        let mut uniforms: Vec<f32> = (0..CHUNK + 3 * BLOCK).map(|i| (i * 7919 % 16384) as f32 / 16384.0).collect();
        uniforms[BLOCK] = 1.0 - 0.5f32.powi(24);
        let mut dispatched = uniforms.clone();
        normals_of_uniforms(&mut dispatched);
        transform(&mut uniforms);
        assert!(uniforms.iter().all(|value| value.is_finite()));
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&uniforms), bits(&dispatched));
    }
}
