//! Normalised attention guidance.

use super::NagNumbers;

/// What is made of a norm that is not a number, as in the wrapper.
const RATIO_OF_NOTHING: f32 = 10.0;

/// Replaces each row of `positive` by the guided one. Both are `[l, width]`, one after the other.
///
/// With `g = scale positive - (scale - 1) negative` and norms that are sums of magnitudes: where `g` is more than `tau`
/// times as long as `positive` it is shortened to that; then `alpha g + (1 - alpha) positive`.
pub fn guide(positive: &mut [f32], negative: &[f32], width: usize, numbers: NagNumbers) {
    let NagNumbers { scale, tau, alpha } = numbers;
    for (positive, negative) in positive.chunks_exact_mut(width).zip(negative.chunks_exact(width)) {
        let guided = |p: f32, n: f32| p * scale - n * (scale - 1.0);
        let length = positive.iter().map(|p| p.abs()).sum::<f32>();
        let guided_length = positive.iter().zip(negative).map(|(&p, &n)| guided(p, n).abs()).sum::<f32>();
        let ratio = match guided_length / length {
            ratio if ratio.is_nan() => RATIO_OF_NOTHING,
            ratio => ratio,
        };
        let shorten = if ratio > tau { length * tau / (guided_length + 1e-7) } else { 1.0 };
        for (p, &n) in positive.iter_mut().zip(negative) {
            *p = guided(*p, n) * shorten * alpha + *p * (1.0 - alpha);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(count: usize, turn: f64) -> Vec<f32> {
        (0..count).map(|i| (i as f64 * turn).sin() as f32).collect()
    }

    /// Numbers of the formula in PyTorch: rows that are lengthened a little, a lot, and from next to nothing.
    #[test]
    fn rows_are_pytorchs() {
        let mut positive = wave(24, 0.7);
        let mut negative = wave(24, 1.3);
        negative[..8].iter_mut().for_each(|value| *value *= 0.1);
        negative[16..].iter_mut().for_each(|value| *value *= 4.0);
        positive[16..].iter_mut().for_each(|value| *value *= 0.05);
        for (scale, tau, alpha, want) in
            [(11.0, 2.5, 0.25, WANT[0]), (1.5, 2.5, 0.25, WANT[1]), (1.2, 10.0, 0.5, WANT[2])]
        {
            let mut got = positive.clone();
            guide(&mut got, &negative, 8, NagNumbers { scale, tau, alpha });
            for (index, (got, want)) in got.iter().zip(want).enumerate() {
                assert!((got - want).abs() < 2e-6, "{scale} {index}: {got}, {want}");
            }
        }
        let mut nothing = vec![0.0; 8];
        guide(&mut nothing, &[0.0; 8], 8, NagNumbers { scale: 11.0, tau: 2.5, alpha: 0.25 });
        assert_eq!(nothing, [0.0; 8]);
    }

    const WANT: [[f32; 24]; 3] = [
        [
            0.0, 0.821132, 1.308976, 1.209492, 0.503403, -0.487949, -1.238001, -1.350977, -0.397921, 0.454396,
            0.663979, 0.797851, 1.112071, 0.963936, -0.160685, -1.550276, -0.063307, -0.020355, 0.029122, 0.037202,
            0.016015, 0.008699, 0.020512, 0.013699,
        ],
        [
            0.0, 0.7127, 1.102187, 0.979708, 0.387905, -0.39732, -0.993005, -1.109248, -0.606697, 0.114164, 0.686589,
            0.988343, 0.947954, 0.475126, -0.336685, -1.06535, -0.064067, -0.02076, 0.02925, 0.037698, 0.016601,
            0.00918, 0.020751, 0.013548,
        ],
        [
            0.0, 0.699004, 1.07884, 0.956408, 0.377322, -0.388013, -0.968719, -1.083889, -0.611611, 0.094694, 0.680669,
            0.988308, 0.929283, 0.443921, -0.342644, -1.028219, -0.252951, -0.001257, 0.226395, 0.123786, -0.132133,
            -0.152996, 0.085695, 0.211536,
        ],
    ];
}
