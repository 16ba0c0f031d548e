//! What enters the blocks besides the video: the timestep, and the features of an image.

use std::sync::Arc;

use vita_ops::{Activation, Card, Linear, add, to_f32};
use vita_tensor::Tensor;
use vita_weights::Weights;

use super::adapt::Change;
use super::layers::{LayerNorm, Mlp, linear, on_card, small};
use super::{Config, ImageConfig, Result};

/// `time_embedding` and `time_projection`.
#[derive(Clone)]
pub struct TimeEmbedding {
    time_embedding: Mlp,
    time_projection: Linear,
    freq_dim: usize,
}

/// A timestep's embedding, a row for each timestep.
pub struct Time {
    /// For the head: `[T, C]`.
    pub e: Tensor,
    /// For the blocks, `[T, 6, C]`: shift, scale and gate of the attention, then of the feed-forward layers.
    pub e0: Tensor,
}

impl Time {
    /// Itself, unless there was no room for it.
    pub fn made(self) -> Result<Self> {
        Ok(Self { e: self.e.made()?, e0: self.e0.made()? })
    }
}

impl TimeEmbedding {
    pub fn load(weights: &Weights, config: &Config) -> Result<Self> {
        let &Config { dim, freq_dim, .. } = config;
        Ok(Self {
            time_embedding: Mlp::load(&weights.scope("time_embedding"), [freq_dim, dim, dim], Activation::Silu)?,
            time_projection: linear(weights, "time_projection.1", 6 * dim, dim)?,
            freq_dim,
        })
    }

    pub fn change(&mut self, change: &mut Change) {
        self.time_embedding.change("time_embedding", change);
        change.linear("time_projection.1", &mut self.time_projection);
    }

    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self> {
        let Self { time_embedding, time_projection, freq_dim } = self;
        let time_embedding = time_embedding.to_card(card)?;
        Ok(Self { time_embedding, time_projection: time_projection.to_card(card)?, freq_dim: *freq_dim })
    }

    /// timesteps: `1000 * sigma`, one for the video or one a latent frame.
    pub fn forward(&self, timesteps: &[f32]) -> Time {
        let e = self.time_embedding.forward(sinusoids(timesteps, self.freq_dim));
        let e0 = self.time_projection.forward(&Activation::Silu.forward(e.clone()), Activation::None);
        let [count, dim] = e.sizes();
        Time { e0: e0.reshape([count, 6, dim]), e }
    }

    pub fn size_bytes(&self) -> usize {
        self.time_embedding.size_bytes() + self.time_projection.size_bytes()
    }
}

/// `[cos(t w_i) | sin(t w_i)]` with `w_i = 10000^(-i / half)`, cosines first. Angles are f64, as in the official
/// code. Returns `[timesteps, width]`.
fn sinusoids(timesteps: &[f32], width: usize) -> Tensor {
    let half = width / 2;
    let angle = |timestep: f32, i: usize| f64::from(timestep) * 10_000f64.powf(-(i as f64) / half as f64);
    let mut values = Vec::with_capacity(timesteps.len() * width);
    for &timestep in timesteps {
        values.extend((0..half).map(|i| angle(timestep, i).cos() as f32));
        values.extend((0..half).map(|i| angle(timestep, i).sin() as f32));
    }
    Tensor::from_vec(values, [timesteps.len(), width])
}

/// `img_emb`: from CLIP's image features to the width of the blocks.
#[derive(Clone)]
pub struct ImageEmbedding {
    /// `proj.0`, `proj.1`, `proj.3` and `proj.4`; 2 is the activation.
    proj_0: LayerNorm,
    proj_1: Linear,
    proj_3: Linear,
    proj_4: LayerNorm,
    /// Tells first and last frame apart: `[514, image_dim]`.
    emb_pos: Option<Tensor>,
}

impl ImageEmbedding {
    pub fn load(weights: &Weights, image: ImageConfig, dim: usize) -> Result<Self> {
        const EPSILON: f32 = 1e-5;
        let proj = weights.scope("proj");
        let emb_pos = image.positions.map(|positions| {
            Ok::<_, super::Error>(
                small(weights, "emb_pos", &[1, positions, image.dim])?.reshape([positions, image.dim]),
            )
        });
        Ok(Self {
            proj_0: LayerNorm::load(&proj.scope("0"), image.dim, EPSILON)?,
            proj_1: linear(&proj, "1", image.dim, image.dim)?,
            proj_3: linear(&proj, "3", dim, image.dim)?,
            proj_4: LayerNorm::load(&proj.scope("4"), dim, EPSILON)?,
            emb_pos: emb_pos.transpose()?,
        })
    }

    pub fn change(&mut self, change: &mut Change) {
        let Self { proj_0, proj_1, proj_3, proj_4, emb_pos } = self;
        proj_0.change("img_emb.proj.0", change);
        change.linear("img_emb.proj.1", proj_1);
        change.linear("img_emb.proj.3", proj_3);
        proj_4.change("img_emb.proj.4", change);
        if let Some(emb_pos) = emb_pos {
            change.tensor("img_emb.emb_pos", emb_pos);
        }
    }

    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self> {
        let Self { proj_0, proj_1, proj_3, proj_4, emb_pos } = self;
        Ok(Self {
            proj_0: proj_0.to_card(card)?,
            proj_1: proj_1.to_card(card)?,
            proj_3: proj_3.to_card(card)?,
            proj_4: proj_4.to_card(card)?,
            emb_pos: emb_pos.as_ref().map(|table| on_card(card, table)).transpose()?,
        })
    }

    /// features: `[n, image_dim]`, 257 an image. Returns `[n, C]`; with a table of positions, at most as many rows
    /// as it has.
    pub fn forward(&self, features: &Tensor) -> Tensor {
        let mut x = features.clone();
        if let Some(emb_pos) = &self.emb_pos {
            let count = x.dims()[0].min(emb_pos.dims()[0]);
            x = add(to_f32(&x.narrow(0, 0, count)), &emb_pos.narrow(0, 0, count));
        }
        let x = self.proj_1.forward(&self.proj_0.forward(&x), Activation::GeluErf);
        self.proj_4.forward(&self.proj_3.forward(&x, Activation::None))
    }

    pub fn size_bytes(&self) -> usize {
        self.proj_1.size_bytes() + self.proj_3.size_bytes() + self.emb_pos.as_ref().map_or(0, Tensor::size_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_come_first() {
        let table = sinusoids(&[0.0, 2.0], 4);
        let want =
            [1.0, 1.0, 0.0, 0.0, 2f64.cos() as f32, 0.02f64.cos() as f32, 2f64.sin() as f32, 0.02f64.sin() as f32];
        assert_eq!(table.to_vec(), want);
    }
}
