//! A network's tensors under canonical names, scope by scope, as its loader walks them.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;

use bytes::Bytes;
use vita_tensor::{DType, Dims, Tensor};

use crate::checkpoint::{Checkpoint, Stored};
use crate::error::{ErrorKind, Result};
use crate::naming::{Names, split_leaf};
use crate::{ClipVisionFacts, DitFacts, Role, Umt5Facts, VaeFacts, fp8, identify, networks};

/// The tensors of one network, or of a part of it. Cheap to clone.
///
/// ```
/// # use vita_weights::{Checkpoint, Result, Role, Weight};
/// # use vita_tensor::Tensor;
/// fn load(checkpoint: &Checkpoint) -> Result<(Weight, Tensor)> {
///     let weights = checkpoint.weights(Role::DiffusionModel)?;
///     let dim = weights.dit_facts()?.dim;
///     let attention = weights.scope("blocks.0").scope("self_attn");
///     Ok((attention.weight("q.weight", &[dim, dim])?, attention.get("q.bias", &[dim])?))
/// }
/// ```
#[derive(Clone)]
pub struct Weights {
    shared: Arc<Shared>,
    /// Empty, or ends in a dot.
    scope: String,
}

struct Shared {
    checkpoint: Checkpoint,
    role: Role,
    names: Names,
    quantisation: Result<BTreeMap<String, String>, String>,
}

/// A linear layer's or embedding's weight: `tensor * scale` where a scale is kept beside it.
#[derive(Clone, Debug)]
pub struct Weight {
    /// The stored numbers, in the dtype of the file.
    pub tensor: Tensor,
    /// What they are to be multiplied by; `None` is 1.
    pub scale: Option<f32>,
}

impl Weights {
    pub(crate) fn of(checkpoint: &Checkpoint, role: Role) -> Result<Self> {
        let Some(weights) = Self::find(checkpoint, role) else {
            let identity = identify::identify(checkpoint);
            let belongs = identity.parts.first().and_then(|part| part.role());
            return Err(checkpoint.error(ErrorKind::WrongKind {
                wanted: role,
                seems: identify::with_article(&identity.system),
                belongs,
            }));
        };
        match networks::unsupported(&weights) {
            Some((system, reason)) => {
                Err(checkpoint.error(ErrorKind::Unsupported { system: identify::with_article(&system), reason }))
            }
            None => Ok(weights),
        }
    }

    /// Like [`Self::of`], without judging what is found.
    pub(crate) fn find(checkpoint: &Checkpoint, role: Role) -> Option<Self> {
        let names = Names::find(role, checkpoint)?;
        let quantisation = fp8::metadata_formats(checkpoint.metadata(), &names);
        let shared = Shared { checkpoint: checkpoint.clone(), role, names, quantisation };
        Some(Self { shared: Arc::new(shared), scope: String::new() })
    }

    /// The tensors whose names start with the given ones: `scope("blocks.0")`, `scope(index)`.
    #[must_use]
    pub fn scope(&self, name: impl Display) -> Self {
        Self { shared: self.shared.clone(), scope: format!("{}{name}.", self.scope) }
    }

    /// A tensor of a floating-point type, in the dtype of the file. Where the file keeps a scale for
    /// it, it is multiplied out to `f32`; take large ones with [`Self::weight`].
    ///
    /// # Errors
    /// If it is missing, misshapen, not of floating-point numbers, or quantised in an unknown way.
    pub fn get(&self, name: &str, dims: &[usize]) -> Result<Tensor> {
        let Weight { tensor, scale } = self.weight(name, dims)?;
        let Some(scale) = scale else { return Ok(tensor) };
        let mut scaled = tensor.to_contiguous_f32();
        scaled.f32s_mut().iter_mut().for_each(|value| *value *= scale);
        Ok(scaled)
    }

    /// The weight of a linear layer (or another large one) and its scale; `name` ends in `weight`.
    ///
    /// # Errors
    /// Like [`Self::get`].
    pub fn weight(&self, name: &str, dims: &[usize]) -> Result<Weight> {
        let full = self.full(name);
        let Some((key, stored)) = self.stored(&full) else {
            return Err(self.error(ErrorKind::TensorMissing {
                tensor: self.shared.names.key_of_missing(&full),
                wanted: Some(self.shared.role),
                seems: self.shared.checkpoint.seems(),
            }));
        };
        let layer = full.strip_suffix(".weight");
        if let Some(layer) = layer {
            self.check_format(layer, key)?;
        }
        if *stored.dims != *dims {
            return Err(self.error(ErrorKind::TensorShape {
                tensor: key.into(),
                found: stored.dims.to_vec(),
                expected: dims.to_vec(),
                wanted: Some(self.shared.role),
                seems: self.shared.checkpoint.seems(),
            }));
        }
        let tensor = self.shared.checkpoint.to_tensor(key, stored)?;
        if !tensor.dtype().is_float() {
            let dtype = tensor.dtype().to_string();
            return Err(self.error(ErrorKind::TensorType { tensor: key.into(), dtype }));
        }
        Ok(Weight { tensor, scale: layer.map_or(Ok(None), |layer| self.scale(layer))? })
    }

    /// Whether there is such a tensor.
    pub fn contains(&self, name: &str) -> bool {
        self.dims(name).is_some()
    }

    /// A tensor's shape, if it is there.
    pub fn dims(&self, name: &str) -> Option<Dims> {
        Some(self.stored(&self.full(name))?.1.dims)
    }

