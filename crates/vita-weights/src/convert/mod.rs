//! Conversion of a checkpoint into another dialect or another storage of its numbers, tensor by tensor.
//!
//! [`Conversion::plan`] decides, from names and shapes alone, what the new file holds and how large it is;
//! [`Conversion::write`] then streams. What is kept in high precision is told in `rule.rs`.

mod header;
mod names;
mod numbers;
mod rule;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use vita_tensor::{DType, Dims};

use crate::error::{ErrorKind, Result};
use crate::naming::split_leaf;
use crate::{Checkpoint, Kind, Role, Weights, fp8, identify, vocabulary};

/// Whose names a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// ComfyUI's repackaged files.
    Comfy,
    /// Kijai's files for the Wan wrapper.
    Kijai,
    /// The authors' own.
    Official,
    /// Those of diffusers and transformers.
    Diffusers,
}

/// How the large matrices of a file are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// 8-bit floats, e4m3, each matrix times a scale of its own.
    Fp8Scaled,
    /// 8-bit floats, e4m3, without scales.
    Fp8,
    /// Truncated single precision.
    Bf16,
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
    /// GGUF: 8 bits, a scale every 32. The file is a GGUF file.
    Q8_0,
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp8Scaled => "fp8_scaled",
            Self::Fp8 => "fp8_e4m3fn",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::Q8_0 => "q8_0",
        })
    }
}

/// A file that is to be written.
#[derive(Debug)]
pub struct Conversion {
    checkpoint: Checkpoint,
    system: String,
    /// Everything before the tensors' bytes.
    header: Vec<u8>,
    /// In the order in which they are written.
    entries: Vec<Entry>,
    /// Weights that have a scale beside them.
    scaled: BTreeSet<String>,
    /// Tensors begin at multiples of this.
    alignment: usize,
}

/// A tensor of the new file.
#[derive(Debug)]
struct Entry {
    name: String,
    dims: Dims,
    dtype: DType,
    content: Content,
}

/// Where a tensor's bytes come from.
#[derive(Debug)]
enum Content {
    /// Tensors of the old file, one after the other, and what their numbers are times.
    Tensors { pieces: Vec<Piece>, scale: Option<f32> },
    /// The scale of the matrix of this name, which is known when that has been written.
    ScaleOf(String),
    /// These.
    Bytes(Bytes),
}

/// Rows of a tensor of the old file.
#[derive(Clone, Debug)]
struct Piece {
    key: String,
    /// All where there is none.
    rows: Option<Range<usize>>,
    /// Rows and columns change places; of small tensors only.
    is_turned: bool,
}

impl Entry {
    fn size_bytes(&self) -> usize {
        self.dtype.bytes_of(self.dims.element_count()).expect("rows are whole blocks, as the rule sees to")
    }
}

impl Conversion {
    /// Decides what the new file holds; `numbers` of `None` leaves them as they are. Reads no weights.
    ///
    /// # Errors
    /// If the file is no single network that is known, or cannot be stored so.
    pub fn plan(checkpoint: &Checkpoint, dialect: Dialect, numbers: Option<Numbers>) -> Result<Self> {
        let weights = only_network(checkpoint)?;
        let role = weights.role();
        let refuse = |reason: &str, advice: &str| {
            Err(checkpoint.error(ErrorKind::NotConvertible { reason: reason.to_owned(), advice: advice.to_owned() }))
        };
        let is_gguf = numbers == Some(Numbers::Q8_0);
        let is_eight_bit = matches!(numbers, Some(Numbers::Fp8Scaled | Numbers::Fp8 | Numbers::Q8_0));
        if is_eight_bit && !matches!(role, Role::DiffusionModel | Role::TextEncoder) {
            let reason = format!("a {role} does not stand 8 bits, and is small");
            return refuse(&reason, "choose bf16, f16 or f32");
        }
        if is_gguf && dialect == Dialect::Diffusers && role == Role::DiffusionModel {
            return refuse("no program reads GGUF files with the names of diffusers", "leave the dialect out");
        }
        let target = rule::Target { role, numbers };
        let naming = names::Target { role, dialect, is_gguf };
        let mut entries = Vec::new();
        for tensor in names::rearranged(&weights, dialect)? {
            if is_gguf && !tensor.source.is_float() {
                continue;
            }
            add(&mut entries, &weights, tensor, &target, &naming)?;
        }
        if dialect == Dialect::Comfy
            && !is_gguf
            && entries.iter().any(|entry| matches!(entry.content, Content::ScaleOf(_)))
        {
            entries.push(scale_mark(role));
        }
        if role == Role::ClipVision && matches!(dialect, Dialect::Kijai | Dialect::Official) {
            entries.extend((!weights.contains("log_scale")).then(log_scale));
        }
        let mut metadata = kept_metadata(checkpoint);
        let mut tables = None;
        if let Some(model) = weights.embedded("spiece_model") {
            tables = vocabulary::tables(&model).filter(|_| is_gguf);
            if !is_gguf {
                let dims = Dims::from([model.len()]);
                entries.push(Entry {
                    name: "spiece_model".into(),
                    dims,
                    dtype: DType::U8,
                    content: Content::Bytes(model),
                });
            }
        }
        let (header, alignment) = match is_gguf {
            true => {
                let architecture = if role == Role::TextEncoder { "t5encoder" } else { "wan" };
                entries.sort_by(|a, b| a.name.cmp(&b.name));
                (header::gguf(&entries, architecture, &metadata, tables.as_ref()), header::GGUF_ALIGNMENT)
            }
            false => {
                metadata.entry("format".to_owned()).or_insert_with(|| "pt".to_owned());
                // Larger elements first, so that all of them are aligned.
                let size = |entry: &Entry| entry.dtype.bytes_of(1);
                entries.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.name.cmp(&b.name)));
                (header::safetensors(&entries, &metadata), 1)
            }
        };
        if let Some(pair) = twice(&entries) {
            return refuse(&format!("two of its tensors would be called `{pair}`"), "choose another dialect");
        }
        let scaled = entries.iter().filter_map(|entry| match &entry.content {
            Content::ScaleOf(weight) => Some(weight.clone()),
            _ => None,
        });
        let (system, scaled) = (identify(checkpoint).system, scaled.collect());
        Ok(Self { checkpoint: checkpoint.clone(), system, header, entries, scaled, alignment })
    }

    /// What the file is, in a few words.
    pub fn system(&self) -> &str {
        &self.system
    }

    /// Size of the new file.
    pub fn size_bytes(&self) -> u64 {
        let sizes = self.entries.iter().map(|entry| entry.size_bytes().next_multiple_of(self.alignment) as u64);
        self.header.len() as u64 + sizes.sum::<u64>()
    }

    /// Bytes of each element type in the new file, the most first.
    pub fn types(&self) -> Vec<(DType, u64)> {
        let mut types: Vec<(DType, u64)> = Vec::new();
        for entry in &self.entries {
            let bytes = entry.size_bytes() as u64;
            match types.iter_mut().find(|(dtype, _)| *dtype == entry.dtype) {
                Some((_, sum)) => *sum += bytes,
                None => types.push((entry.dtype, bytes)),
            }
        }
        types.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
        types
    }
}

