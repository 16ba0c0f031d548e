//! What commands that run workflows share: flags that say where files lie, and the studio in which nodes work.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Zoned;
use vita_base::Report;
use vita_folders::{Folders, LocalTime, Options};
use vita_nodes::{Settings, Studio};
use vita_pipeline::Residency;

use crate::device::{self, Workplace};
use crate::{aliases, machine};

/// Where files lie, and what is written into them.
#[derive(Args, Debug)]
#[group(skip)]
pub struct Arguments {
    /// Folder of models, input, output, user and temp [default: the current folder].
    #[arg(long, value_name = "FOLDER")]
    pub base_directory: Option<PathBuf>,
    /// Folder of models, with ComfyUI's subfolders; may be given several times [default: BASE/models].
    #[arg(long, value_name = "FOLDER")]
    pub models_dir: Vec<PathBuf>,
    /// Folder of results [default: BASE/output].
    #[arg(long, value_name = "FOLDER")]
    pub output_directory: Option<PathBuf>,
    /// Folder of pictures and videos to start from [default: BASE/input].
    #[arg(long, value_name = "FOLDER")]
    pub input_directory: Option<PathBuf>,
    /// Folder that holds `temp`, which the server empties at each start [default: BASE].
    #[arg(long, value_name = "FOLDER")]
    pub temp_directory: Option<PathBuf>,
    /// Folder of settings, workflows, the queue and the history [default: BASE/user].
    #[arg(long, value_name = "FOLDER")]
    pub user_directory: Option<PathBuf>,
    /// YAML files with more folders of models, as ComfyUI's extra_model_paths.yaml.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub extra_model_paths_config: Vec<PathBuf>,
    /// Leave prompts and workflows out of the files that are written.
    #[arg(long)]
    pub disable_metadata: bool,
    /// To try things without weights: offer the small models inside the program under the names of large ones.
    #[arg(long)]
    pub nano_aliases: bool,
    #[command(flatten)]
    pub device: device::Arguments,
}

impl Arguments {
    /// The folders, with the small models if they were asked for. Nothing is created but the files of those.
    ///
    /// # Errors
    /// If there is no current folder, a YAML file cannot be read, or a small model's file cannot be written.
    pub fn open(&self) -> Result<Folders, Report> {
        let mut folders = Folders::new(self.options()?, &|name| env::var(name).ok())?;
        if self.nano_aliases {
            let count = aliases::add(&mut folders)?;
            tracing::info!("{count} names of large models are served by the small ones inside this program");
        }
        Ok(folders)
    }

    /// What nodes work with. `warn` is told why cards that are there are not used.
    ///
    /// # Errors
    /// If the system has no random numbers, or a device that was named cannot be used.
    pub fn open_studio(&self, folders: &Arc<Folders>, warn: &dyn Fn(&str)) -> Result<Studio, Report> {
        self.studio(folders, &self.device.open_one(warn)?, machine::memory_free_bytes())
    }

    /// The same for each of several workers.
    ///
    /// # Errors
    /// As [`Self::open_studio`].
    pub fn open_studios(
        &self,
        folders: &Arc<Folders>,
        warn: &dyn Fn(&str),
    ) -> Result<Vec<(Workplace, Studio)>, Report> {
        let workplaces = self.device.open_all(warn)?;
        let on_processor = workplaces.iter().filter(|workplace| workplace.card().is_none()).count() as u64;
        let host_bytes = machine::memory_free_bytes().map(|bytes| bytes / on_processor.max(1));
        let open = |workplace: Workplace| Ok((workplace.clone(), self.studio(folders, &workplace, host_bytes)?));
        workplaces.into_iter().map(open).collect()
    }

    fn studio(&self, folders: &Arc<Folders>, workplace: &Workplace, host_bytes: Option<u64>) -> Result<Studio, Report> {
        let settings = Settings { disable_metadata: self.disable_metadata, ffmpeg: on_path("ffmpeg") };
        let residency = self.device.residency(workplace, Residency::many, host_bytes)?;
        Ok(Studio::new(folders.clone(), residency, settings, Box::new(local_time), machine::random_seed()?))
    }

    fn options(&self) -> Result<Options, Report> {
        let base = match &self.base_directory {
            Some(base) => base.clone(),
            None => env::current_dir().map_err(|error| Report::new(format!("there is no current folder: {error}")))?,
        };
        let given = |path: &Option<PathBuf>| path.as_deref().map(absolute);
        Ok(Options {
            base: absolute(&base),
            models: self.models_dir.iter().map(|path| absolute(path)).collect(),
            input: given(&self.input_directory),
            output: given(&self.output_directory),
            temp: given(&self.temp_directory),
            user: given(&self.user_directory),
            extra_model_paths: self.extra_model_paths_config.clone(),
        })
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The time of day.
fn local_time() -> LocalTime {
    let now = Zoned::now();
    LocalTime {
        year: now.year().into(),
        month: now.month() as u32,
        day: now.day() as u32,
        hour: now.hour() as u32,
        minute: now.minute() as u32,
        second: now.second() as u32,
    }
}

/// A program of the search path.
fn on_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}
