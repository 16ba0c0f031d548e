//! Linear layer: `y = activation(x W^T * scale + bias)`.

mod cpu;
#[cfg(test)]
mod reference;

use vita_tensor::Tensor;

use crate::Activation;
use crate::gemm::{Finish, Packed, multiply};
use crate::rows::Rows;
use crate::simd::Isa;

/// A linear layer with its weight packed once, in the dtype it is stored in.
pub struct Linear {
    weight: Packed,
    /// Per-tensor factor of 8-bit weights.
    scale: f32,
    bias: Option<Vec<f32>>,
    in_features: usize,
    out_features: usize,
}

impl Linear {
    /// weight: `[out, in]`, any float dtype; bias: `[out]`; scale: factor of the whole weight.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn new(weight: &Tensor, scale: Option<f32>, bias: Option<&Tensor>) -> Self {
        let [out_features, in_features] = weight.sizes();
        let bias = bias.map(|bias| {
            assert_eq!(bias.sizes(), [out_features], "bias");
            bias.to_vec()
        });
        let weight = match weight.is_contiguous() {
            true => Packed::new(weight),
            false => Packed::new(&weight.to_contiguous_f32()),
        };
        Self { weight, scale: scale.unwrap_or(1.0), bias, in_features, out_features }
    }

    /// x: `[.., in]`, any strides. Returns `[.., out]`.
    ///
    /// # Panics
    /// If the last axis is not `in` long.
    pub fn forward(&self, x: &Tensor, activation: Activation) -> Tensor {
        self.forward_on(Isa::best(), x, activation)
    }

    fn forward_on(&self, isa: Isa, x: &Tensor, activation: Activation) -> Tensor {
        let mut dims = x.dims().to_vec();
        let last = dims.last_mut().expect("x has an axis");
        assert_eq!(*last, self.in_features, "linear of {} features", self.in_features);
        *last = self.out_features;
        let mut y = Tensor::scratch(&dims[..]);
        let finish = Finish { scale: self.scale, bias: self.bias.as_deref(), activation };
        multiply(isa, &Rows::of(x), &self.weight, 0..self.weight.depth, finish, y.f32s_mut());
        y
    }

    /// Width of the input.
    pub fn in_features(&self) -> usize {
        self.in_features
    }

    /// Width of the output.
    pub fn out_features(&self) -> usize {
        self.out_features
    }

    /// Bytes that the packed weight and the bias take.
    pub fn size_bytes(&self) -> usize {
        self.weight.size_bytes() + self.bias.as_ref().map_or(0, |bias| size_of_val(&bias[..]))
    }
}

#[cfg(test)]
mod tests {
    use vita_tensor::DType;

    use super::*;
    use crate::testing::{Random, assert_close};

    #[test]
    fn every_implementation_matches_the_reference() {
        let shapes = [(1, 1, 1), (1, 40, 70), (3, 16, 32), (13, 33, 31), (37, 300, 65), (250, 17, 33), (500, 530, 96)];
        for (seed, (rows, depth, columns)) in shapes.into_iter().enumerate() {
            for dtype in [DType::F32, DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2] {
                let mut random = Random::new(seed as u64);
                let weight = random.weight(&[columns, depth], dtype);
                let bias = random.tensor(&[columns]);
                // A slice of wider rows: strided as the query part of a fused projection is.
                let x = random.tensor(&[rows, depth + 3]).narrow(1, 2, depth);
                let scale = (seed % 2 == 1).then_some(0.37);
                let bias = (seed % 3 != 2).then_some(&bias);
                let activation = [Activation::None, Activation::GeluTanh, Activation::Silu][seed % 3];
                let want = reference::linear(&x, &weight, scale, bias, activation);
                let layer = Linear::new(&weight, scale, bias);
                for isa in Isa::available() {
                    let got = layer.forward_on(isa, &x, activation);
                    assert_close(&got, &want, 2e-6, format!("{isa}, {rows}x{depth}x{columns} {dtype}"));
                }
            }
        }
    }

    #[test]
    fn quantised_weights_match_the_reference() {
        for (seed, dtype) in DType::QUANTISED.into_iter().enumerate() {
            for (rows, depth, columns) in [(3, 256, 33), (37, 768, 65), (500, 512, 32)] {
                let mut random = Random::new(seed as u64);
                let weight = random.weight(&[columns, depth], dtype);
                let x = random.tensor(&[rows, depth]);
                let want = reference::linear(&x, &weight, None, None, Activation::None);
                let layer = Linear::new(&weight, None, None);
                for isa in Isa::available() {
                    let got = layer.forward_on(isa, &x, Activation::None);
                    assert_close(&got, &want, 3e-6, format!("{isa}, {rows}x{depth}x{columns} {dtype}"));
                }
            }
        }
    }

    #[test]
    fn leading_axes_are_kept_and_no_rows_are_no_work() {
        let mut random = Random::new(1);
        let layer = Linear::new(&random.tensor(&[5, 4]), None, None);
        assert_eq!(layer.forward(&random.tensor(&[2, 3, 4]), Activation::None).sizes(), [2, 3, 5]);
        assert_eq!(layer.forward(&random.tensor(&[0, 4]), Activation::None).sizes(), [0, 5]);
    }
}
