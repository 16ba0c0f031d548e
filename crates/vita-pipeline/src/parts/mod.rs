//! The networks of a system, each with its file opened and its sizes known. Cheap to clone; what is loaded of
//! them is in the [`crate::Residency`].

mod clip_vision;
mod text_encoder;
mod text_rows;
mod transformer;
mod vae;

use vita_weights::Weights;

pub use clip_vision::{ClipFeatures, ClipVision, below_each_other};
pub use text_encoder::{PromptStyle, TextEncoder};
pub use text_rows::TextRows;
pub(crate) use transformer::{LAYOUT, MASK_CHANNELS};
pub use transformer::{LoraAt, ModelPatches, Transformer};
pub(crate) use vae::Room;
pub use vae::{DecodeOptions, Vae};
pub use vita_models::clip_vision::Crop as ClipCrop;

use crate::residency::NetworkId;

/// One network's tensors and what they say of its sizes.
pub(crate) struct Part<C> {
    pub weights: Weights,
    pub config: C,
    /// Bytes of the tensors of the network's role.
    pub bytes: u64,
    pub id: NetworkId,
}

impl<C> Part<C> {
    fn new(weights: Weights, config: C, name: &'static str) -> Self {
        let bytes = weights.all().map(|(_, stored)| stored.bytes.len() as u64).sum();
        let id = NetworkId::new(weights.checkpoint(), name);
        Self { weights, config, bytes, id }
    }

    pub fn file(&self) -> &str {
        self.weights.checkpoint().name()
    }
}
