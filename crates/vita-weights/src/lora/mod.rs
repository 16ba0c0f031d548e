//! LoRA files: small changes of a transformer's weights, whatever dialect names them.

mod keys;

use std::collections::BTreeMap;
use std::fmt;

use vita_tensor::{Dims, Tensor};

use crate::error::{ErrorKind, Result};
use crate::identify::with_article;
use crate::{Checkpoint, Layout, Weights};
use keys::{Spellings, What, split_key};

/// What a file changes of a transformer, by the canonical names of its layers. Every shape fits that transformer.
pub struct Lora {
    file: String,
    patches: BTreeMap<String, Patch>,
    key_count: usize,
    unmatched: Vec<String>,
}

/// What is changed of one layer: `blocks.0.ffn.0`, or a tensor without layer: `blocks.0.modulation`.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// A product that is added to the weight.
    pub low_rank: Option<LowRank>,
    /// Added to the weight, in its shape.
    pub weight: Option<Tensor>,
    /// Added to the bias.
    pub bias: Option<Tensor>,
}

/// `scale * up down`.
#[derive(Clone, Debug)]
pub struct LowRank {
    /// `[out, rank]`
    pub up: Tensor,
    /// `[rank, in]`; of a convolution, `in` is all of its kernel.
    pub down: Tensor,
    /// `alpha / rank`; 1 where the file gives no alpha.
    pub scale: f32,
}

impl Lora {
    /// Reads what a file changes of a transformer: the names of kijai and ComfyUI (`diffusion_model.`), kohya and
    /// musubi (`lora_unet_`), PEFT (`base_model.model.`), diffusers (`transformer.`) and lightx2v, with `diff` and
    /// `diff_b`.
    ///
    /// # Errors
    /// If no key names a part of this transformer, if shapes do not fit, or if a layer is changed in another way than
    /// by a LoRA.
    pub fn of(checkpoint: &Checkpoint, model: &Weights) -> Result<Self> {
        let facts = model.dit_facts()?;
        // The file's own shapes: not every model has CLIP features of the usual width.
        let mut layout = facts.layout();
        layout.iter_mut().for_each(|(name, dims)| *dims = model.dims(name).unwrap_or(*dims));
        Reader { checkpoint, layout: &layout, system: &facts.system() }.read()
    }

    /// The file, as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Changes by canonical layer name.
    pub fn patches(&self) -> &BTreeMap<String, Patch> {
        &self.patches
    }

    /// Bytes of all changes.
    pub fn size_bytes(&self) -> usize {
        self.patches.values().map(Patch::size_bytes).sum()
    }

    /// What to tell a user whose file fits in part.
    pub fn warning(&self) -> Option<String> {
        let first = self.unmatched.first()?;
        let (count, total, file) = (self.unmatched.len(), self.key_count, &self.file);
        let verb = if count == 1 { "matches" } else { "match" };
        Some(format!("{count} of {total} keys of `{file}` {verb} nothing in the model, such as `{first}`"))
    }
}

impl Patch {
    fn size_bytes(&self) -> usize {
        let low_rank = self.low_rank.iter().flat_map(|low_rank| [&low_rank.up, &low_rank.down]);
        low_rank.chain(&self.weight).chain(&self.bias).map(Tensor::size_bytes).sum()
    }
}

impl fmt::Debug for Lora {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lora({:?}, {} layers)", self.file, self.patches.len())
    }
}

struct Reader<'a> {
    checkpoint: &'a Checkpoint,
    layout: &'a Layout,
    /// The transformer, for messages.
    system: &'a str,
}

/// Keys of one layer.
#[derive(Default)]
struct Keys<'a> {
    up: Option<&'a str>,
    down: Option<&'a str>,
    alpha: Option<&'a str>,
    weight: Option<&'a str>,
    bias: Option<&'a str>,
}

