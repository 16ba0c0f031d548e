//! The systems that have a name: the files they are made of, and the settings they were made for.

use std::path::{Path, PathBuf};

use super::models::Paths;
use crate::Error;

/// A system by name.
#[derive(Debug)]
pub struct Preset {
    /// What `--model` takes.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// Its files, by what they are known as; `None` for a model that is part of the program.
    pub files: Option<Files>,
    /// Settings for what a person leaves open.
    pub defaults: Defaults,
}

/// File names of a system, the preferred first.
#[derive(Debug)]
pub struct Files {
    /// The transformer.
    pub dit: &'static [&'static str],
    /// The text encoder.
    pub text_encoder: &'static [&'static str],
    /// The autoencoder.
    pub vae: &'static [&'static str],
}

/// Settings of a system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// `4 n + 1`.
    pub frames: usize,
    /// Frames per second.
    pub fps: f64,
    /// Steps of the schedule.
    pub steps: usize,
    /// Guidance.
    pub cfg: f64,
    /// Flow shift.
    pub shift: f64,
    /// Solver.
    pub sampler: &'static str,
    /// Schedule.
    pub scheduler: &'static str,
}

/// Every system, the small one first.
pub const PRESETS: &[Preset] = &[
    Preset { name: "nano-t2v", title: "the small model inside the program", files: None, defaults: NANO },
    Preset {
        name: "wan2.1-t2v-1.3b",
        title: "Wan2.1 T2V 1.3B",
        files: Some(Files {
            dit: &[
                "wan2.1_t2v_1.3B_bf16.safetensors",
                "wan2.1_t2v_1.3B_fp16.safetensors",
                "Wan2_1-T2V-1_3B_bf16.safetensors",
                "Wan2_1-T2V-1_3B_fp32.safetensors",
                "Wan2_1-T2V-1_3B_fp8_e4m3fn.safetensors",
            ],
            text_encoder: UMT5_FILES,
            vae: VAE_21_FILES,
        }),
        // ComfyUI's template for this model.
        defaults: Defaults { shift: 8.0, ..WAN_21 },
    },
    Preset {
        name: "wan2.1-t2v-14b",
        title: "Wan2.1 T2V 14B",
        files: Some(Files {
            dit: &[
                "wan2.1_t2v_14B_fp8_scaled.safetensors",
                "wan2.1_t2v_14B_fp8_e4m3fn.safetensors",
                "wan2.1_t2v_14B_bf16.safetensors",
                "wan2.1_t2v_14B_fp16.safetensors",
                "Wan2_1-T2V-14B_fp8_e4m3fn.safetensors",
                "Wan2_1-T2V-14B_fp8_e5m2.safetensors",
                "Wan2_1-T2V-14B_bf16.safetensors",
            ],
            text_encoder: UMT5_FILES,
            vae: VAE_21_FILES,
        }),
        defaults: WAN_21,
    },
];

const UMT5_FILES: &[&str] = &[
    "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    "umt5_xxl_fp16.safetensors",
    "umt5-xxl-enc-fp8_e4m3fn.safetensors",
    "umt5-xxl-enc-bf16.safetensors",
];

const VAE_21_FILES: &[&str] =
    &["wan_2.1_vae.safetensors", "Wan2_1_VAE_fp32.safetensors", "Wan2_1_VAE_bf16.safetensors"];

const NANO: Defaults = Defaults {
    width: 64,
    height: 64,
    frames: 17,
    fps: 16.0,
    steps: 20,
    cfg: 2.5,
    shift: 3.0,
    sampler: "euler",
    scheduler: "simple",
};

/// The official settings of Wan2.1 T2V at 480p (shift 5, guidance 5), with ComfyUI's solver.
const WAN_21: Defaults = Defaults {
    width: 832,
    height: 480,
    frames: 81,
    fps: 16.0,
    steps: 30,
    cfg: 5.0,
    shift: 5.0,
    sampler: "uni_pc",
    scheduler: "simple",
};

/// Folders of a models directory, as ComfyUI has them, and the older names of the same.
const DIT_FOLDERS: &[&str] = &["diffusion_models", "unet"];
const TEXT_ENCODER_FOLDERS: &[&str] = &["text_encoders", "clip"];
const VAE_FOLDERS: &[&str] = &["vae"];

impl Preset {
    /// The preset of a name.
    ///
    /// # Errors
    /// If there is none; the error lists those there are.
    pub fn named(name: &str) -> Result<&'static Self, Error> {
        PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| Error::UnknownModel { name: name.into() })
    }

    /// Where the system's files are under a models directory, in its folders or one level below them.
    /// `None` for a model that is part of the program.
    ///
    /// # Errors
    /// If one is missing; the error says which names were looked for, and where.
    pub fn find(&self, models: &Path) -> Result<Option<Paths>, Error> {
        let Some(files) = &self.files else { return Ok(None) };
        let one = |folders: &[&str], names: &[&'static str], what| {
            find(models, folders, names).ok_or_else(|| Error::MissingFile {
                model: self.name,
                what,
                folder: models.join(folders[0]),
                names: names.to_vec(),
            })
        };
        Ok(Some(Paths {
            dit: one(DIT_FOLDERS, files.dit, "diffusion model")?,
            text_encoder: one(TEXT_ENCODER_FOLDERS, files.text_encoder, "text encoder")?,
            vae: one(VAE_FOLDERS, files.vae, "VAE")?,
            ..Paths::default()
        }))
    }
}

fn find(models: &Path, folders: &[&str], names: &[&str]) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = folders.iter().map(|folder| models.join(folder)).collect();
    let below = folders.iter().flat_map(|folder| subfolders(folder));
    let places: Vec<PathBuf> = folders.iter().cloned().chain(below).collect();
    // A better file in a subfolder beats a lesser one at the top.
    names.iter().find_map(|name| places.iter().map(|place| place.join(name)).find(|path| path.is_file()))
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    // The order of a directory is chance.
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_preference_in_folders_and_below() {
        let models = tempfile::tempdir().unwrap();
        let preset = Preset::named("wan2.1-t2v-14b").unwrap();
        let error = preset.find(models.path()).unwrap_err().to_string();
        assert!(error.starts_with("`wan2.1-t2v-14b` needs its diffusion model"), "{error}");
        for file in [
            "unet/Wan2_1-T2V-14B_bf16.safetensors",
            "diffusion_models/kijai/wan2.1_t2v_14B_fp8_e4m3fn.safetensors",
            "clip/umt5-xxl-enc-bf16.safetensors",
            "vae/wan2.1/Wan2_1_VAE_bf16.safetensors",
        ] {
            let path = models.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let paths = preset.find(models.path()).unwrap().unwrap();
        assert!(paths.dit.ends_with("diffusion_models/kijai/wan2.1_t2v_14B_fp8_e4m3fn.safetensors"));
        assert!(paths.text_encoder.ends_with("clip/umt5-xxl-enc-bf16.safetensors"));
        assert!(paths.vae.ends_with("vae/wan2.1/Wan2_1_VAE_bf16.safetensors"));
    }

    #[test]
    fn every_preset_asks_for_a_size_that_works() {
        for preset in PRESETS {
            let d = preset.defaults;
            assert!(d.width % 16 == 0 && d.height % 16 == 0 && d.frames % 4 == 1, "{}", preset.name);
        }
        let error = Preset::named("wan3").unwrap_err().to_string();
        assert_eq!(error, "no model is called `wan3`");
    }
}
