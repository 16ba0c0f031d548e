//! LoRAs as they flow along `WANVIDLORA` links: what the nodes that choose and apply them share.

use std::path::PathBuf;

use vita_graph::{Field, Inputs, NodeError, link, switch};

use super::fields::OrElse;
use crate::data::Transformer;
use crate::studio::Studio;
use crate::work::{not_yet, with_lora};

/// LoRAs in order; none of strength 0.
#[derive(Clone, Debug, Default)]
pub struct Loras(Vec<Lora>);

/// One LoRA.
#[derive(Clone, Debug)]
struct Lora {
    file: PathBuf,
    strength: f64,
}

impl Loras {
    /// Those that came before.
    ///
    /// # Errors
    /// If the input is of another type.
    pub fn before(inputs: &Inputs) -> Result<Self, NodeError> {
        Ok(inputs.optional::<Self>("prev_lora")?.map(|loras| (*loras).clone()).unwrap_or_default())
    }

    /// One more, unless it has no name or no strength.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn add(&mut self, name: &str, strength: f64, studio: &Studio) -> Result<(), NodeError> {
        // Four digits count, as in the original.
        let strength = (strength * 1e4).round() / 1e4;
        if name != NONE && strength != 0.0 {
            self.0.push(Lora { file: studio.model_file("loras", name)?, strength });
        }
        Ok(())
    }
}

/// The name of no LoRA.
pub const NONE: &str = "none";

/// A model with the LoRAs of the input `lora`.
///
/// # Errors
/// If one cannot be read, or is not for this model.
pub fn apply(model: Transformer, inputs: &Inputs) -> Result<Transformer, NodeError> {
    let loras = inputs.optional::<Loras>("lora")?;
    let mut loras = loras.iter().flat_map(|loras| &loras.0);
    loras.try_fold(model, |model, lora| with_lora(&model, &lora.file, lora.strength))
}

/// LoRAs that came before.
pub fn prev_lora() -> Field {
    link("WANVIDLORA").tooltip("LoRAs that come before.").extra("default", ())
}

/// Blocks that a LoRA is for.
pub fn blocks() -> Field {
    link("SELECTEDBLOCKS").tooltip("Is refused: a LoRA is for the whole model here.")
}

/// How a LoRA is read.
pub fn low_mem_load() -> Field {
    switch(false).tooltip("Has no meaning here.")
}

/// When a LoRA is added.
pub fn merge_loras() -> Field {
    switch(true).tooltip("Has no meaning here: the result is the same.")
}

/// # Errors
/// If only some blocks are asked for.
pub fn check_blocks(inputs: &Inputs) -> Result<(), NodeError> {
    let _ = inputs.bool_or("merge_loras", true)?;
    if inputs.has("blocks") { Err(not_yet("a LoRA for some blocks (`blocks`)")) } else { Ok(()) }
}
