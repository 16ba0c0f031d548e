//! Inputs for networks that are timed or compared.

use vita_tensor::Tensor;

/// Numbers spread evenly over -1.7..1.7, so of deviation 1, in no order that matters.
pub fn made_up(dims: &[usize]) -> Tensor {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let count = dims.iter().product();
    let values = (0..count).map(|index: usize| ((index as f64 * GOLDEN).fract() * 3.4 - 1.7) as f32);
    Tensor::from_vec(values.collect(), dims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_numbers_have_deviation_one() {
        let values = made_up(&[100, 40]).to_vec();
        let mean = values.iter().sum::<f32>() / 4000.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 4000.0;
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
