//! Which model: by name, by files, or what is there.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use vita_base::Report;
use vita_pipeline::{Defaults, Models, PRESETS, Paths, Preset};
use vita_weights::{Checkpoint, Role};

use crate::nano;

/// Flags that choose the model.
#[derive(Args, Debug)]
#[command(next_help_heading = "Model")]
#[group(skip)]
pub struct Arguments {
    /// The model's name [default: one that is in the models folder, else nano-t2v].
    ///
    /// nano-t2v is part of the program. The others are looked for under the names that their files
    /// are published with.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(PRESETS.iter().map(|p| p.name)))]
    model: Option<String>,
    /// The diffusion model's file, instead of a name.
    #[arg(long, value_name = "FILE", requires_all = ["text_encoder", "vae"], conflicts_with = "model")]
    dit: Option<PathBuf>,
    /// The text encoder's file; its spiece.model or tokenizer.json is inside or beside it.
    #[arg(long, value_name = "FILE", requires = "dit")]
    text_encoder: Option<PathBuf>,
    /// The VAE's file.
    #[arg(long, value_name = "FILE", requires = "dit")]
    vae: Option<PathBuf>,
    /// Where models are: a folder with diffusion_models, text_encoders and vae in it, as in ComfyUI.
    #[arg(long, value_name = "DIR", env = "VITASCOPE_MODELS_DIR", default_value = "models")]
    models_dir: PathBuf,
}

/// A model, chosen and not yet opened.
pub struct Choice {
    pub defaults: Defaults,
    name: String,
    paths: Option<Paths>,
}

/// A model, opened.
pub struct System {
    pub name: String,
    /// Names of its files, without folders.
    pub files: Vec<String>,
    pub models: Models,
}

impl Arguments {
    /// What the flags ask for.
    ///
    /// # Errors
    /// If files of a name are not there, or the file given is no diffusion model.
    pub fn choose(&self) -> Result<Choice, Report> {
        let (preset, paths) = match (&self.model, self.paths()) {
            (Some(name), _) => {
                let preset = Preset::named(name)?;
                (preset, preset.find(&self.models_dir)?)
            }
            (None, Some(paths)) => {
                let name = paths.dit.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                return Ok(Choice { defaults: like(&paths.dit)?.defaults, name, paths: Some(paths) });
            }
            (None, None) => self.first_there(),
        };
        Ok(Choice { defaults: preset.defaults, name: preset.name.to_owned(), paths })
    }

    fn paths(&self) -> Option<Paths> {
        let [dit, text_encoder, vae] = [&self.dit, &self.text_encoder, &self.vae].map(Clone::clone);
        Some(Paths { dit: dit?, text_encoder: text_encoder?, vae: vae?, ..Paths::default() })
    }

    /// A model whose files are all in the models folder, or else the one inside the program.
    fn first_there(&self) -> (&'static Preset, Option<Paths>) {
        let there = |preset: &'static Preset| Some((preset, Some(preset.find(&self.models_dir).ok()??)));
        let found = PRESETS.iter().find_map(there);
        // The list starts with the small one.
        found.unwrap_or((&PRESETS[0], None))
    }
}

/// The preset that a diffusion model given as a file is most like.
///
/// # Errors
/// If the file is no diffusion model.
fn like(dit: &Path) -> Result<&'static Preset, Report> {
    let facts = Checkpoint::open(dit)?.weights(Role::DiffusionModel)?.dit_facts()?;
    Ok(Preset::named(match facts.dim {
        5120.. => "wan2.1-t2v-14b",
        1536.. => "wan2.1-t2v-1.3b",
        _ => "nano-t2v",
    })?)
}

impl Choice {
    /// Opens the files.
    ///
    /// # Errors
    /// If one is not what it should be, or they do not belong together.
    pub fn open(self) -> Result<System, Report> {
        let checkpoints = match &self.paths {
            None => nano::checkpoints()?,
            Some(paths) => paths.open()?,
        };
        let file_name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let files = self.paths.iter().flat_map(Paths::all).map(file_name).collect();
        Ok(System { name: self.name, files, models: Models::new(checkpoints)? })
    }
}