    /// How many consecutive numbers have tensors below `name`: `count("blocks")` is the number of blocks.
    pub fn count(&self, name: &str) -> usize {
        (0..).take_while(|index| self.shared.names.any_below(&format!("{}{name}.{index}.", self.scope))).count()
    }

    /// A file embedded as a tensor of bytes: `spiece_model` of text encoders.
    pub fn embedded(&self, name: &str) -> Option<Bytes> {
        // Beside the network's prefix in all-in-one files, so looked for by the end of its key.
        let (_, stored) = self.stored(&self.full(name)).or_else(|| {
            let below = format!(".{name}");
            self.shared.checkpoint.tensors().find(|(key, _)| *key == name || key.ends_with(&below))
        })?;
        (stored.element_type.dtype() == Some(DType::U8)).then(|| stored.bytes.clone())
    }

    /// Sizes of the transformer, from its shapes.
    ///
    /// # Errors
    /// If a tensor that tells them is missing or of another rank.
    pub fn dit_facts(&self) -> Result<DitFacts> {
        networks::dit::facts(self)
    }

    /// Sizes of the text encoder, from its shapes.
    ///
    /// # Errors
    /// Like [`Self::dit_facts`].
    pub fn umt5_facts(&self) -> Result<Umt5Facts> {
        networks::umt5::facts(self)
    }

    /// Sizes of the autoencoder, from its shapes.
    ///
    /// # Errors
    /// Like [`Self::dit_facts`].
    pub fn vae_facts(&self) -> Result<VaeFacts> {
        networks::vae::facts(self)
    }

    /// Sizes of the CLIP vision encoder, from its shapes.
    ///
    /// # Errors
    /// Like [`Self::dit_facts`].
    pub fn clip_vision_facts(&self) -> Result<ClipVisionFacts> {
        networks::clip_vision::facts(self)
    }

    /// Which network this is.
    pub fn role(&self) -> Role {
        self.shared.role
    }

    /// The file.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.shared.checkpoint
    }

    /// Canonical names and tensors of the whole network, whatever the scope, sorted by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Stored)> {
        self.shared.names.iter().filter_map(|(name, key)| Some((name, self.shared.checkpoint.stored(key)?)))
    }

    pub(crate) fn names(&self) -> &Names {
        &self.shared.names
    }

    pub(crate) fn error(&self, kind: ErrorKind) -> crate::Error {
        self.shared.checkpoint.error(kind)
    }

    /// A shape of a given rank, for finding a network's sizes.
    pub(crate) fn sizes<const N: usize>(&self, name: &str) -> Result<[usize; N]> {
        let full = self.full(name);
        let Some((key, stored)) = self.stored(&full) else {
            return Err(self.error(ErrorKind::TensorMissing {
                tensor: self.shared.names.key_of_missing(&full),
                wanted: Some(self.shared.role),
                seems: self.shared.role.with_article().to_owned(),
            }));
        };
        (&*stored.dims).try_into().map_err(|_| {
            self.error(ErrorKind::TensorRank {
                tensor: key.into(),
                found: stored.dims.to_vec(),
                expected_axes: N,
                wanted: self.shared.role,
            })
        })
    }

    /// Formats of layers that say how they are quantised, by canonical layer name.
    pub(crate) fn declared_formats(&self) -> Result<BTreeMap<String, String>, String> {
        let mut formats = self.shared.quantisation.clone()?;
        for (name, stored) in self.all() {
            if let Some(layer) = name.strip_suffix(".comfy_quant") {
                formats.insert(layer.to_owned(), fp8::tensor_format(&stored.bytes)?);
            }
        }
        Ok(formats)
    }

    pub(crate) fn check_format(&self, layer: &str, key: &str) -> Result<()> {
        let marker = self.stored(&format!("{layer}.comfy_quant"));
        let format = match (marker, &self.shared.quantisation) {
            (Some((_, stored)), _) => fp8::tensor_format(&stored.bytes).map(Some),
            (None, Ok(formats)) => Ok(formats.get(layer).cloned()),
            (None, Err(problem)) => Err(problem.clone()),
        };
        match format {
            Ok(None) => Ok(()),
            Ok(Some(format)) if fp8::is_supported(&format) => Ok(()),
            Ok(Some(format)) | Err(format) => {
                let layer = key.strip_suffix(".weight").unwrap_or(key).to_owned();
                Err(self.error(ErrorKind::Quantisation { layer, format }))
            }
        }
    }

    pub(crate) fn scale(&self, layer: &str) -> Result<Option<f32>> {
        let found = fp8::SCALE_SUFFIXES.iter().find_map(|suffix| self.stored(&format!("{layer}.{suffix}")));
        let Some((key, stored)) = found else { return Ok(None) };
        let scale = self.shared.checkpoint.to_tensor(key, stored)?;
        if scale.element_count() != 1 || !scale.dtype().is_float() {
            let format = format!("values with scales of shape {}", scale.dims());
            return Err(self.error(ErrorKind::Quantisation { layer: split_leaf(key).0.to_owned(), format }));
        }
        Ok(Some(scale.to_vec()[0]))
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.scope)
    }

    fn stored(&self, full: &str) -> Option<(&str, &Stored)> {
        let key = self.shared.names.key(full)?;
        Some((key, self.shared.checkpoint.stored(key)?))
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights({} of {:?}, scope {:?})", self.shared.role, self.shared.checkpoint, self.scope)
    }
}
