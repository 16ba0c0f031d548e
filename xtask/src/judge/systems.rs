//! The small models that can be judged, and their files.

use std::path::Path;

use clap::ValueEnum;
use vita_base::Report;
use vita_pipeline::{Models, Paths};

/// A small model.
pub struct System {
    pub name: &'static str,
    /// Its list of pairs.
    pub list: &'static str,
    dit: &'static str,
    dit_low: Option<&'static str>,
    vae: &'static str,
    clip_vision: Option<&'static str>,
}

/// All of them.
pub const SYSTEMS: [System; 4] = [
    System { name: "nano-t2v", list: "eval.json", dit: "t2v-dit", dit_low: None, vae: "vae", clip_vision: None },
    System {
        name: "nano-i2v",
        list: "eval-i2v.json",
        dit: "i2v-dit",
        dit_low: None,
        vae: "vae",
        clip_vision: Some("clip-vision"),
    },
    System {
        name: "nano-i2v-a14b",
        list: "eval-i2v-a14b.json",
        dit: "i2v-high",
        dit_low: Some("i2v-low"),
        vae: "vae",
        clip_vision: None,
    },
    System {
        name: "nano-ti2v",
        list: "eval-ti2v.json",
        dit: "ti2v-dit",
        dit_low: None,
        vae: "vae22",
        clip_vision: None,
    },
];

/// One of two experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Half {
    /// That for high noise.
    High,
    /// That for low noise.
    Low,
}

impl System {
    /// # Errors
    /// If there is none of the name.
    pub fn named(name: &str) -> Result<&'static Self, Report> {
        static ALL: [System; 4] = SYSTEMS;
        ALL.iter().find(|system| system.name == name).ok_or_else(|| Report::new(format!("no small model is `{name}`")))
    }

    /// Opens its files; of two experts, one alone if asked for.
    ///
    /// # Errors
    /// If a file cannot be read, or there are no two experts to choose from.
    pub fn open(&self, folder: &Path, half: Option<Half>) -> Result<Models, Report> {
        let (dit, dit_low) = match (half, self.dit_low) {
            (None, low) => (self.dit, low),
            (Some(Half::High), Some(_)) => (self.dit, None),
            (Some(Half::Low), Some(low)) => (low, None),
            (Some(_), None) => return Err(Report::new(format!("`{}` is one model, not two experts", self.name))),
        };
        let file = |name: &str| folder.join(format!("nano-{name}.safetensors"));
        Ok(Models::open(&Paths {
            dit: file(dit),
            dit_low: dit_low.map(file),
            text_encoder: file("umt5"),
            vae: file(self.vae),
            clip_vision: self.clip_vision.map(file),
        })?)
    }
}
