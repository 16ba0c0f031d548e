//! A system by name: what it takes, its files, its settings, and where the files are.

use std::path::{Path, PathBuf};

use super::models::{Models, Paths};
use super::systems::PRESETS;
use crate::Error;

/// A system by name.
#[derive(Debug)]
pub struct Preset {
    /// What `--model` takes.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What it makes videos of.
    pub takes: Takes,
    /// Its files, by what they are known as; `None` for a model that is part of the program.
    pub files: Option<Files>,
    /// Settings for what a person leaves open.
    pub defaults: Defaults,
}

/// What a system makes videos of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takes {
    /// A prompt alone.
    pub text: bool,
    /// A prompt and a picture to start with.
    pub image: bool,
    /// These and a picture to end with.
    pub last_image: bool,
}

/// File names of a system, the preferred first.
#[derive(Debug)]
pub struct Files {
    /// The transformer; of two experts, that for high noise.
    pub dit: &'static [&'static str],
    /// The expert for low noise; empty for a system of one transformer. Name `i` goes with `dit[i]`.
    pub dit_low: &'static [&'static str],
    /// The text encoder.
    pub text_encoder: &'static [&'static str],
    /// The autoencoder.
    pub vae: &'static [&'static str],
    /// The vision encoder; empty for a system without.
    pub clip_vision: &'static [&'static str],
    /// The LoRA upon the transformer, of two experts that for high noise; empty for a system without.
    pub lora: &'static [&'static str],
    /// The LoRA upon the expert for low noise; empty for a system without. Name `i` goes with `lora[i]`.
    pub lora_low: &'static [&'static str],
}

/// LoRAs that a system is made with, each at strength 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loras {
    /// Upon the transformer; of two experts, that for high noise.
    pub dit: Option<PathBuf>,
    /// Upon the expert for low noise.
    pub dit_low: Option<PathBuf>,
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
    /// Guidance of the expert for low noise, where it is another.
    pub cfg_low: Option<f64>,
    /// Flow shift.
    pub shift: f64,
    /// Solver.
    pub sampler: &'static str,
    /// Schedule.
    pub scheduler: &'static str,
}

/// Folders of a models directory, as ComfyUI has them, and the older names of the same.
const DIT_FOLDERS: &[&str] = &["diffusion_models", "unet"];
const TEXT_ENCODER_FOLDERS: &[&str] = &["text_encoders", "clip"];
const VAE_FOLDERS: &[&str] = &["vae"];
const CLIP_VISION_FOLDERS: &[&str] = &["clip_vision"];
const LORA_FOLDERS: &[&str] = &["loras"];

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
        let one = |folders, names, what| self.one(models, folders, names, what);
        let maybe = |folders, names, what| self.maybe(models, folders, names, what);
        let dit = one(DIT_FOLDERS, files.dit, if files.dit_low.is_empty() { "diffusion model" } else { HIGH })?;
        Ok(Some(Paths {
            dit_low: maybe(DIT_FOLDERS, &like_first(files.dit, files.dit_low, &dit), LOW)?,
            dit,
            text_encoder: one(TEXT_ENCODER_FOLDERS, files.text_encoder, "text encoder")?,
            vae: one(VAE_FOLDERS, files.vae, "VAE")?,
            clip_vision: maybe(CLIP_VISION_FOLDERS, files.clip_vision, "CLIP vision encoder")?,
        }))
    }

    /// Where the system's LoRAs are, in the same way; none for most systems.
    ///
    /// # Errors
    /// As [`Preset::find`].
    pub fn find_loras(&self, models: &Path) -> Result<Loras, Error> {
        let Some(files) = &self.files else { return Ok(Loras::default()) };
        let dit = self.maybe(models, LORA_FOLDERS, files.lora, "LoRA")?;
        let low = dit.as_deref().map_or(Vec::new(), |dit| like_first(files.lora, files.lora_low, dit));
        Ok(Loras { dit_low: self.maybe(models, LORA_FOLDERS, &low, "LoRA for low noise")?, dit })
    }

    fn one(
        &self,
        models: &Path,
        folders: &[&str],
        names: &[&'static str],
        what: &'static str,
    ) -> Result<PathBuf, Error> {
        find(models, folders, names).ok_or_else(|| Error::MissingFile {
            model: self.name,
            what,
            folder: models.join(folders[0]),
            names: names.to_vec(),
        })
    }

    /// `None` for a kind of file that the system has not.
    fn maybe(
        &self,
        models: &Path,
        folders: &[&str],
        names: &[&'static str],
        what: &'static str,
    ) -> Result<Option<PathBuf>, Error> {
        match names {
            [] => Ok(None),
            names => self.one(models, folders, names, what).map(Some),
        }
    }
}

impl Loras {
    /// The same system with these LoRAs upon its transformers.
    ///
    /// # Errors
    /// If one cannot be read, or is not for its transformer.
    pub fn upon(&self, mut models: Models) -> Result<Models, Error> {
        if let Some(path) = &self.dit {
            models.dit = models.dit.with_lora(path, 1.0)?;
        }
        if let (Some(path), Some((low, _))) = (&self.dit_low, &mut models.dit_low) {
            *low = low.with_lora(path, 1.0)?;
        }
        Ok(models)
    }

    /// Every path.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        [&self.dit, &self.dit_low].into_iter().flatten().map(PathBuf::as_path)
    }
}

