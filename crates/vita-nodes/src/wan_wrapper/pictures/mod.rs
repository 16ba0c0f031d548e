//! Pictures to features, and features put together: what the image-to-video nodes share.

use vita_graph::{Context, Field, NodeError, float};
use vita_pipeline::{ClipCrop, ClipFeatures, Stage};
use vita_tensor::Tensor;

use crate::data::{ClipVision, Image};
use crate::work::run;

/// A factor of what a picture gives.
pub fn strength(default: f64, tooltip: &'static str) -> Field {
    float(default, 0.0..=10.0, 0.001).tooltip(tooltip)
}

/// Features of pictures, one below the other.
///
/// # Errors
/// As the pipeline's `encode`.
pub fn clip_features(
    encoder: &ClipVision,
    pictures: &Image,
    crop: ClipCrop,
    context: &mut Context<'_>,
) -> Result<ClipFeatures, NodeError> {
    run(context, Stage::Image, |environment| encoder.encode(pictures.tensor(), crop, environment))
}

/// Every value times a weight.
pub fn weighted(features: &ClipFeatures, weight: f64) -> ClipFeatures {
    if weight == 1.0 {
        return features.clone();
    }
    let values = features.to_vec().into_iter().map(|value| value * weight as f32).collect();
    Tensor::from_vec(values, features.dims())
}

/// Features of several pictures as those of one: their sum, divided by a number.
///
/// # Panics
/// If there are none, or they have several sizes.
pub fn added(parts: &[ClipFeatures], divisor: f32) -> ClipFeatures {
    let mut sum = parts[0].to_vec();
    for part in &parts[1..] {
        assert_eq!(part.dims(), parts[0].dims(), "features of one size");
        sum.iter_mut().zip(part.to_vec()).for_each(|(sum, value)| *sum += value);
    }
    sum.iter_mut().for_each(|value| *value /= divisor);
    Tensor::from_vec(sum, parts[0].dims())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_weighed_and_added() {
        let [a, b] = [[1.0, 2.0], [3.0, 6.0]].map(|values| Tensor::from_vec(values.to_vec(), [1, 2]));
        assert_eq!(weighted(&a, 0.5).to_vec(), [0.5, 1.0]);
        assert_eq!(added(&[a.clone(), b.clone()], 2.0).to_vec(), [2.0, 4.0]);
        assert_eq!(added(&[a, b], 1.0).to_vec(), [4.0, 8.0]);
    }
}
