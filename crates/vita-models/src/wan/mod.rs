//! The Wan video transformer, 2.1 and 2.2: latents, timestep and prompt in, velocity out.
//!
//! ```text
//! Wan::load(weights)                                  once a checkpoint
//! wan.adapted(LoRAs)                                  once a run, if there are any
//! wan.layout(latent size)                             once a size: positions, and the parts of the work
//! wan.context(prompt, image features)                 once a prompt
//! wan.forward(x, timesteps, context, layout, ..)      once a step
//! ```
//!
//! One sample at a time: guidance calls `forward` once for each of its contexts.
//!
//! Everything is computed in f32, whatever the weights are stored in, as the official code does for the
//! residual stream, the modulation and the norms (it takes matrix products in bf16). The time and rope
//! angles are f64 before their cosines are taken, as there.
//!
//! L video tokens, T latent frames, C width, H heads of D = 128.

mod adapt;
mod attention;
mod block;
mod cache;
mod config;
mod context;
mod cost;
mod embedding;
mod enhance;
mod error;
mod head;
mod layers;
mod layout;
mod model;
mod nag;
mod pass;
mod resident;

pub use cache::{CacheRule, CacheTables, StepCache, TeaMeasure};
pub use config::{Config, ImageConfig};
pub use context::{Context, Prompt};
pub use cost::Workload;
pub use error::{Error, Result};
pub use layout::{HIDDEN_BYTES_MAX, Layout, LayoutOptions};
pub use model::{OnBlock, Wan};
pub use pass::{Cached, Nag, NagNumbers, Pass};
