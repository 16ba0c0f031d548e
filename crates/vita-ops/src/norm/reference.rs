//! The norms as their definitions read, in `f64`.

use vita_tensor::Tensor;

use super::{Affine, Rms};
use crate::Activation;

pub fn layer_norm(x: &Tensor, affine: Affine, epsilon: f32) -> Tensor {
    let [rows, width] = x.sizes();
    let mut y = Vec::with_capacity(rows * width);
    for row in 0..rows {
        let values: Vec<f64> = (0..width).map(|column| x.at(&[row, column])).collect();
        let mean = values.iter().sum::<f64>() / width as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / width as f64;
        for (column, value) in values.iter().enumerate() {
            let normal = (value - mean) / (variance + f64::from(epsilon)).sqrt();
            y.push(match affine {
                Affine::None => normal,
                Affine::Weight { weight, bias } => normal * weight.at(&[column]) + bias.at(&[column]),
                Affine::Modulate { scale, shift } => {
                    let group = row / (rows / scale.dims()[0]);
                    normal * (1.0 + scale.at(&[group, column])) + shift.at(&[group, column])
                }
            } as f32);
        }
    }
    Tensor::from_vec(y, [rows, width])
}

pub fn rms(x: &Tensor, weight: &Tensor, kind: Rms, then: Activation) -> Tensor {
    let width = weight.element_count();
    let values = x.to_vec();
    let mut y = Vec::with_capacity(values.len());
    for row in values.chunks(width) {
        let square_sum: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
        let divisor = match kind {
            Rms::MeanSquare { epsilon } => (square_sum / width as f64 + f64::from(epsilon)).sqrt(),
            Rms::L2 => square_sum.sqrt().max(1e-12) / (width as f64).sqrt(),
        };
        for (column, &value) in row.iter().enumerate() {
            y.push(then.reference(f64::from(value) / divisor * weight.at(&[column])) as f32);
        }
    }
    Tensor::from_vec(y, x.dims())
}
