//! `beta`: quantiles of the beta distribution (0.6, 0.6), dense at both ends (Lee et al., 2024, "Beta sampling
//! is all you need"). Levels that coincide are dropped.

use super::ending_in_zero;
use crate::Flow;

/// Both parameters of the distribution.
const SHAPE: f64 = 0.6;

pub fn levels(flow: &Flow, steps: usize) -> Vec<f32> {
    let last = (Flow::TABLE_LEN - 1) as f64;
    let share = |i: usize| 1.0 - i as f64 * (1.0 / steps as f64);
    let mut places: Vec<usize> = (0..steps).map(|i| (quantile(share(i)) * last).round_ties_even() as usize).collect();
    places.dedup();
    ending_in_zero(places.into_iter().map(|place| flow.table(place)))
}

/// Where the distribution has a share of 0..=1 of its mass below. It is symmetric about one half.
pub fn quantile(share: f64) -> f64 {
    if share > 0.5 {
        return 1.0 - lower_quantile(1.0 - share);
    }
    lower_quantile(share)
}

/// [`quantile`] of a share of at most one half, by Newton's method on `u = x^SHAPE`, in which the
/// distribution is nearly a straight line.
fn lower_quantile(share: f64) -> f64 {
    if share == 0.5 {
        return 0.5;
    }
    let target = share * 2.0 * incomplete_beta(0.5);
    let mut u = SHAPE * target;
    for _ in 0..20 {
        let x = u.powf(1.0 / SHAPE);
        let slope = (1.0 - x).powf(SHAPE - 1.0) / SHAPE;
        let step = (incomplete_beta(x) - target) / slope;
        u -= step;
        if step.abs() <= f64::EPSILON * u {
            break;
        }
    }
    u.powf(1.0 / SHAPE)
}

/// Integral of `(t (1 - t))^(SHAPE - 1)` from 0 to x, for x up to one half (DLMF 8.17.7, as a power series).
fn incomplete_beta(x: f64) -> f64 {
    let mut factor = 1.0;
    let mut sum = 0.0;
    for n in 0..60 {
        let n = f64::from(n);
        sum += factor / (SHAPE + n);
        factor *= (n + 1.0 - SHAPE) / (n + 1.0) * x;
    }
    x.powf(SHAPE) * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values printed by SciPy 1.17, `scipy.stats.beta.ppf(share, 0.6, 0.6)`.
    #[test]
    fn quantiles_are_scipys() {
        for (share, want) in [
            (0.0, 0.0),
            (1e-06, 1.8558824624053043e-10),
            (0.001, 1.855873851745199e-05),
            (0.05, 0.012554456873611399),
            (0.25, 0.17568037865269498),
            (0.3333333333333333, 0.2754132907776234),
            (0.5, 0.5000000000000001),
            (0.5833333333333334, 0.6147793664177407),
            (0.75, 0.824319621347305),
            (0.95, 0.9874455431263885),
            (0.999, 0.9999814412614826),
            (0.999999, 0.9999999998144118),
            (1.0, 1.0),
        ] {
            let got = quantile(share);
            assert!((got - want).abs() <= 1e-14 + 1e-13 * want, "{share}: {got}, want {want}");
        }
    }
}