impl Reader<'_> {
    fn read(&self) -> Result<Lora> {
        let spellings = Spellings::of(self.layout);
        let mut layers: BTreeMap<&str, Keys> = BTreeMap::new();
        let mut unmatched = Vec::new();
        let mut is_lora = false;
        for (key, _) in self.checkpoint.tensors() {
            let split = split_key(key);
            is_lora |= split.is_some();
            let Some((layer, what)) = split.and_then(|(layer, what)| Some((spellings.layer(layer, what)?, what)))
            else {
                unmatched.push(key.to_owned());
                continue;
            };
            let keys = layers.entry(layer).or_default();
            match what {
                What::Up => keys.up = Some(key),
                What::Down => keys.down = Some(key),
                What::Alpha => keys.alpha = Some(key),
                What::Weight | What::Modulation => keys.weight = Some(key),
                What::Bias => keys.bias = Some(key),
                What::Other(kind) => {
                    return Err(self.checkpoint.error(ErrorKind::LoraKind { layer: layer.to_owned(), kind }));
                }
            }
        }
        let key_count = self.checkpoint.tensors().len();
        if layers.is_empty() {
            let seems = if is_lora { keys::made_for(self.checkpoint) } else { self.checkpoint.seems() };
            let (model, example) = (with_article(self.system), unmatched.into_iter().next());
            return Err(self.checkpoint.error(ErrorKind::LoraForeign { model, key_count, example, seems }));
        }
        let patch = |(layer, keys): (&str, Keys)| Ok((layer.to_owned(), self.patch(layer, &keys)?));
        let patches = layers.into_iter().map(patch).collect::<Result<_>>()?;
        Ok(Lora { file: self.checkpoint.name().to_owned(), patches, key_count, unmatched })
    }

    fn patch(&self, layer: &str, keys: &Keys) -> Result<Patch> {
        let dims = |leaf: &str| {
            let name = if leaf.is_empty() { layer.to_owned() } else { format!("{layer}.{leaf}") };
            self.layout.iter().find(|(known, _)| *known == name).map(|&(_, dims)| dims)
        };
        let weight_dims = dims("weight").or_else(|| dims(""));
        let low_rank = match (keys.up, keys.down) {
            (Some(up), Some(down)) => Some(self.low_rank(layer, weight_dims, [up, down], keys.alpha)?),
            (None, None) => None,
            (Some(_), None) => return Err(self.broken(layer, "the half `up` (`lora_B`) without `down` (`lora_A`)")),
            (None, Some(_)) => return Err(self.broken(layer, "the half `down` (`lora_A`) without `up` (`lora_B`)")),
        };
        let same = |key: Option<&str>, dims: Option<Dims>| key.map(|key| self.delta(layer, key, dims)).transpose();
        Ok(Patch { low_rank, weight: same(keys.weight, weight_dims)?, bias: same(keys.bias, dims("bias"))? })
    }

    fn low_rank(&self, layer: &str, dims: Option<Dims>, [up, down]: [&str; 2], alpha: Option<&str>) -> Result<LowRank> {
        let (up, down) = (self.matrix(layer, up)?, self.matrix(layer, down)?);
        let ([rows, rank], [down_rank, columns]) = (up.sizes(), down.sizes());
        // A convolution is a matrix of all of its kernel.
        let expected = dims.map_or([0, 0], |dims| match *dims {
            [rows, ref rest @ ..] if !rest.is_empty() => [rows, rest.iter().product()],
            _ => [0, 0],
        });
        if [rows, columns] != expected {
            return Err(self.another_size(layer, vec![rows, columns], dims));
        }
        if rank != down_rank || rank == 0 {
            return Err(self.broken(layer, &format!("`up` of rank {rank} and `down` of rank {down_rank}")));
        }
        let alpha = alpha.map(|key| self.checkpoint.tensor(key)).transpose()?;
        let scale = match alpha {
            None => 1.0,
            Some(alpha) if alpha.element_count() == 1 && alpha.dtype().is_float() => alpha.to_vec()[0] / rank as f32,
            Some(_) => return Err(self.broken(layer, "an `alpha` that is not one number")),
        };
        Ok(LowRank { up, down, scale })
    }

    /// A tensor of floats as `[first axis, all others]`.
    fn matrix(&self, layer: &str, key: &str) -> Result<Tensor> {
        let mut stored = self.checkpoint.stored(key).expect("a key of this file").clone();
        let [rows, rest @ ..] = &*stored.dims else { return Err(self.broken(layer, "a number in place of a matrix")) };
        let dims = [*rows, rest.iter().product()];
        if rest.is_empty() {
            return Err(self.broken(layer, "a vector in place of a matrix"));
        }
        stored.dims = Dims::from(dims);
        self.float(key, self.checkpoint.to_tensor(key, &stored)?)
    }

    /// A change in the shape of what it changes.
    fn delta(&self, layer: &str, key: &str, dims: Option<Dims>) -> Result<Tensor> {
        let mut stored = self.checkpoint.stored(key).expect("a key of this file").clone();
        let Some(dims) = dims.filter(|dims| is_same_but_for_ones(&stored.dims, dims)) else {
            return Err(self.another_size(layer, stored.dims.to_vec(), dims));
        };
        stored.dims = dims;
        self.float(key, self.checkpoint.to_tensor(key, &stored)?)
    }

    fn float(&self, key: &str, tensor: Tensor) -> Result<Tensor> {
        match tensor.dtype().is_float() {
            true => Ok(tensor),
            false => {
                let dtype = tensor.dtype().to_string();
                Err(self.checkpoint.error(ErrorKind::TensorType { tensor: key.to_owned(), dtype }))
            }
        }
    }

    fn another_size(&self, layer: &str, found: Vec<usize>, expected: Option<Dims>) -> crate::Error {
        let expected = expected.map_or_else(Vec::new, |dims| dims.to_vec());
        let (model, layer) = (with_article(self.system), layer.to_owned());
        self.checkpoint.error(ErrorKind::LoraShape { model, layer, found, expected })
    }

    fn broken(&self, layer: &str, problem: &str) -> crate::Error {
        self.checkpoint.error(ErrorKind::LoraBroken { layer: layer.to_owned(), problem: problem.to_owned() })
    }
}

/// `[1, 6, C]` and `[6, C]` are the same.
fn is_same_but_for_ones(a: &Dims, b: &Dims) -> bool {
    let rest = |dims: &Dims| dims.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
    rest(a) == rest(b)
}
