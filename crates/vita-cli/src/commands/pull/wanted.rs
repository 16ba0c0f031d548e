//! Which files a system needs, and where they belong.

use std::path::{Path, PathBuf};

use vita_base::Report;
use vita_pipeline::{Files, Preset};

use super::sources;

/// A file that a system needs.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    /// ComfyUI's folder of such files.
    pub folder: &'static str,
    pub name: &'static str,
    pub repository: &'static str,
    /// Its name there.
    pub path: String,
}

/// Folders that ComfyUI searches as well, under their older names.
const ALSO: &[(&str, &str)] = &[("diffusion_models", "unet"), ("text_encoders", "clip")];

impl Wanted {
    /// Where the file is, or where it goes: it may lie in a folder of the older name, or one level below.
    pub fn place(&self, models: &Path) -> PathBuf {
        let also = ALSO.iter().filter(|(folder, _)| *folder == self.folder).map(|(_, also)| models.join(also));
        let folders: Vec<PathBuf> = [models.join(self.folder)].into_iter().chain(also).collect();
        let below = folders.iter().flat_map(|folder| below(folder));
        let places = folders.iter().cloned().chain(below).map(|folder| folder.join(self.name));
        let mut places = places.collect::<Vec<_>>().into_iter();
        let usual = models.join(self.folder).join(self.name);
        places.find(|place| place.is_file()).unwrap_or(usual)
    }
}

/// The files of a preset: of each kind the one that is preferred, unless `instead` names another of the same kind.
///
/// # Errors
/// If a name is none that the preset knows.
pub fn wanted(preset: &Preset, files: &Files, instead: &[String]) -> Result<Vec<Wanted>, Report> {
    // The second of each pair goes with the first: experts of one kind, LoRAs of one kind.
    let groups = [
        ("diffusion_models", files.dit, files.dit_low),
        ("text_encoders", files.text_encoder, &[]),
        ("vae", files.vae, &[]),
        ("clip_vision", files.clip_vision, &[]),
        ("loras", files.lora, files.lora_low),
    ];
    let known = || groups.iter().flat_map(|(_, first, second)| first.iter().chain(second.iter())).copied();
    if let Some(unknown) = instead.iter().find(|name| !known().any(|known| known == **name)) {
        let report = Report::new(format!("`{}` knows no file `{unknown}`", preset.name));
        return Err(report.with_hint(format!("its files are: {}", known().collect::<Vec<_>>().join(", "))));
    }
    let chosen = |group: &[&str]| group.iter().position(|name| instead.iter().any(|chosen| chosen == name));
    let mut all = Vec::new();
    for (folder, first, second) in groups {
        let place = chosen(first).or_else(|| chosen(second)).unwrap_or(0);
        let names = [first.get(place), second.get(chosen(second).unwrap_or(place))];
        for &name in names.into_iter().flatten() {
            let (repository, path) = sources::source(folder, name)
                .ok_or_else(|| Report::new(format!("it is not known where `{name}` is published")))?;
            all.push(Wanted { folder, name, repository, path });
        }
    }
    Ok(all)
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    // The order of a directory is chance.
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(preset: &str, instead: &[&str]) -> Result<Vec<&'static str>, String> {
        let preset = Preset::named(preset).unwrap();
        let instead: Vec<String> = instead.iter().map(|&name| name.to_owned()).collect();
        let wanted = wanted(preset, preset.files.as_ref().unwrap(), &instead);
        wanted.map(|files| files.iter().map(|file| file.name).collect()).map_err(|report| report.to_string())
    }

    #[test]
    fn one_file_of_each_kind() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                "wan2.1-t2v-1.3b",
                &[],
                &[
                    "wan2.1_t2v_1.3B_bf16.safetensors",
                    "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
                    "wan_2.1_vae.safetensors",
                ],
            ),
            (
                "wan2.2-t2v-a14b-4step",
                &["Wan2.2-T2V-A14B-LowNoise-Q8_0.gguf", "umt5-xxl-enc-bf16.safetensors"],
                &[
                    "Wan2.2-T2V-A14B-HighNoise-Q8_0.gguf",
                    "Wan2.2-T2V-A14B-LowNoise-Q8_0.gguf",
                    "umt5-xxl-enc-bf16.safetensors",
                    "wan_2.1_vae.safetensors",
                    "wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors",
                    "wan2.2_t2v_lightx2v_4steps_lora_v1.1_low_noise.safetensors",
                ],
            ),
            (
                "wan2.1-flf2v-14b",
                &[],
                &[
                    "wan2.1_flf2v_720p_14B_fp8_e4m3fn.safetensors",
                    "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
                    "wan_2.1_vae.safetensors",
                    "clip_vision_h.safetensors",
                ],
            ),
        ];
        for (preset, instead, want) in cases {
            assert_eq!(names(preset, instead).unwrap(), *want, "{preset}");
        }
        let error = names("wan2.2-ti2v-5b", &["x.safetensors"]).unwrap_err();
        assert!(error.starts_with("error: `wan2.2-ti2v-5b` knows no file `x.safetensors`"), "{error}");
        assert!(error.contains("its files are: wan2.2_ti2v_5B_fp16.safetensors, "), "{error}");
    }

    #[test]
    fn files_lie_where_comfyui_finds_them() {
        let models = tempfile::tempdir().unwrap();
        let preset = Preset::named("wan2.1-t2v-1.3b").unwrap();
        let files = wanted(preset, preset.files.as_ref().unwrap(), &[]).unwrap();
        let text_encoder = &files[1];
        let usual = models.path().join("text_encoders").join(text_encoder.name);
        assert_eq!(text_encoder.place(models.path()), usual);
        let older = models.path().join("clip/wan").join(text_encoder.name);
        std::fs::create_dir_all(older.parent().unwrap()).unwrap();
        std::fs::write(&older, "x").unwrap();
        assert_eq!(text_encoder.place(models.path()), older);
    }
}
