//! Small layers that several parts are made of, and how they are loaded.

use std::sync::Arc;

use vita_ops::{Activation, Affine, Arrived, Card, Linear, Precision, Upload, add_row, layer_norm, to_card, to_f32};
use vita_tensor::{DType, Tensor};
use vita_weights::{Weight, Weights};

use super::Result;
use super::adapt::Change;

/// Loads the linear layer `name` (`NAME.weight`, `NAME.bias`), its weight in the dtype of the file.
pub fn linear(weights: &Weights, name: &str, out_features: usize, in_features: usize) -> Result<Linear> {
    let layer = weights.scope(name);
    let Weight { tensor, scale } = layer.weight("weight", &[out_features, in_features])?;
    let bias = layer.get("bias", &[out_features])?;
    // The kernels have no double precision.
    let weight = if tensor.dtype() == DType::F64 { tensor.to_contiguous_f32() } else { tensor };
    Ok(Linear::new(&weight, scale, Some(&bias)))
}

/// Loads a small tensor as f32: a norm's weight, a bias, a modulation.
pub fn small(weights: &Weights, name: &str, dims: &[usize]) -> Result<Tensor> {
    Ok(weights.get(name, dims)?.to_contiguous_f32())
}

/// A small tensor on a card.
pub fn on_card(card: &Arc<Card>, x: &Tensor) -> Result<Tensor> {
    Ok(to_card(card, x).made()?)
}

/// `layer_norm(x) * weight + bias`.
#[derive(Clone)]
pub struct LayerNorm {
    weight: Tensor, // [C]
    bias: Tensor,   // [C]
    epsilon: f32,
}

impl LayerNorm {
    pub fn load(weights: &Weights, dim: usize, epsilon: f32) -> Result<Self> {
        Ok(Self { weight: small(weights, "weight", &[dim])?, bias: small(weights, "bias", &[dim])?, epsilon })
    }

    pub fn change(&mut self, name: &str, change: &mut Change) {
        change.tensor(&format!("{name}.weight"), &mut self.weight);
        change.tensor(&format!("{name}.bias"), &mut self.bias);
    }

    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self> {
        let Self { weight, bias, epsilon } = self;
        Ok(Self { weight: on_card(card, weight)?, bias: on_card(card, bias)?, epsilon: *epsilon })
    }

    /// x: `[L, C]`. Returns `[L, C]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        layer_norm(x, Affine::Weight { weight: &self.weight, bias: &self.bias }, self.epsilon)
    }
}

/// Two linear layers with an activation between; checkpoints number the activation 1.
#[derive(Clone)]
pub struct Mlp {
    layer_0: Linear,
    activation: Activation,
    layer_2: Linear,
}

impl Mlp {
    /// widths: in, between, out.
    pub fn load(weights: &Weights, [from, between, to]: [usize; 3], activation: Activation) -> Result<Self> {
        Ok(Self {
            layer_0: linear(weights, "0", between, from)?,
            activation,
            layer_2: linear(weights, "2", to, between)?,
        })
    }

    pub fn change(&mut self, name: &str, change: &mut Change) {
        change.linear(&format!("{name}.0"), &mut self.layer_0);
        change.linear(&format!("{name}.2"), &mut self.layer_2);
    }

    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self> {
        self.upload(&mut Upload::now(card, Precision::default()))
    }

    pub fn upload<'a>(&'a self, upload: &mut Upload<'a>) -> Result<Self> {
        let Self { layer_0, activation, layer_2 } = self;
        Ok(Self { layer_0: layer_0.upload(upload)?, activation: *activation, layer_2: layer_2.upload(upload)? })
    }

    /// With weights that came later, see [`Upload::later`].
    pub fn with_weights(&self, arrived: &Arrived) -> Self {
        let Self { layer_0, activation, layer_2 } = self;
        let (layer_0, layer_2) = (layer_0.with_weights(arrived), layer_2.with_weights(arrived));
        Self { layer_0, activation: *activation, layer_2 }
    }

    /// x: `[L, in]`, by value so that it is gone before the result is there. Returns `[L, out]`.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let hidden = self.layer_0.forward(&x, self.activation);
        drop(x);
        self.layer_2.forward(&hidden, Activation::None)
    }

    /// Asks for the weights' pages, see [`Linear::read_ahead`].
    pub fn read_ahead(&self) {
        self.layer_0.read_ahead();
        self.layer_2.read_ahead();
    }

    pub fn size_bytes(&self) -> usize {
        self.layer_0.size_bytes() + self.layer_2.size_bytes()
    }
}

/// The learned part of shifts, scales and gates: a row for each, to which the timestep's part is added.
#[derive(Clone)]
pub struct Modulation(Tensor); // [N, C]

impl Modulation {
    /// Loads `NAME.modulation`, `[1, N, C]`.
    pub fn load(weights: &Weights, rows: usize, dim: usize) -> Result<Self> {
        Ok(Self(small(weights, "modulation", &[1, rows, dim])?.reshape([rows, dim])))
    }

    /// `name` is that of the block or head.
    pub fn change(&mut self, name: &str, change: &mut Change) {
        change.tensor(&format!("{name}.modulation"), &mut self.0);
    }

    /// Row `index` plus each row of `e`: `[T, C]`. Returns `[T, C]`.
    pub fn plus(&self, index: usize, e: &Tensor) -> Tensor {
        add_row(to_f32(e), &self.0.select(0, index))
    }

    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self> {
        Ok(Self(on_card(card, &self.0)?))
    }

    pub fn size_bytes(&self) -> usize {
        self.0.size_bytes()
    }
}
