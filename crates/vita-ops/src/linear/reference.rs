//! Linear layer as its definition reads, in `f64`.

use vita_tensor::Tensor;

use crate::Activation;

pub fn linear(x: &Tensor, weight: &Tensor, scale: Option<f32>, bias: Option<&Tensor>, then: Activation) -> Tensor {
    let [rows, depth] = x.sizes();
    let [columns, _] = weight.sizes();
    let mut y = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            let product: f64 = (0..depth).map(|k| x.at(&[row, k]) * weight.at(&[column, k])).sum();
            let scaled = product * f64::from(scale.unwrap_or(1.0));
            y.push(then.reference(scaled + bias.map_or(0.0, |bias| bias.at(&[column]))) as f32);
        }
    }
    Tensor::from_vec(y, [rows, columns])
}
