//! All directories of the program, and the way from a name to a file.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;

use crate::annotated::Annotated;
use crate::category::{self, Category};
use crate::error::{Error, Result};
use crate::extra_paths;
use crate::listing::{Listed, Listing};
use crate::reservations::Reservations;
use crate::safe_name::SafeName;
use crate::save_path::{SavePath, SaveRequest};

/// Where everything lies. What is `None` or empty lies below `base`, as in ComfyUI.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--base-directory`.
    pub base: PathBuf,
    /// `--models-dir`, several are searched in turn; empty: `models`.
    pub models: Vec<PathBuf>,
    /// `--input-directory`; `None`: `input`.
    pub input: Option<PathBuf>,
    /// `--output-directory`; `None`: `output`.
    pub output: Option<PathBuf>,
    /// `--temp-directory`; files lie in `temp` **below** it, because that folder is emptied at the start.
    pub temp: Option<PathBuf>,
    /// `--user-directory`; `None`: `user`.
    pub user: Option<PathBuf>,
    /// `--extra-model-paths-config`, each one a YAML file as ComfyUI's.
    pub extra_model_paths: Vec<PathBuf>,
}

/// The three directories that clients may name in `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// What users gave.
    Input,
    /// Results.
    Output,
    /// Previews and leftovers; emptied at the start.
    Temp,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Input, Self::Output, Self::Temp];

    /// As it is written in `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Temp => "temp",
        }
    }

    /// The place of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.name() == name)
    }
}

/// All directories of the program. Shared between threads behind an `Arc`.
#[derive(Debug)]
pub struct Folders {
    base: PathBuf,
    input: PathBuf,
    output: PathBuf,
    temp: PathBuf,
    user: PathBuf,
    categories: IndexMap<String, Category>,
    /// Category, then the name as it is offered, then the file behind it.
    aliases: IndexMap<String, IndexMap<String, PathBuf>>,
    listings: Mutex<HashMap<String, Arc<Listing>>>,
    reservations: Reservations,
}

impl Folders {
    /// Puts the paths together; nothing is created and only the YAML files are read.
    ///
    /// `variable` looks up the environment (for `~` and `$NAME` in the YAML files).
    ///
    /// # Errors
    /// If a file of extra model paths cannot be read.
    pub fn new(options: Options, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let below = |given: Option<PathBuf>, name: &str| given.unwrap_or_else(|| options.base.join(name));
        let output = below(options.output, "output");
        let models = if options.models.is_empty() { vec![options.base.join("models")] } else { options.models };
        let mut categories = category::categories(&models, &options.base, &output);
        for path in &options.extra_model_paths {
            for extra in extra_paths::read(path, variable)? {
                let name = category::current_name(&extra.category).to_owned();
                let category =
                    categories.entry(name).or_insert_with(|| Category { places: vec![], extensions: vec![] });
                category.add_place(extra.place, extra.is_default);
            }
        }
        Ok(Self {
            input: below(options.input, "input"),
            temp: options.temp.unwrap_or_else(|| options.base.clone()).join("temp"),
            user: below(options.user, "user"),
            output,
            base: options.base,
            categories,
            aliases: IndexMap::new(),
            listings: Mutex::new(HashMap::new()),
            reservations: Reservations::default(),
        })
    }

    /// Offers a file under another name: `diffusion_models`, `Wan2_1-T2V-14B_fp8_e4m3fn.safetensors`, path.
    /// An alias comes before a file of the same name.
    pub fn add_alias(&mut self, category: &str, name: &str, path: PathBuf) {
        let category = category::current_name(category).to_owned();
        self.aliases.entry(category).or_default().insert(name.to_owned(), path);
    }

    /// Creates the directories that the program writes to, and those that models are put into.
    ///
    /// # Errors
    /// The first directory that cannot be made.
    pub fn create(&self) -> Result<()> {
        let models = self.categories.iter().filter_map(|(name, category)| {
            let own = |place: &&PathBuf| place.starts_with(&self.base) && !place.starts_with(&self.output);
            category.places.iter().filter(own).find(|place| place.file_name().is_some_and(|file| file == name.as_str()))
        });
        let own = [&self.input, &self.output, &self.temp, &self.user];
        for directory in own.into_iter().chain(models) {
            fs::create_dir_all(directory).map_err(|source| Error::io("create", directory, source))?;
        }
        Ok(())
    }

