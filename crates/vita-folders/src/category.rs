//! The kinds of model files, under ComfyUI's names.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

/// Files that hold weights.
const WEIGHTS: &[&str] = &[".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"];
/// The same, and llama.cpp's format.
const WEIGHTS_AND_GGUF: &[&str] = &[".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft", ".gguf"];
/// Whole folders are listed by their own loaders, not as files.
const FOLDERS: &[&str] = &["folder"];
/// Files without an extension.
const NO_EXTENSION: &[&str] = &[""];

/// What stands in the table: name, directories below the models directory, extensions (none: every file).
const TABLE: &[(&str, &[&str], &[&str])] = &[
    ("checkpoints", &["checkpoints"], WEIGHTS),
    ("configs", &["configs"], &[".yaml"]),
    ("loras", &["loras"], WEIGHTS),
    ("vae", &["vae"], WEIGHTS),
    ("text_encoders", &["text_encoders", "clip"], WEIGHTS_AND_GGUF),
    ("diffusion_models", &["unet", "diffusion_models"], WEIGHTS_AND_GGUF),
    ("clip_vision", &["clip_vision"], WEIGHTS),
    ("style_models", &["style_models"], WEIGHTS),
    ("embeddings", &["embeddings"], WEIGHTS),
    ("diffusers", &["diffusers"], FOLDERS),
    ("vae_approx", &["vae_approx"], WEIGHTS),
    ("controlnet", &["controlnet", "t2i_adapter"], WEIGHTS),
    ("gligen", &["gligen"], WEIGHTS),
    ("upscale_models", &["upscale_models"], WEIGHTS),
    ("latent_upscale_models", &["latent_upscale_models"], WEIGHTS),
    ("custom_nodes", &[], &[]),
    ("hypernetworks", &["hypernetworks"], WEIGHTS),
    ("photomaker", &["photomaker"], WEIGHTS),
    ("classifiers", &["classifiers"], NO_EXTENSION),
    ("model_patches", &["model_patches"], WEIGHTS),
    ("audio_encoders", &["audio_encoders"], WEIGHTS),
];

/// Categories that also lie below the output directory, where training and merging nodes put them.
const BELOW_OUTPUT: &[(&str, &str)] = &[
    ("checkpoints", "checkpoints"),
    ("text_encoders", "clip"),
    ("vae", "vae"),
    ("diffusion_models", "diffusion_models"),
    ("loras", "loras"),
];

/// One kind of model file: where it lies and how its files end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// The directories, the first that has a name wins. They need not exist.
    pub places: Vec<PathBuf>,
    /// Lower case, with the dot; an empty list takes every file.
    pub extensions: Vec<String>,
}

impl Category {
    /// Whether a file of this name is listed.
    pub fn takes(&self, file_name: &str) -> bool {
        if self.extensions.is_empty() {
            return true;
        }
        // The dot of a hidden file does not begin an extension.
        let extension = match file_name.rfind('.') {
            Some(at) if at > 0 => file_name[at..].to_lowercase(),
            _ => String::new(),
        };
        self.extensions.contains(&extension)
    }

    /// Adds a place behind the others, or before them; one that is there already only moves to the front.
    pub(crate) fn add_place(&mut self, place: PathBuf, is_default: bool) {
        if is_default {
            self.places.retain(|known| *known != place);
            self.places.insert(0, place);
        } else if !self.places.contains(&place) {
            self.places.push(place);
        }
    }
}

/// The current name of a category: `unet` and `clip` are older ones.
pub(crate) fn current_name(name: &str) -> &str {
    match name {
        "unet" => "diffusion_models",
        "clip" => "text_encoders",
        name => name,
    }
}

/// The table as paths, in ComfyUI's order.
pub(crate) fn categories(models: &[PathBuf], base: &Path, output: &Path) -> IndexMap<String, Category> {
    let mut table = IndexMap::new();
    for &(name, directories, extensions) in TABLE {
        let mut places: Vec<PathBuf> =
            models.iter().flat_map(|root| directories.iter().map(move |directory| root.join(directory))).collect();
        if name == "custom_nodes" {
            places.push(base.join("custom_nodes"));
        }
        let below_output = BELOW_OUTPUT.iter().filter(|(category, _)| *category == name);
        places.extend(below_output.map(|(_, directory)| output.join(directory)));
        let extensions = extensions.iter().map(|&extension| extension.to_owned()).collect();
        table.insert(name.to_owned(), Category { places, extensions });
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_decide() {
        let table = categories(&[PathBuf::from("m")], Path::new("b"), Path::new("o"));
        for (category, file, expected) in [
            ("vae", "a.safetensors", true),
            ("vae", "a.SFT", true),
            ("vae", "a.gguf", false),
            ("vae", "a.safetensors.partial", false),
            ("vae", ".safetensors", false),
            ("diffusion_models", "wan-Q4_K_M.gguf", true),
            ("text_encoders", "umt5.gguf", true),
            ("classifiers", "README", true),
            ("classifiers", "a.bin", false),
            ("diffusers", "a.bin", false),
            ("custom_nodes", "anything.py", true),
        ] {
            assert_eq!(table[category].takes(file), expected, "{category} {file}");
        }
    }

    #[test]
    fn places_are_those_of_comfyui() {
        let table = categories(&[PathBuf::from("m")], Path::new("b"), Path::new("o"));
        let places = |name: &str| table[name].places.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(places("text_encoders"), ["m/text_encoders", "m/clip", "o/clip"]);
        assert_eq!(places("diffusion_models"), ["m/unet", "m/diffusion_models", "o/diffusion_models"]);
        assert_eq!(places("controlnet"), ["m/controlnet", "m/t2i_adapter"]);
        assert_eq!(places("custom_nodes"), ["b/custom_nodes"]);
        assert_eq!(table.len(), 21);
    }
}
