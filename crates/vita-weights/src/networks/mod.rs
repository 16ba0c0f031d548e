//! One file a network: how dialects name its tensors, its sizes found from shapes, and which
//! tensors those sizes ask for.

pub mod clip_vision;
pub mod dit;
mod published;
pub mod umt5;
pub mod vae;

use vita_tensor::Dims;

use crate::naming::Dialects;
use crate::{Role, Weights};

/// Canonical names and shapes of every tensor of a network.
pub type Layout = Vec<(String, Dims)>;

pub fn dialects(role: Role) -> &'static Dialects {
    match role {
        Role::DiffusionModel => &dit::DIALECTS,
        Role::TextEncoder => &umt5::DIALECTS,
        Role::Vae => &vae::DIALECTS,
        Role::ClipVision => &clip_vision::DIALECTS,
    }
}

/// What the network is, and why it cannot be run; `None` where nothing speaks against it, or where
/// its sizes cannot be found, which its loader will say better.
pub fn unsupported(weights: &Weights) -> Option<(String, String)> {
    let (system, reason) = match weights.role() {
        Role::DiffusionModel => weights.dit_facts().ok().map(|facts| (facts.system(), facts.unsupported()))?,
        Role::TextEncoder => weights.umt5_facts().ok().map(|facts| (facts.system(), facts.unsupported()))?,
        Role::ClipVision => weights.clip_vision_facts().ok().map(|facts| (facts.system(), facts.unsupported()))?,
        Role::Vae => return None,
    };
    reason.map(|reason| (system, reason))
}

/// Collects a layout.
#[derive(Default)]
struct Builder(Layout);

impl Builder {
    fn tensor<const N: usize>(&mut self, name: impl Into<String>, dims: [usize; N]) {
        self.0.push((name.into(), Dims::from(dims)));
    }

    /// `NAME.weight` of the given shape and `NAME.bias` of its first size.
    fn layer<const N: usize>(&mut self, name: &str, dims: [usize; N]) {
        self.tensor(format!("{name}.weight"), dims);
        self.tensor(format!("{name}.bias"), [dims[0]]);
    }
}
