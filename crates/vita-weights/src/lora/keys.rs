//! Keys of LoRA files: which layer, and what of it.

use std::collections::HashMap;

use crate::networks::dit;
use crate::{Checkpoint, Layout};

/// What a key holds of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `[out, rank]`
    Up,
    /// `[rank, in]`
    Down,
    Alpha,
    /// Added to the weight.
    Weight,
    /// Added to the bias.
    Bias,
    /// Added to the modulation of the block or head that is named.
    Modulation,
    /// A way of changing that is not implemented, by its name.
    Other(&'static str),
}

/// Ends of keys. Those of PEFT may have the adapter's name before `.weight`, see [`split_key`].
const ENDINGS: &[(&str, What)] = &[
    (".lora_up.weight", What::Up),
    (".lora_down.weight", What::Down),
    (".lora_B.weight", What::Up),
    (".lora_A.weight", What::Down),
    (".lora_B", What::Up),
    (".lora_A", What::Down),
    (".lora.up.weight", What::Up),
    (".lora.down.weight", What::Down),
    ("_lora.up.weight", What::Up),
    ("_lora.down.weight", What::Down),
    (".lora_linear_layer.up.weight", What::Up),
    (".lora_linear_layer.down.weight", What::Down),
    (".alpha", What::Alpha),
    (".diff", What::Weight),
    (".w_norm", What::Weight),
    (".diff_b", What::Bias),
    (".b_norm", What::Bias),
    (".diff_m", What::Modulation),
    (".dora_scale", What::Other("DoRA")),
    (".lora_magnitude_vector", What::Other("DoRA")),
    (".lora_magnitude_vector.weight", What::Other("DoRA")),
    (".lora_mid.weight", What::Other("LoCon with a core tensor")),
    (".set_weight", What::Other("replacement of a weight")),
    (".a1.weight", What::Other("GLoRA")),
    (".a2.weight", What::Other("GLoRA")),
    (".b1.weight", What::Other("GLoRA")),
    (".b2.weight", What::Other("GLoRA")),
];

/// Starts of the last part of a key.
const OTHERS: &[(&str, &str)] = &[("hada_", "LoHa"), ("lokr_", "LoKr"), ("oft_", "OFT"), ("boft_", "OFT")];

/// Splits a key into its layer, as the file spells it, and what it holds; `None` for a key that no LoRA has.
pub fn split_key(key: &str) -> Option<(&str, What)> {
    let ending = ENDINGS.iter().find_map(|&(ending, what)| Some((key.strip_suffix(ending)?, what)));
    ending.or_else(|| of_peft(key)).or_else(|| {
        let (layer, last) = key.rsplit_once('.')?;
        let &(_, kind) = OTHERS.iter().find(|(start, _)| last.starts_with(start))?;
        Some((layer, What::Other(kind)))
    })
}

/// `LAYER.lora_A.ADAPTER.weight`
fn of_peft(key: &str) -> Option<(&str, What)> {
    let (rest, _adapter) = key.strip_suffix(".weight")?.rsplit_once('.')?;
    let down = rest.strip_suffix(".lora_A").map(|layer| (layer, What::Down));
    down.or_else(|| rest.strip_suffix(".lora_B").map(|layer| (layer, What::Up)))
}

/// What may stand before a layer's name, also one after the other.
const PREFIXES: &[&str] = &[
    "base_model.model.",
    "model.diffusion_model.",
    "diffusion_model.",
    "transformer.",
    "pipe.dit.",
    "dit.",
    "model.",
    "unet.",
    "net.",
    // Wan Fun writes two underscores.
    "lora_unet__",
    "lora_unet_",
    "lora_transformer_",
    "lycoris_",
    "diffusion_model_",
    "transformer_",
];

/// Every way to spell a layer of one transformer: original and diffusers names, with dots or underscores.
pub struct Spellings(HashMap<String, String>);

impl Spellings {
    pub fn of(layout: &Layout) -> Self {
        let mut spellings = HashMap::new();
        let mut add = |spelled: String, layer: &str| {
            spellings.insert(spelled.replace('.', "_"), layer.to_owned());
            spellings.insert(spelled, layer.to_owned());
        };
        for (name, _) in layout.iter().filter(|(name, _)| !name.ends_with(".bias")) {
            let layer = name.strip_suffix(".weight").unwrap_or(name);
            for spelled in dit::spellings_in_diffusers(layer) {
                add(spelled, layer);
            }
        }
        // Last, so that an original name wins.
        for (name, _) in layout.iter().filter(|(name, _)| !name.ends_with(".bias")) {
            let layer = name.strip_suffix(".weight").unwrap_or(name);
            add(layer.to_owned(), layer);
        }
        Self(spellings)
    }

    /// Canonical name of a layer as a file spells it.
    pub fn layer(&self, spelled: &str, what: What) -> Option<&str> {
        // Old diffusers keeps its LoRAs in processors of the attention.
        let spelled = spelled.replace(".processor.", ".");
        let mut rest = spelled.as_str();
        loop {
            let found = match what {
                What::Modulation => self.0.get(&format!("{rest}.modulation")).or_else(|| self.0.get(rest)),
                _ => self.0.get(rest),
            };
            if let Some(layer) = found {
                return Some(layer);
            }
            rest = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix))?;
        }
    }
}

/// Parts of keys of LoRAs for other models.
const FOREIGN: &[(&str, &str)] = &[
    ("double_blocks", "a LoRA for Flux or HunyuanVideo"),
    ("single_transformer_blocks", "a LoRA for Flux"),
    ("joint_blocks", "a LoRA for Stable Diffusion 3"),
    ("down_blocks", "a LoRA for Stable Diffusion"),
    ("input_blocks", "a LoRA for Stable Diffusion"),
    ("transformer_blocks", "a LoRA for a transformer of another family"),
    ("vace_blocks", "a LoRA for the VACE blocks of Wan"),
    ("lora_te", "a LoRA for a text encoder"),
    ("text_encoder", "a LoRA for a text encoder"),
];

/// What a LoRA seems to be made for whose keys match nothing.
pub fn made_for(checkpoint: &Checkpoint) -> String {
    let found = FOREIGN.iter().find(|(part, _)| checkpoint.tensors().any(|(key, _)| key.contains(part)));
    found.map_or("a LoRA for a model that is not known here", |(_, text)| text).to_owned()
}
