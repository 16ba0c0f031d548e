//! From tokens to the velocity's patches.

use std::sync::Arc;

use vita_ops::{Activation, Card, Linear};
use vita_tensor::Tensor;
use vita_weights::Weights;

use super::adapt::Change;
use super::block::modulated;
use super::layers::{Modulation, linear};
use super::{Config, Result};

/// `head`. Its norm has no weights.
#[derive(Clone)]
pub struct Head {
    modulation: Modulation, // [2, C]
    head: Linear,
}

impl Head {
    pub fn load(weights: &Weights, config: &Config) -> Result<Self> {
        let patch: usize = Config::PATCH.iter().product();
        Ok(Self {
            modulation: Modulation::load(weights, 2, config.dim)?,
            head: linear(weights, "head", patch * config.out_dim, config.dim)?.precise(),
        })
    }

    pub fn change(&mut self, change: &mut Change) {
        self.modulation.change("head", change);
        change.linear("head.head", &mut self.head);
    }

    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self> {
        Ok(Self { modulation: self.modulation.to_card(card)?, head: self.head.to_card(card)? })
    }

    /// x: `[L, C]`, e: `[1 or T, C]`. Returns `[L, 4 * out_dim]`, channels innermost.
    pub fn forward(&self, x: &Tensor, e: &Tensor) -> Tensor {
        let [shift, scale] = std::array::from_fn(|i| self.modulation.plus(i, e));
        self.head.forward(&modulated(x, &shift, &scale), Activation::None)
    }

    pub fn size_bytes(&self) -> usize {
        self.modulation.size_bytes() + self.head.size_bytes()
    }
}
