//! CLIP's vision encoder: a picture to features.

use std::path::Path;
use std::sync::Arc;

use vita_models::clip_vision::{self, Crop};
use vita_tensor::Tensor;
use vita_weights::{Checkpoint, Role};

use super::Part;
use crate::Error;
use crate::environment::{Environment, Loading};
use crate::memory::StageMemory;
use crate::progress::Stage;
use crate::residency::Residency;

/// What the encoder says of pictures: `[257 n, width]`, the output of the last block but one.
pub type ClipFeatures = Tensor;

/// A vision encoder, opened. Cheap to clone.
#[derive(Clone)]
pub struct ClipVision(Arc<Part<clip_vision::Config>>);

impl ClipVision {
    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no CLIP vision encoder.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::new(&Checkpoint::open(path)?)
    }

    /// The same of a checkpoint that is open already.
    ///
    /// # Errors
    /// As [`ClipVision::open`].
    pub fn new(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let weights = checkpoint.weights(Role::ClipVision)?;
        let config = clip_vision::Config::of(&weights.clip_vision_facts()?);
        Ok(Self(Arc::new(Part::new(weights, config, "CLIP vision encoder"))))
    }

    /// Has it leave the card it is on, if it is on one, until it is used again.
    pub fn offload(&self, residency: &Residency) {
        residency.leave_card(&self.0.id);
    }

    /// Its file, as it was given.
    pub fn file(&self) -> &str {
        self.0.file()
    }

    /// Width of a feature.
    pub fn width(&self) -> usize {
        self.0.config.dim
    }

    /// Features of each picture of `[n, H, W, 3]` in 0..1, one below the other: `[257 n, width]`.
    ///
    /// # Errors
    /// If the pictures have another form, the encoder cannot be loaded, or the work was cancelled.
    pub fn encode(&self, pictures: &Tensor, crop: Crop, environment: &mut Environment) -> Result<ClipFeatures, Error> {
        crate::resize::check_pictures(pictures)?;
        let part = &self.0;
        let load = || Ok(clip_vision::ClipVision::load(&part.weights)?);
        let network = Loading { load: &load, to_card: &clip_vision::ClipVision::to_card };
        environment.with_network(&part.id, self.memory(), network, |environment, encoder| {
            let count = pictures.dims()[0];
            let mut stage = environment.begin(Stage::Image, count);
            let mut features = Vec::with_capacity(count);
            for index in 0..count {
                environment.check()?;
                features.push(encoder.encode(&pictures.select(0, index), crop)?.to_host()?);
                environment.step(&mut stage);
            }
            environment.end(stage);
            Ok(below_each_other(&features.iter().collect::<Vec<_>>()))
        })
    }

    /// What encoding takes.
    pub(crate) fn memory(&self) -> StageMemory {
        StageMemory {
            stage: Stage::Image,
            weight_bytes: self.0.bytes,
            activation_bytes: clip_vision::peak_bytes(&self.0.config) as u64,
        }
    }

    /// Features of a picture.
    pub(crate) fn token_count(&self) -> usize {
        self.0.config.token_count()
    }
}

/// Features of several pictures: rows of equal width, one tensor's below the other's: `[sum of n, width]`.
///
/// # Panics
/// If there is none, or their widths differ.
pub fn below_each_other(parts: &[&Tensor]) -> Tensor {
    let width = parts[0].dims()[1];
    assert!(parts.iter().all(|part| part.dims()[1] == width), "features of one width");
    let values: Vec<f32> = parts.iter().flat_map(|part| part.to_vec()).collect();
    Tensor::from_vec(values, [parts.iter().map(|part| part.dims()[0]).sum(), width])
}