/// A tensor of the network under the canonical name of where it belongs.
struct Tensor {
    name: String,
    dims: Dims,
    pieces: Vec<Piece>,
    source: DType,
}

/// Adds a tensor, and its scale where it gets one.
fn add(
    entries: &mut Vec<Entry>,
    weights: &Weights,
    tensor: Tensor,
    target: &rule::Target,
    naming: &names::Target,
) -> Result<()> {
    let Tensor { name, dims, pieces, source } = tensor;
    let layer = name.strip_suffix(".weight");
    if let (Some(layer), [piece]) = (layer, &pieces[..]) {
        weights.check_format(layer, &piece.key)?;
    }
    let scale = layer.map_or(Ok(None), |layer| weights.scale(layer))?;
    let Some(dtype) = target.dtype(&name, &dims, source) else {
        return Err(weights.error(ErrorKind::NotConvertible {
            reason: format!("`{name}` is {source}, which only GGUF files hold"),
            advice: "choose how its numbers are to be stored: bf16, fp8_scaled or another".into(),
        }));
    };
    let new_name = naming.name(&name);
    // 8-bit floats keep their scale, or get one.
    let keeps_scale = dtype == source && scale.is_some() && !target.is_plain(&name, &dims);
    let gets_scale = dtype == DType::F8E4M3 && target.is_scaled(&name, &dims) || keeps_scale;
    if gets_scale {
        let (layer, _) = split_leaf(&new_name);
        let content = Content::ScaleOf(new_name.clone());
        entries.push(Entry { name: format!("{layer}.scale_weight"), dims: Dims::from([]), dtype: DType::F32, content });
    }
    entries.push(Entry { name: new_name, dims, dtype, content: Content::Tensors { pieces, scale } });
    Ok(())
}

/// The one network of a file.
fn only_network(checkpoint: &Checkpoint) -> Result<Weights> {
    let parts = identify(checkpoint).parts;
    let roles: Vec<Role> = parts.iter().filter_map(|part| part.role()).collect();
    let refuse = |reason: &str, advice: &str| {
        Err(checkpoint.error(ErrorKind::NotConvertible { reason: reason.to_owned(), advice: advice.to_owned() }))
    };
    match roles[..] {
        _ if parts.iter().any(|part| part.kind == Kind::Lora) => {
            refuse("it is a LoRA, not a model", "LoRAs are small, and every dialect of them is read as it is")
        }
        [role] => {
            let weights = checkpoint.weights(role)?;
            match parts.iter().flat_map(|part| &part.problems).next() {
                Some(problem) => {
                    refuse(problem, "download it again, or choose a file that `inspect` finds no problem in")
                }
                None => Ok(weights),
            }
        }
        [] => refuse("it is no model that is known here", "choose a model of Wan, its text encoder or its VAE"),
        _ => refuse("it holds several networks", "choose a file of one network"),
    }
}

/// ComfyUI's old mark, which all of its versions read. Two elements ask for full precision in products, as in its own
/// text encoder.
fn scale_mark(role: Role) -> Entry {
    let count = if role == Role::TextEncoder { 2 } else { 0 };
    Entry {
        name: fp8::OLD_MARK.to_owned(),
        dims: Dims::from([count]),
        dtype: DType::F8E4M3,
        content: Content::Bytes(Bytes::from(vec![0; count])),
    }
}

/// The temperature that CLIP was trained with, `ln(1 / 0.07)` at the start: nothing here uses it, and the wrapper asks
/// for it.
fn log_scale() -> Entry {
    let bytes = (1.0f32 / 0.07).ln().to_le_bytes().to_vec();
    Entry { name: "log_scale".into(), dims: Dims::from([]), dtype: DType::F32, content: Content::Bytes(bytes.into()) }
}

/// What people wrote into a header; what described the old file's storage is left out.
fn kept_metadata(checkpoint: &Checkpoint) -> BTreeMap<String, String> {
    let stale = |key: &str| {
        key == fp8::NEW_MARK || ["general.", "tokenizer.", "comfy.gguf."].iter().any(|start| key.starts_with(start))
    };
    let metadata = checkpoint.metadata().iter().filter(|(key, _)| !stale(key));
    metadata.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn twice(entries: &[Entry]) -> Option<&str> {
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}