const HIGH: &str = "diffusion model for high noise";
const LOW: &str = "diffusion model for low noise";

/// Names of the second of two files, that of the same kind as the first before the others.
fn like_first(first: &[&str], second: &[&'static str], found: &Path) -> Vec<&'static str> {
    let mut names = second.to_vec();
    let place = first.iter().position(|name| found.ends_with(name));
    if let Some(place) = place.filter(|&place| place < names.len()) {
        names[..=place].rotate_right(1);
    }
    names
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

    fn put(models: &Path, files: &[&str]) {
        for file in files {
            let path = models.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
    }

    #[test]
    fn files_are_found_by_preference_in_folders_and_below() {
        let models = tempfile::tempdir().unwrap();
        let preset = Preset::named("wan2.1-t2v-14b").unwrap();
        let error = preset.find(models.path()).unwrap_err().to_string();
        assert!(error.starts_with("`wan2.1-t2v-14b` needs its diffusion model"), "{error}");
        put(
            models.path(),
            &[
                "unet/Wan2_1-T2V-14B_bf16.safetensors",
                "diffusion_models/kijai/wan2.1_t2v_14B_fp8_e4m3fn.safetensors",
                "clip/umt5-xxl-enc-bf16.safetensors",
                "vae/wan2.1/Wan2_1_VAE_bf16.safetensors",
            ],
        );
        let paths = preset.find(models.path()).unwrap().unwrap();
        assert!(paths.dit.ends_with("diffusion_models/kijai/wan2.1_t2v_14B_fp8_e4m3fn.safetensors"));
        assert!(paths.text_encoder.ends_with("clip/umt5-xxl-enc-bf16.safetensors"));
        assert!(paths.vae.ends_with("vae/wan2.1/Wan2_1_VAE_bf16.safetensors"));
        assert_eq!((paths.dit_low, paths.clip_vision), (None, None));
    }

    #[test]
    fn experts_of_one_kind_go_together() {
        let models = tempfile::tempdir().unwrap();
        let preset = Preset::named("wan2.2-i2v-a14b").unwrap();
        put(
            models.path(),
            &[
                "diffusion_models/wan2.2_i2v_high_noise_14B_fp16.safetensors",
                "text_encoders/umt5_xxl_fp16.safetensors",
                "vae/wan_2.1_vae.safetensors",
            ],
        );
        let error = preset.find(models.path()).unwrap_err().to_string();
        assert!(error.starts_with("`wan2.2-i2v-a14b` needs its diffusion model for low noise"), "{error}");
        put(models.path(), &["diffusion_models/wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors"]);
        let low = |_: ()| preset.find(models.path()).unwrap().unwrap().dit_low.unwrap();
        assert!(low(()).ends_with("wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors"));
        put(models.path(), &["diffusion_models/wan2.2_i2v_low_noise_14B_fp16.safetensors"]);
        assert!(low(()).ends_with("wan2.2_i2v_low_noise_14B_fp16.safetensors"));
    }

    #[test]
    fn loras_of_one_kind_go_together() {
        let models = tempfile::tempdir().unwrap();
        let preset = Preset::named("wan2.2-i2v-a14b-4step").unwrap();
        put(models.path(), &["loras/wan2.2_i2v_lightx2v_4steps_lora_v1_high_noise.safetensors"]);
        let error = preset.find_loras(models.path()).unwrap_err().to_string();
        assert!(error.starts_with("`wan2.2-i2v-a14b-4step` needs its LoRA for low noise"), "{error}");
        put(models.path(), &["loras/wan22/wan2.2_i2v_lightx2v_4steps_lora_v1_low_noise.safetensors"]);
        let found = preset.find_loras(models.path()).unwrap();
        assert!(found.dit.as_ref().unwrap().ends_with("wan2.2_i2v_lightx2v_4steps_lora_v1_high_noise.safetensors"));
        assert!(found.dit_low.as_ref().unwrap().ends_with("wan2.2_i2v_lightx2v_4steps_lora_v1_low_noise.safetensors"));
        let without = Preset::named("wan2.2-i2v-a14b").unwrap();
        assert_eq!(without.find_loras(models.path()).unwrap(), Loras::default());
    }

    #[test]
    fn every_preset_asks_for_a_size_that_works() {
        for preset in PRESETS {
            let d = preset.defaults;
            let step = if preset.name.contains("ti2v") { 32 } else { 16 };
            assert!(d.width % step == 0 && d.height % step == 0 && d.frames % 4 == 1, "{}", preset.name);
            assert!(preset.takes.text || preset.takes.image, "{}", preset.name);
            if let Some(files) = &preset.files {
                let low = files.dit_low.len();
                assert!(low == 0 || low == files.dit.len(), "{}: experts in pairs", preset.name);
                let loras = [files.lora, files.lora_low].map(<[_]>::len);
                assert!(loras[1] == if low > 0 { loras[0] } else { 0 }, "{}: LoRAs in pairs", preset.name);
            }
        }
        let error = Preset::named("wan3").unwrap_err().to_string();
        assert_eq!(error, "no model is called `wan3`");
    }
}
