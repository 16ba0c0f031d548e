//! Checkpoints in several files, and folders as diffusers keeps them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Role;

/// Ends the name of a list of shards.
pub const INDEX_ENDING: &str = ".index.json";

/// The most that a list of shards may take.
const INDEX_BYTES_MAX: u64 = 64 << 20;

/// Files of a component's folder, the preferred first.
const COMPONENT_FILES: &[&str] = &[
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
];

/// Which file of which folder `path` stands for: itself, the weights of a component's folder, or of the component of
/// a role in a pipeline's folder (one with `model_index.json`). `second` asks for the second transformer, the
/// low-noise expert. `None` if a folder has none.
pub fn component(path: &Path, role: Role, second: bool) -> Option<PathBuf> {
    if !path.is_dir() {
        return Some(path.to_owned());
    }
    let folder = match path.join("model_index.json").is_file() {
        true => path.join(match (role, second) {
            (Role::DiffusionModel, false) => "transformer",
            (Role::DiffusionModel, true) => "transformer_2",
            (Role::TextEncoder, _) => "text_encoder",
            (Role::Vae, _) => "vae",
            (Role::ClipVision, _) => "image_encoder",
        }),
        false => path.to_owned(),
    };
    COMPONENT_FILES.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// The shards that an index lists, beside it; or what is wrong with it.
pub fn shards(index: &Path) -> Result<BTreeSet<PathBuf>, String> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let size = index.metadata().map_err(|error| error.to_string())?.len();
    if size > INDEX_BYTES_MAX {
        return Err(format!("it takes {size} bytes"));
    }
    let text = std::fs::read_to_string(index).map_err(|error| error.to_string())?;
    let Index { weight_map } = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let folder = index.parent().unwrap_or(Path::new("."));
    let mut files = BTreeSet::new();
    for name in weight_map.into_values() {
        // A list of shards must not lead out of its folder.
        if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(format!("`{name}` is no file beside it"));
        }
        files.insert(folder.join(name));
    }
    if files.is_empty() { Err("it lists no files".into()) } else { Ok(files) }
}
