//! A LoRA's file and strength, as a flag takes them.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use vita_pipeline::{Error, Transformer};

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

impl LoraFile {
    /// A model with LoRAs, one after the other. A name that is no file here is looked for in `folder`.
    ///
    /// # Errors
    /// If a file cannot be read, or is no LoRA for the model.
    pub fn upon<'a>(
        model: &Transformer,
        mut loras: impl Iterator<Item = &'a Self>,
        folder: &Path,
    ) -> Result<Transformer, Error> {
        loras.try_fold(model.clone(), |model, lora| {
            let in_folder = folder.join(&lora.path);
            let path = if !lora.path.exists() && in_folder.exists() { &in_folder } else { &lora.path };
            model.with_lora(path, lora.strength)
        })
    }

    /// Without folders, as the flag takes it.
    pub fn text(&self) -> String {
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
