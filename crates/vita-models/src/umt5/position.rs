//! T5's bias of attention by the distance between tokens.

use vita_tensor::Tensor;

/// Distances beyond this share the last bucket.
const DISTANCE_MAX: f64 = 128.0;

/// A table `[buckets, H]` as the bias of `count` queries and keys: `[H, 2 count - 1]`, where query `i` and
/// key `j` meet at place `i - j + count - 1`, as `vita_ops::attention` takes it.
pub fn position_bias(table: &Tensor, count: usize) -> Tensor {
    let [buckets, heads] = table.sizes();
    let table = table.to_vec();
    let places = (2 * count).saturating_sub(1);
    let mut bias = Tensor::scratch([heads, places]);
    let places: Vec<usize> = (0..places).map(|place| bucket(count as i64 - 1 - place as i64, buckets)).collect();
    for (head, row) in bias.f32s_mut().chunks_exact_mut(places.len()).enumerate() {
        row.iter_mut().zip(&places).for_each(|(value, bucket)| *value = table[bucket * heads + head]);
    }
    bias
}

/// Bucket of a key that is `ahead` of its query: half of the buckets are for keys behind, half for keys
/// ahead; in each half the first ones are single distances, and the others grow evenly in the logarithm.
fn bucket(ahead: i64, buckets: usize) -> usize {
    let half = buckets / 2;
    let exact = half / 2;
    let distance = ahead.unsigned_abs() as usize;
    let within = if distance < exact {
        distance
    } else {
        let share = (distance as f64 / exact as f64).ln() / (DISTANCE_MAX / exact as f64).ln();
        (exact + (share * (half - exact) as f64) as usize).min(half - 1)
    };
    within + if ahead > 0 { half } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_known_distances() {
        let far =
            [(8, 8), (11, 8), (12, 9), (15, 9), (16, 10), (31, 11), (32, 12), (64, 14), (90, 14), (91, 15), (5000, 15)];
        for (distance, want) in (0..8).map(|distance| (distance, distance as usize)).chain(far) {
            assert_eq!(bucket(-distance, 32), want, "{distance} behind");
            assert_eq!(bucket(distance, 32), want + if distance > 0 { 16 } else { 0 }, "{distance} ahead");
        }
    }

    #[test]
    fn a_bias_is_found_at_the_distance() {
        let table = Tensor::from_vec((0..64).map(|i| i as f32).collect(), [32, 2]);
        let bias = position_bias(&table, 3);
        // Query 0, key 2: place 0, two ahead; head 1.
        assert_eq!(bias.at(&[1, 0]), (16.0 + 2.0) * 2.0 + 1.0);
        // Query 2, key 1: place 3, one behind; head 0.
        assert_eq!(bias.at(&[0, 3]), 2.0);
    }
}
