//! Where published files are: the repositories of those who repackage Wan, which both hubs carry under one name.

/// Files that begin with a word, and where they are.
struct Shelf {
    start: &'static str,
    repository: &'static str,
    /// Folder inside the repository.
    folder: Within,
}

enum Within {
    /// Always this one; empty for none.
    Folder(&'static str),
    /// `split_files/` and ComfyUI's folder.
    Split,
}

use Within::{Folder, Split};

const COMFY_21: &str = "Comfy-Org/Wan_2.1_ComfyUI_repackaged";
const COMFY_22: &str = "Comfy-Org/Wan_2.2_ComfyUI_Repackaged";
const KIJAI: &str = "Kijai/WanVideo_comfy";
const KIJAI_FP8: &str = "Kijai/WanVideo_comfy_fp8_scaled";

/// The first that fits counts.
const SHELVES: &[Shelf] = &[
    Shelf { start: "wan2.1_", repository: COMFY_21, folder: Split },
    Shelf { start: "umt5_xxl_", repository: COMFY_21, folder: Split },
    Shelf { start: "wan_2.1_vae.", repository: COMFY_21, folder: Split },
    Shelf { start: "clip_vision_h.", repository: COMFY_21, folder: Split },
    Shelf { start: "wan2.2_", repository: COMFY_22, folder: Split },
    Shelf { start: "Wan2_1-", repository: KIJAI, folder: Folder("") },
    Shelf { start: "Wan2_1_VAE_", repository: KIJAI, folder: Folder("") },
    Shelf { start: "Wan2_2_VAE_", repository: KIJAI, folder: Folder("") },
    Shelf { start: "umt5-xxl-enc-", repository: KIJAI, folder: Folder("") },
    Shelf { start: "open-clip-xlm-roberta-", repository: KIJAI, folder: Folder("") },
    Shelf { start: "Wan21_", repository: KIJAI, folder: Folder("") },
    Shelf { start: "lightx2v_", repository: KIJAI, folder: Folder("Lightx2v") },
    Shelf { start: "Wan2_2-T2V-", repository: KIJAI_FP8, folder: Folder("T2V") },
    Shelf { start: "Wan2_2-I2V-", repository: KIJAI_FP8, folder: Folder("I2V") },
    Shelf { start: "Wan2_2-TI2V-", repository: KIJAI_FP8, folder: Folder("TI2V") },
    Shelf { start: "wan2.1-t2v-14b-", repository: "city96/Wan2.1-T2V-14B-gguf", folder: Folder("") },
    Shelf { start: "wan2.1-i2v-14b-480p-", repository: "city96/Wan2.1-I2V-14B-480P-gguf", folder: Folder("") },
    Shelf { start: "wan2.1-i2v-14b-720p-", repository: "city96/Wan2.1-I2V-14B-720P-gguf", folder: Folder("") },
    Shelf { start: "umt5-xxl-encoder-", repository: "city96/umt5-xxl-encoder-gguf", folder: Folder("") },
    Shelf {
        start: "Wan2.2-T2V-A14B-HighNoise-",
        repository: "QuantStack/Wan2.2-T2V-A14B-GGUF",
        folder: Folder("HighNoise"),
    },
    Shelf {
        start: "Wan2.2-T2V-A14B-LowNoise-",
        repository: "QuantStack/Wan2.2-T2V-A14B-GGUF",
        folder: Folder("LowNoise"),
    },
    Shelf {
        start: "Wan2.2-I2V-A14B-HighNoise-",
        repository: "QuantStack/Wan2.2-I2V-A14B-GGUF",
        folder: Folder("HighNoise"),
    },
    Shelf {
        start: "Wan2.2-I2V-A14B-LowNoise-",
        repository: "QuantStack/Wan2.2-I2V-A14B-GGUF",
        folder: Folder("LowNoise"),
    },
    Shelf { start: "Wan2.2-TI2V-5B-", repository: "QuantStack/Wan2.2-TI2V-5B-GGUF", folder: Folder("") },
];

/// Repository and path of a file that belongs into one of ComfyUI's folders.
pub fn source(folder: &str, name: &str) -> Option<(&'static str, String)> {
    let shelf = SHELVES.iter().find(|shelf| name.starts_with(shelf.start))?;
    let path = match shelf.folder {
        Folder("") => name.to_owned(),
        Folder(within) => format!("{within}/{name}"),
        Split => format!("split_files/{folder}/{name}"),
    };
    Some((shelf.repository, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_a_preset_knows_is_somewhere() {
        for preset in vita_pipeline::PRESETS {
            let Some(files) = &preset.files else { continue };
            let groups = [
                ("diffusion_models", files.dit),
                ("diffusion_models", files.dit_low),
                ("text_encoders", files.text_encoder),
                ("vae", files.vae),
                ("clip_vision", files.clip_vision),
                ("loras", files.lora),
                ("loras", files.lora_low),
            ];
            for (folder, names) in groups {
                for name in names {
                    assert!(source(folder, name).is_some(), "{name} of {}", preset.name);
                }
            }
        }
    }

    #[test]
    fn paths_are_those_of_the_repositories() {
        for (folder, name, want) in [
            (
                "vae",
                "wan2.2_vae.safetensors",
                "Comfy-Org/Wan_2.2_ComfyUI_Repackaged split_files/vae/wan2.2_vae.safetensors",
            ),
            (
                "diffusion_models",
                "Wan2_2-I2V-A14B-LOW_fp8_e4m3fn_scaled_KJ.safetensors",
                "Kijai/WanVideo_comfy_fp8_scaled I2V/Wan2_2-I2V-A14B-LOW_fp8_e4m3fn_scaled_KJ.safetensors",
            ),
            ("vae", "Wan2_1_VAE_bf16.safetensors", "Kijai/WanVideo_comfy Wan2_1_VAE_bf16.safetensors"),
        ] {
            let (repository, path) = source(folder, name).unwrap();
            assert_eq!(format!("{repository} {path}"), want);
        }
        assert_eq!(source("vae", "unknown.safetensors"), None);
    }
}
