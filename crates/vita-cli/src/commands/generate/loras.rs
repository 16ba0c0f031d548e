//! Flags for LoRAs: which files, how strong, and upon which expert.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use vita_base::Report;
use vita_pipeline::{Error, Transformer};

use super::system::System;

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

/// `style.safetensors:0.8`
#[derive(Clone, Debug, PartialEq)]
pub struct LoraFile {
    path: PathBuf,
    strength: f64,
}

impl FromStr for LoraFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once(':').and_then(|(path, strength)| Some((path, strength.parse::<f64>().ok()?)));
        let (path, strength) = parts.unwrap_or((text, 1.0));
        match (path, strength.is_finite()) {
            ("", _) => Err("expected a file, such as style.safetensors or style.safetensors:0.8".to_owned()),
            (_, false) => Err("the strength is not a number".to_owned()),
            (path, true) => Ok(Self { path: path.into(), strength }),
        }
    }
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
            Some((dit, _)) => *dit = upon(dit, low, &folder)?,
            None if self.lora_high.is_empty() && self.lora_low.is_empty() => {}
            None => {
                let file = system.models.dit.file().to_owned();
                return Err(Error::OneExpert { what: "a LoRA for one of two experts", file }.into());
            }
        }
        system.models.dit = upon(&system.models.dit, high, &folder)?;
        Ok(())
    }
}

fn upon<'a>(
    model: &Transformer,
    mut loras: impl Iterator<Item = &'a LoraFile>,
    folder: &Path,
) -> Result<Transformer, Error> {
    loras.try_fold(model.clone(), |model, lora| {
        let in_folder = folder.join(&lora.path);
        let path = if !lora.path.exists() && in_folder.exists() { &in_folder } else { &lora.path };
        model.with_lora(path, lora.strength)
    })
}

impl LoraFile {
    /// Without folders, as the flag takes it.
    fn text(&self) -> String {
        format!("{}:{}", self.path.file_name().unwrap_or_default().to_string_lossy(), self.strength)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strength_is_what_follows_the_last_colon() {
        for (text, want) in [
            ("a/style.safetensors", Some(("a/style.safetensors", 1.0))),
            ("style.safetensors:0.8", Some(("style.safetensors", 0.8))),
            ("style.safetensors:-1", Some(("style.safetensors", -1.0))),
            (r"C:\loras\style.safetensors", Some((r"C:\loras\style.safetensors", 1.0))),
            (r"C:\loras\style.safetensors:2", Some((r"C:\loras\style.safetensors", 2.0))),
            (":0.5", None),
            ("", None),
            ("style.safetensors:nan", None),
        ] {
            let want = want.map(|(path, strength)| LoraFile { path: path.into(), strength });
            assert_eq!(text.parse().ok(), want, "{text}");
        }
    }
}
