//! The systems that are tried, the true shapes of their networks, and the dialects their files are written in.

use vita_base::Report;
use vita_pipeline::Preset;
use vita_weights::{ClipVisionFacts, DitFacts, Layout, Umt5Facts, VaeFacts};

/// A system that can be tried.
pub struct System {
    /// As `--model` has it.
    pub name: &'static str,
    dit: DitFacts,
    /// Whether the transformer's large weights are 8-bit floats, or all is `f16`.
    is_dit_fp8: bool,
    vae: VaeFacts,
    has_clip_vision: bool,
}

/// A file to be written.
pub struct File {
    /// Where, below the models folder.
    pub path: String,
    /// Names and shapes.
    pub layout: Layout,
    pub dialect: Dialect,
    /// Whether it is what may be written with holes if the disk is short.
    pub is_second_expert: bool,
}

/// How a file keeps its tensors.
#[derive(Clone, Copy, PartialEq)]
pub enum Dialect {
    /// All in `f16`.
    F16,
    /// Comfy's scaled fp8: large weights of blocks in 8 bits with a scale each, the rest in `f16`.
    Fp8Scaled,
}

impl System {
    /// The system of a name.
    ///
    /// # Errors
    /// If there is none; the error lists those there are.
    pub fn named(name: &str) -> Result<Self, Report> {
        let all = all();
        let names: Vec<&str> = all.iter().map(|system| system.name).collect();
        let hint = format!("choose one of {}", names.join(", "));
        all.into_iter()
            .find(|system| system.name == name)
            .ok_or_else(|| Report::new(format!("no system is called `{name}`")).with_hint(hint))
    }

    /// Whether it starts from a picture.
    pub fn needs_image(&self) -> bool {
        self.dit.in_channels > self.dit.out_channels
    }

    /// Whether it has two transformers.
    pub fn has_experts(&self) -> bool {
        Preset::named(self.name)
            .is_ok_and(|preset| preset.files.as_ref().is_some_and(|files| !files.dit_low.is_empty()))
    }

    /// Its files, by the names that the preset prefers.
    ///
    /// # Errors
    /// If the preset has no files.
    pub fn files(&self) -> Result<Vec<File>, Report> {
        let files = Preset::named(self.name)?.files.as_ref();
        let files = files.ok_or_else(|| Report::new(format!("`{}` has no files", self.name)))?;
        let dit = |name: &str, is_second_expert| File {
            path: format!("diffusion_models/{name}"),
            layout: self.dit.layout(),
            dialect: if self.is_dit_fp8 { Dialect::Fp8Scaled } else { Dialect::F16 },
            is_second_expert,
        };
        let other = |folder: &str, name: &str, layout, dialect| File {
            path: format!("{folder}/{name}"),
            layout,
            dialect,
            is_second_expert: false,
        };
        let mut all = vec![dit(files.dit[0], false)];
        all.extend(files.dit_low.first().map(|name| dit(name, true)));
        all.push(other("text_encoders", files.text_encoder[0], Umt5Facts::XXL.layout(), Dialect::Fp8Scaled));
        all.push(other("vae", files.vae[0], self.vae.layout(), Dialect::F16));
        if self.has_clip_vision {
            all.push(other("clip_vision", files.clip_vision[0], ClipVisionFacts::vit_h_14().layout(), Dialect::F16));
        }
        Ok(all)
    }
}

fn all() -> Vec<System> {
    let system = |name, dit| System { name, dit, is_dit_fp8: true, vae: VaeFacts::WAN_21, has_clip_vision: false };
    vec![
        system("wan2.1-t2v-14b", DitFacts::T2V_14B),
        System { has_clip_vision: true, ..system("wan2.1-i2v-14b-480p", DitFacts::I2V_14B) },
        system("wan2.2-t2v-a14b", DitFacts::T2V_14B),
        system("wan2.2-i2v-a14b", DitFacts::I2V_A14B),
        System { is_dit_fp8: false, vae: VaeFacts::WAN_22, ..system("wan2.2-ti2v-5b", DitFacts::TI2V_5B) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_is_a_preset_with_files() {
        for system in all() {
            let files = system.files().unwrap();
            assert_eq!(files.iter().any(|file| file.is_second_expert), system.has_experts(), "{}", system.name);
        }
        assert!(System::named("wan3").is_err());
    }
}