    /// Removes what an earlier process left in the temporary directory.
    ///
    /// # Errors
    /// If it cannot be emptied.
    pub fn empty_temp(&self) -> Result<()> {
        match fs::remove_dir_all(&self.temp) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::io("empty", &self.temp, source)),
            _ => fs::create_dir_all(&self.temp).map_err(|source| Error::io("create", &self.temp, source)),
        }
    }

    /// `--base-directory`.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// What users gave.
    pub fn input(&self) -> &Path {
        &self.input
    }

    /// Results.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// Previews and leftovers.
    pub fn temp(&self) -> &Path {
        &self.temp
    }

    /// Settings and workflows; the only user's lie in `default` below it.
    pub fn user(&self) -> &Path {
        &self.user
    }

    /// The directory of a place.
    pub fn place(&self, place: Place) -> &Path {
        match place {
            Place::Input => &self.input,
            Place::Output => &self.output,
            Place::Temp => &self.temp,
        }
    }

    /// The categories in ComfyUI's order, those of YAML files behind them.
    pub fn categories(&self) -> impl Iterator<Item = (&str, &Category)> {
        self.categories.iter().map(|(name, category)| (name.as_str(), category))
    }

    /// A category by its name; older names (`unet`, `clip`) are known.
    ///
    /// # Errors
    /// A name that nobody declared.
    pub fn category(&self, name: &str) -> Result<&Category> {
        let found = self.categories.get(category::current_name(name));
        found.ok_or_else(|| Error::UnknownCategory { name: name.into() })
    }

    /// The names of a category's files as the pickers of nodes show them: relative, with `/`, sorted, each once;
    /// aliases included. Empty for a category that nobody declared.
    pub fn files(&self, category: &str) -> Vec<String> {
        let listed = self.listing(category);
        let aliases = self.aliases_of(category).keys().cloned();
        let mut names: Vec<String> = listed.iter().map(|file| file.name.clone()).chain(aliases).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The files on disk with the index of their place; a name may be there more than once.
    pub fn listing(&self, category: &str) -> Arc<[Listed]> {
        let name = category::current_name(category);
        let Some(category) = self.categories.get(name) else { return Arc::new([]) };
        let known = self.lock().get(name).cloned();
        if let Some(listing) = known.as_ref().filter(|listing| listing.is_current()) {
            return listing.files.clone();
        }
        // Two threads may both read here; the later one wins, which is as right as the other.
        let mut listing = Listing::read(category);
        if let Some(earlier) = known {
            listing.settle(&earlier);
        }
        let files = listing.files.clone();
        self.lock().insert(name.to_owned(), Arc::new(listing));
        files
    }

    /// The name under which a file is listed, for what a client wrote: `\` for `/` is understood, and so is
    /// a bare file name that is in one folder only.
    pub fn listed_name(&self, category: &str, name: &str) -> Option<String> {
        let files = self.files(category);
        let wanted = name.replace('\\', "/");
        if files.binary_search(&wanted).is_ok() {
            return Some(wanted);
        }
        if wanted.contains('/') {
            return None;
        }
        let mut same = files.into_iter().filter(|file| file.rsplit('/').next() == Some(wanted.as_str()));
        same.next().filter(|_| same.next().is_none())
    }

    /// The path of a listed file, or of one that has appeared since.
    ///
    /// # Errors
    /// If there is no such category or file, or the name is not a safe one.
    pub fn find(&self, category: &str, name: &str) -> Result<PathBuf> {
        if let Some(path) = self.alias(category, name) {
            return Ok(path.to_owned());
        }
        let places = &self.category(category)?.places;
        let safe = SafeName::new(name)?;
        if let Some(path) = places.iter().map(|place| safe.under(place)).find(|path| path.is_file()) {
            return Ok(path);
        }
        match self.listed_name(category, name).filter(|listed| listed != name) {
            Some(listed) => self.find(category, &listed),
            None => Err(Error::NotFound { category: category.into(), name: name.into(), searched: places.clone() }),
        }
    }

    /// The file behind an alias; `None` where the name is not one.
    pub fn alias(&self, category: &str, name: &str) -> Option<&Path> {
        let name = name.replace('\\', "/");
        self.aliases_of(category).get(&name).map(PathBuf::as_path)
    }

    /// Whether any alias is offered.
    pub fn has_aliases(&self) -> bool {
        !self.aliases.is_empty()
    }

    /// The file that a loader's value names: `a.png`, `sub/a.png`, `a.png [output]`. Without a suffix it lies in
    /// the input directory.
    ///
    /// # Errors
    /// If the name is not safe or there is no such file.
    pub fn annotated(&self, text: &str) -> Result<PathBuf> {
        let annotated = Annotated::parse(text);
        let place = annotated.place.unwrap_or(Place::Input);
        let path = SafeName::new(annotated.name)?.under(self.place(place));
        if path.is_file() {
            return Ok(path);
        }
        let searched = vec![self.place(place).to_owned()];
        Err(Error::NotFound { category: place.name().into(), name: annotated.name.into(), searched })
    }

    /// The next free name of a result in a place. Nobody else gets it as long as the path is held.
    ///
    /// # Errors
    /// A prefix that would leave the directory, or a folder that cannot be made or read.
    pub fn save_path(&self, place: Place, request: &SaveRequest<'_>) -> Result<SavePath> {
        SavePath::next(self.place(place), request, &self.reservations)
    }

    /// The names of the files at the top of a place, sorted; hidden ones are left out.
    pub fn top_files(&self, place: Place) -> Vec<String> {
        let entries = fs::read_dir(self.place(place)).into_iter().flatten().flatten();
        let files = entries.filter(|entry| entry.path().is_file());
        let mut names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort_unstable();
        names
    }

    fn aliases_of(&self, category: &str) -> &IndexMap<String, PathBuf> {
        static NONE: std::sync::LazyLock<IndexMap<String, PathBuf>> = std::sync::LazyLock::new(IndexMap::new);
        self.aliases.get(category::current_name(category)).unwrap_or(&NONE)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Listing>>> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
