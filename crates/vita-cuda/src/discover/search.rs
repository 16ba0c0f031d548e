//! The search itself: candidates in order, the first that opens.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::Library;
use crate::error::{Error, Result};

/// Folders to look in, as the environment gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Toolkits: what `CUDA_HOME` and `CUDA_PATH` say. `/usr/local/cuda` is always looked at.
    pub toolkits: Vec<PathBuf>,
    /// Python's `site-packages` folders, which hold pip's `nvidia` folder.
    pub site_packages: Vec<PathBuf>,
    /// Folders that hold the libraries themselves: looked at before anything else.
    pub folders: Vec<PathBuf>,
    /// Whether the system's loader may be asked.
    pub system: bool,
}

/// Where a library came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A folder that was named for it.
    Folder,
    /// The system's loader.
    System,
    /// A CUDA toolkit.
    Toolkit,
    /// A package of pip's.
    Pip,
}

/// A library that is open. It stays open as long as the process: its code may have registered anything.
#[derive(Clone)]
pub struct Found {
    /// Which.
    pub library: Library,
    /// Where it came from.
    pub origin: Origin,
    /// Its file, as far as the system tells.
    pub path: PathBuf,
    /// The major version its name states.
    pub major: Option<u32>,
    handle: &'static libloading::Library,
}

impl Search {
    /// Opens a library whose major version is at most `major_max`; the first that opens, in the order of
    /// [`Self::folders`], the system, toolkits, pip.
    ///
    /// # Errors
    /// [`Error::LibraryMissing`] where there is none, [`Error::LibraryBroken`] where there is one that does not open.
    pub fn open(&self, library: Library, major_max: Option<u32>) -> Result<Found> {
        self.open_fitting(library, |major| major.zip(major_max).is_none_or(|(major, most)| major <= most))
    }

    /// Opens a library of exactly this major version, as another library asks for it by name.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_exactly(&self, library: Library, major: u32) -> Result<Found> {
        self.open_fitting(library, |found| found == Some(major))
    }

    fn open_fitting(&self, library: Library, fits: impl Fn(Option<u32>) -> bool) -> Result<Found> {
        let mut refused = None;
        let mut try_file = |origin: Origin, path: PathBuf| match open(&path) {
            Ok(handle) => {
                let major = path.file_name().and_then(|name| library.major_of_file(&name.to_string_lossy()));
                Some(Found { library, origin, path, major, handle })
            }
            Err(error) => {
                tracing::debug!("{library}: {} does not open: {error}", path.display());
                refused.get_or_insert((path, error.to_string()));
                None
            }
        };
        let mut files_in = |folders: Vec<PathBuf>, origin: Origin| {
            candidates(library, &folders)
                .into_iter()
                .filter(|&(major, _)| fits(Some(major)))
                .find_map(|(_, path)| try_file(origin.clone(), path))
        };
        if let Some(found) = files_in(self.folders.clone(), Origin::Folder) {
            return Ok(found);
        }
        if let Some(found) = self.system.then(|| from_system(library, &fits)).flatten() {
            return Ok(found);
        }
        if let Some(found) = files_in(self.toolkit_folders(), Origin::Toolkit) {
            return Ok(found);
        }
        if let Some(found) = files_in(self.pip_folders(), Origin::Pip) {
            return Ok(found);
        }
        Err(match refused {
            Some((path, reason)) => Error::LibraryBroken { path, reason },
            None => Error::LibraryMissing { library, driver: None },
        })
    }

    fn toolkit_folders(&self) -> Vec<PathBuf> {
        let always = self.system.then(|| PathBuf::from("/usr/local/cuda"));
        let inside = ["lib64", "lib", "bin", "bin/x64", "targets/x86_64-linux/lib"];
        self.toolkits.iter().cloned().chain(always).flat_map(|home| inside.map(|folder| home.join(folder))).collect()
    }

    /// `nvidia/cu13/lib`, `nvidia/cuda_nvrtc/lib`, `nvidia/cudnn/bin` and so on.
    fn pip_folders(&self) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        for site in &self.site_packages {
            let Ok(packages) = fs::read_dir(site.join("nvidia")) else { continue };
            let mut packages: Vec<_> = packages.flatten().map(|entry| entry.path()).collect();
            packages.sort();
            for package in packages {
                folders.extend(["lib", "bin", "bin/x86_64"].map(|folder| package.join(folder)));
            }
        }
        folders
    }
}

