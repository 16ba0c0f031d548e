//! What flows along the links of custom sampling: `SAMPLER`, `SIGMAS`, `NOISE`, `GUIDER`.

use std::sync::Arc;

use vita_pipeline::{Conditioning, Transformer};

/// A solver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// Its name, `euler`.
    pub name: String,
}

/// Noise levels from the first to the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Sigmas(pub Vec<f32>);

/// Where a run's first noise comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseSource {
    /// Nowhere: the latent has it already.
    None,
    /// Drawn from a seed.
    Seed(u64),
}

/// A model and what leads it.
#[derive(Clone)]
pub struct Guider {
    /// The model.
    pub model: Arc<Transformer>,
    /// What should be seen.
    pub positive: Arc<Conditioning>,
    /// What should not.
    pub negative: Option<Arc<Conditioning>>,
    /// How strongly it is led.
    pub cfg: f64,
}
