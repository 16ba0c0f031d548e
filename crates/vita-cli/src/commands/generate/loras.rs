//! Flags for LoRAs: which files, how strong, and upon which expert.

use std::path::Path;

use clap::Args;
use vita_base::Report;
use vita_pipeline::Error;

use super::system::System;
use crate::changes::LoraFile;

/// LoRAs upon the diffusion model.
#[derive(Args, Debug)]
#[command(next_help_heading = "Model")]
#[group(skip)]
pub struct Arguments {
    /// A LoRA upon the diffusion model, upon both of two experts; may be given several times.
    ///
    /// A file, or the name of one in the models folder's loras. The strength is 1 if it is not given.
    #[arg(long, value_name = "FILE[:STRENGTH]")]
    lora: Vec<LoraFile>,
    /// A LoRA upon the expert for high noise alone, for models of two.
    #[arg(long, value_name = "FILE[:STRENGTH]")]
    lora_high: Vec<LoraFile>,
    /// A LoRA upon the expert for low noise alone, for models of two.
    #[arg(long, value_name = "FILE[:STRENGTH]")]
    lora_low: Vec<LoraFile>,
}

impl Arguments {
    /// Puts the LoRAs upon a system's diffusion models, in the order of the flags, those of both experts first.
    ///
    /// # Errors
    /// If a file cannot be read or is not for the model, or there is no second expert.
    pub fn apply(&self, system: &mut System, models: &Path) -> Result<(), Report> {
        let folder = models.join("loras");
        let high = self.lora.iter().chain(&self.lora_high);
        let low = self.lora.iter().chain(&self.lora_low);
        let all = self.lora.iter().chain(&self.lora_high).chain(&self.lora_low);
        system.files.extend(all.map(LoraFile::text));
        match &mut system.models.dit_low {
            Some((dit, _)) => *dit = LoraFile::upon(dit, low, &folder)?,
            None if self.lora_high.is_empty() && self.lora_low.is_empty() => {}
            None => {
                let file = system.models.dit.file().to_owned();
                return Err(Error::OneExpert { what: "a LoRA for one of two experts", file }.into());
            }
        }
        system.models.dit = LoraFile::upon(&system.models.dit, high, &folder)?;
        Ok(())
    }
}