impl Found {
    /// The address of a function, as the type says it is.
    ///
    /// # Safety
    /// `F` is the type of a function pointer with this function's signature.
    ///
    /// # Errors
    /// If the library has no such function.
    pub(crate) unsafe fn function<F: Copy>(&self, name: &str) -> Result<F> {
        // SAFETY: the caller answers for the type; the handle lives as long as the process.
        let symbol = unsafe { self.handle.get::<F>(name.as_bytes()) };
        symbol
            .map(|symbol| *symbol)
            .map_err(|_| Error::LibraryBroken { path: self.path.clone(), reason: format!("it has no `{name}`") })
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.library, self.path.display(), self.origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "named folder",
            Self::System => "system",
            Self::Toolkit => "CUDA toolkit",
            Self::Pip => "pip",
        })
    }
}

/// The library's files in some folders: in the folders' order, newest major version first within one.
fn candidates(library: Library, folders: &[PathBuf]) -> Vec<(u32, PathBuf)> {
    let mut all = Vec::new();
    for folder in folders {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        let mut here: Vec<(u32, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| Some((library.major_of_file(&entry.file_name().to_string_lossy())?, entry.path())))
            .collect();
        here.sort_by(|a, b| (b.0, a.1.as_os_str().len(), &a.1).cmp(&(a.0, b.1.as_os_str().len(), &b.1)));
        all.extend(here);
    }
    all
}

fn from_system(library: Library, fits: impl Fn(Option<u32>) -> bool) -> Option<Found> {
    // A driver of the Windows Subsystem for Linux lies where the loader does not always look.
    let beside = (library == Library::Driver).then(|| "/usr/lib/wsl/lib/libcuda.so.1".to_owned());
    library.system_names().into_iter().chain(beside).find_map(|name| {
        let file_name = Path::new(&name).file_name()?.to_string_lossy().into_owned();
        let major = library.major_of_file(&file_name);
        if !fits(major) {
            return None;
        }
        let handle = open(Path::new(&name)).ok()?;
        Some(Found { library, origin: Origin::System, path: loaded_path(&file_name), major, handle })
    })
}

/// Where the system's loader took a library from: Linux says so, elsewhere its name must do.
fn loaded_path(file_name: &str) -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| &line[at..]))
        .find(|path| Path::new(path).file_name().is_some_and(|name| name.to_string_lossy().starts_with(file_name)));
    path.map_or_else(|| file_name.into(), PathBuf::from)
}

fn open(path: &Path) -> Result<&'static libloading::Library, libloading::Error> {
    // SAFETY: these are NVIDIA's libraries, found under their own names; their initialisers do nothing but set
    // themselves up. The handle is never closed.
    let library = unsafe { libloading::Library::new(path) }?;
    Ok(Box::leak(Box::new(library)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "not a library").unwrap();
    }

    #[test]
    fn files_are_found_newest_first_and_in_every_layout() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for path in [
            "site/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
            "site/nvidia/cu13/lib/libnvrtc.so.13",
            "site/nvidia/cu13/lib/libnvrtc-builtins.so.13.0",
            "site/nvidia/cu13/lib/libcublasLt.so.13",
            "home/lib64/libnvrtc.so.12",
            "home/lib64/libnvrtc.so.12.4.127",
        ] {
            touch(&at(path));
        }
        let search = Search { toolkits: vec![at("home")], site_packages: vec![at("site")], ..Search::default() };
        let names = |library, folders: Vec<PathBuf>| {
            let found = candidates(library, &folders);
            found
                .iter()
                .map(|(_, path)| path.strip_prefix(root.path()).unwrap().display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(Library::Nvrtc, search.pip_folders()),
            ["site/nvidia/cu13/lib/libnvrtc.so.13", "site/nvidia/cuda_nvrtc/lib/libnvrtc.so.12"]
        );
        assert_eq!(
            names(Library::Nvrtc, search.toolkit_folders()),
            ["home/lib64/libnvrtc.so.12", "home/lib64/libnvrtc.so.12.4.127"]
        );
        assert_eq!(names(Library::CublasLt, search.pip_folders()), ["site/nvidia/cu13/lib/libcublasLt.so.13"]);
    }

    #[test]
    fn a_file_that_is_no_library_is_named() {
        let root = tempfile::tempdir().unwrap();
        touch(&root.path().join("libnvrtc.so.13"));
        let search = Search { folders: vec![root.path().into()], ..Search::default() };
        let error = search.open(Library::Nvrtc, None).unwrap_err();
        assert!(matches!(&error, Error::LibraryBroken { path, .. } if path.ends_with("libnvrtc.so.13")), "{error}");
        // One newer than the driver is not even tried.
        assert!(matches!(search.open(Library::Nvrtc, Some(12)), Err(Error::LibraryMissing { .. })));
        // Nor is one that is not the one that was asked for.
        assert!(matches!(search.open_exactly(Library::Nvrtc, 14), Err(Error::LibraryMissing { .. })));
        assert!(matches!(search.open_exactly(Library::Nvrtc, 13), Err(Error::LibraryBroken { .. })));
        assert!(matches!(search.open(Library::Cudnn, None), Err(Error::LibraryMissing { .. })));
    }
}
