//! The small models under the names of large ones, for trying clients without weights.

use std::path::PathBuf;

use vita_base::Report;
use vita_folders::{Folders, replace_file};

use crate::nano;

/// Stands before every log line.
pub const LOG_PREFIX: &str = "[small models under large names] ";

/// Stands in every result.
pub const RESULT_NOTE: &str = "made by a small model under a large one's name (--nano-aliases)";

/// Category, name as it is offered, built-in file.
type Alias = (&'static str, &'static str, &'static str);

const TEXT: &str = "nano-umt5.safetensors";
const VAE: &str = "nano-vae.safetensors";
const VAE_22: &str = "nano-vae22.safetensors";
const VISION: &str = "nano-clip-vision.safetensors";
const T2V: &str = "nano-t2v-dit.safetensors";
const I2V: &str = "nano-i2v-dit.safetensors";
const HIGH: &str = "nano-i2v-high.safetensors";
const LOW: &str = "nano-i2v-low.safetensors";
const TI2V: &str = "nano-ti2v-dit.safetensors";

/// The names of the guides, of their clients, and of the editor's plain Wan templates.
const ALIASES: &[Alias] = &[
    ("text_encoders", "umt5_xxl_fp8_e4m3fn_scaled.safetensors", TEXT),
    ("text_encoders", "umt5_xxl_fp16.safetensors", TEXT),
    ("text_encoders", "umt5-xxl-enc-bf16.safetensors", TEXT),
    ("text_encoders", "umt5-xxl-enc-fp8_e4m3fn.safetensors", TEXT),
    ("text_encoders", "wan2.1/umt5-xxl-enc-bf16.safetensors", TEXT),
    ("text_encoders", "wan2.1/umt5-xxl-enc-fp8_e4m3fn.safetensors", TEXT),
    ("vae", "wan_2.1_vae.safetensors", VAE),
    ("vae", "Wan2_1_VAE_bf16.safetensors", VAE),
    ("vae", "Wan2_1_VAE_fp32.safetensors", VAE),
    ("vae", "wan2.1/Wan2_1_VAE_bf16.safetensors", VAE),
    ("vae", "wan2.2_vae.safetensors", VAE_22),
    ("clip_vision", "clip_vision_h.safetensors", VISION),
    ("clip_vision", "open-clip-xlm-roberta-large-vit-huge-14_visual_fp16.safetensors", VISION),
    ("clip_vision", "wan2.1/open-clip-xlm-roberta-large-vit-huge-14_visual_fp16.safetensors", VISION),
    ("clip_vision", "wan2.1/open-clip-xlm-roberta-large-vit-huge-14_fp16.safetensors", VISION),
    ("text_encoders", "wan2.1/open-clip-xlm-roberta-large-vit-huge-14_fp16.safetensors", VISION),
    ("text_encoders", "wan2.1/open-clip-xlm-roberta-large-vit-huge-14_visual_fp16.safetensors", VISION),
    ("text_encoders", "open-clip-xlm-roberta-large-vit-huge-14_visual_fp16.safetensors", VISION),
    ("diffusion_models", "Wan2_1-T2V-14B_fp8_e4m3fn.safetensors", T2V),
    ("diffusion_models", "wan2.1_t2v_1.3B_fp16.safetensors", T2V),
    ("diffusion_models", "wan2.1_t2v_14B_fp8_scaled.safetensors", T2V),
    ("diffusion_models", "Wan2_1-I2V-14B-480P_fp8_e4m3fn.safetensors", I2V),
    ("diffusion_models", "Wan2_1-I2V-14B-720P_fp8_e4m3fn.safetensors", I2V),
    ("diffusion_models", "wan2.1_i2v_480p_14B_fp16.safetensors", I2V),
    ("diffusion_models", "wan2.1_i2v_480p_14B_fp8_scaled.safetensors", I2V),
    ("diffusion_models", "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors", HIGH),
    ("diffusion_models", "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors", LOW),
    ("diffusion_models", "wan2.2_ti2v_5B_fp16.safetensors", TI2V),
];

/// Writes the files that are needed below the user directory and offers them. Returns how many names there are.
pub fn add(folders: &mut Folders) -> Result<usize, Report> {
    let folder = folders.user().join("small-models");
    let mut count = 0;
    for (category, name, file) in ALIASES {
        let Some(bytes) = nano::bytes(file) else { continue };
        let path: PathBuf = folder.join(file);
        if path.metadata().map_or(true, |about| about.len() != bytes.len() as u64) {
            replace_file(&path, bytes)?;
        }
        folders.add_alias(category, name, path);
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once_and_leads_somewhere() {
        for (i, (category, name, file)) in ALIASES.iter().enumerate() {
            assert!(!ALIASES[..i].iter().any(|(c, n, _)| (c, n) == (category, name)), "{name}");
            assert!(nano::bytes(file).is_some(), "{file}");
        }
    }
}
