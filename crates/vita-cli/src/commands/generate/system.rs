//! Which model: by name, by files, or what is there.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use vita_base::Report;
use vita_pipeline::{Defaults, Loras, Models, PRESETS, Paths, Preset, Takes};
use vita_weights::{Checkpoint, Role};

use crate::nano;

/// Flags that choose the model.
#[derive(Args, Debug)]
#[command(next_help_heading = "Model")]
#[group(skip)]
pub struct Arguments {
    /// The model's name [default: one that is in the models folder, else a nano model].
    ///
    /// The nano models are part of the program. The others are looked for under the names that their files
    /// are published with; those in -4step are the same with lightx2v's LoRAs, made for four steps without guidance.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(PRESETS.iter().map(|p| p.name)))]
    model: Option<String>,
    /// The diffusion model's file, instead of a name; of two experts, that for high noise.
    #[arg(long, visible_alias = "dit-high", value_name = "FILE", requires_all = ["text_encoder", "vae"], conflicts_with = "model")]
    dit: Option<PathBuf>,
    /// The file of the expert for low noise, for models of two.
    #[arg(long, value_name = "FILE", requires = "dit")]
    dit_low: Option<PathBuf>,
    /// The text encoder's file; its spiece.model or tokenizer.json is inside or beside it.
    #[arg(long, value_name = "FILE", requires = "dit")]
    text_encoder: Option<PathBuf>,
    /// The VAE's file.
    #[arg(long, value_name = "FILE", requires = "dit")]
    vae: Option<PathBuf>,
    /// The CLIP vision encoder's file, for models that see their image through it.
    #[arg(long, value_name = "FILE", requires = "dit")]
    clip_vision: Option<PathBuf>,
    /// Where models are: a folder with diffusion_models, text_encoders, vae and clip_vision in it, as in ComfyUI.
    #[arg(long, value_name = "DIR", env = "VITASCOPE_MODELS_DIR", default_value = "models")]
    pub models_dir: PathBuf,
}

/// A model, chosen and not yet opened.
pub struct Choice {
    pub defaults: Defaults,
    name: String,
    /// `None` for a model that is part of the program.
    paths: Option<Paths>,
    /// Those that the name stands for.
    loras: Loras,
}

/// A model, opened.
pub struct System {
    pub name: String,
    /// Names of its files, without folders.
    pub files: Vec<String>,
    pub models: Models,
}

/// What a model is to be made of.
#[derive(Clone, Copy)]
pub struct Given {
    pub image: bool,
    pub last_image: bool,
}

impl Given {
    fn suits(self, takes: Takes) -> bool {
        match self {
            Self { last_image: true, .. } => takes.last_image,
            Self { image: true, .. } => takes.image,
            _ => takes.text,
        }
    }
}

impl Arguments {
    /// What the flags ask for.
    ///
    /// # Errors
    /// If files of a name are not there, or the file given is no diffusion model.
    pub fn choose(&self, given: Given) -> Result<Choice, Report> {
        let (preset, paths) = match (&self.model, self.paths()) {
            (Some(name), _) => {
                let preset = Preset::named(name)?;
                (preset, preset.find(&self.models_dir)?)
            }
            (None, Some(paths)) => {
                let name = paths.dit.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let defaults = like(&paths)?.defaults;
                return Ok(Choice { defaults, name, paths: Some(paths), loras: Loras::default() });
            }
            (None, None) => self.first_there(given),
        };
        let loras = preset.find_loras(&self.models_dir)?;
        Ok(Choice { defaults: preset.defaults, name: preset.name.to_owned(), paths, loras })
    }

    fn paths(&self) -> Option<Paths> {
        let [dit, text_encoder, vae] = [&self.dit, &self.text_encoder, &self.vae].map(Clone::clone);
        Some(Paths {
            dit: dit?,
            dit_low: self.dit_low.clone(),
            text_encoder: text_encoder?,
            vae: vae?,
            clip_vision: self.clip_vision.clone(),
        })
    }

    /// A model that suits and whose files are all in the models folder, or else one inside the program.
    fn first_there(&self, given: Given) -> (&'static Preset, Option<Paths>) {
        let suitable = || PRESETS.iter().filter(|preset| given.suits(preset.takes));
        let there = |preset: &'static Preset| Some((preset, Some(preset.find(&self.models_dir).ok()??)));
        let built_in = || suitable().find(|preset| preset.files.is_none()).unwrap_or(&PRESETS[0]);
        suitable().find_map(there).unwrap_or_else(|| (built_in(), None))
    }
}

/// The preset that a diffusion model given as a file is most like.
///
/// # Errors
/// If the file is no diffusion model.
fn like(paths: &Paths) -> Result<&'static Preset, Report> {
    let facts = Checkpoint::open(&paths.dit)?.weights(Role::DiffusionModel)?.dit_facts()?;
    let is_small = facts.dim < 1536;
    let has_image = facts.in_channels > facts.out_channels;
    let name = match (has_image, facts.image_branch) {
        _ if facts.out_channels == 48 && is_small => "nano-ti2v",
        _ if facts.out_channels == 48 => "wan2.2-ti2v-5b",
        (false, _) if is_small => "nano-t2v",
        (true, true) if is_small => "nano-i2v",
        (true, false) if is_small => "nano-i2v-a14b",
        (true, true) if facts.first_last_frame => "wan2.1-flf2v-14b",
        (true, true) => "wan2.1-i2v-14b-480p",
        (true, false) => "wan2.2-i2v-a14b",
        (false, _) if paths.dit_low.is_some() => "wan2.2-t2v-a14b",
        (false, _) if facts.dim < 5120 => "wan2.1-t2v-1.3b",
        (false, _) => "wan2.1-t2v-14b",
    };
    Ok(Preset::named(name)?)
}

impl Choice {
    /// Opens the files.
    ///
    /// # Errors
    /// If one is not what it should be, or they do not belong together.
    pub fn open(self) -> Result<System, Report> {
        let open = match &self.paths {
            None => nano::open(&self.name)?,
            Some(paths) => paths.open()?,
        };
        let file_name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let files = self.paths.iter().flat_map(Paths::all).chain(self.loras.all()).map(file_name).collect();
        Ok(System { name: self.name, files, models: self.loras.upon(Models::new(open)?)? })
    }
}
