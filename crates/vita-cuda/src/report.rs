//! What there is of NVIDIA's on this machine, and what is missing: for `vitascope devices` and the server's status.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use vita_base::{Hint, bytes_text};

use crate::arch::Arch;
use crate::compile::Compiler;
use crate::cudnn::Planner;
use crate::discover::{CudaVersion, Library, Origin, Search};
use crate::error::Error;
use crate::machine::{Driver, Properties};

/// All of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The driver, or why there is none.
    pub driver: Result<DriverReport, Absence>,
    /// The libraries that packages bring.
    pub libraries: Vec<LibraryReport>,
    /// The cards.
    pub devices: Vec<DeviceReport>,
}

/// A driver that works.
#[derive(Clone, Debug)]
pub struct DriverReport {
    /// Its file.
    pub path: PathBuf,
    /// The newest CUDA that it supports.
    pub cuda: CudaVersion,
    /// Its own version, such as `580.95.05`, where the system tells.
    pub version: Option<String>,
}

/// Why something is not there, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    /// In one sentence.
    pub reason: String,
    /// In one more.
    pub remedy: Option<String>,
}

/// A library.
#[derive(Clone, Debug)]
pub struct LibraryReport {
    /// Which.
    pub library: Library,
    /// Where it is, or why it is not.
    pub found: Result<FoundLibrary, Absence>,
}

/// Where a library is.
#[derive(Clone, Debug)]
pub struct FoundLibrary {
    /// Its file.
    pub path: PathBuf,
    /// How it was found.
    pub origin: Origin,
    /// Its version, as far as it says.
    pub version: Option<CudaVersion>,
}

/// A card.
#[derive(Clone, Debug)]
pub struct DeviceReport {
    /// Its number, from 0: `cuda:0`.
    pub index: usize,
    /// What it says of itself, or why it says nothing.
    pub properties: Result<Properties, Absence>,
}

impl Report {
    /// Looks for everything. Starts no work on any card.
    pub fn new(search: &Search) -> Self {
        let driver = Driver::open(search);
        let cuda = driver.as_ref().ok().map(|driver| driver.version);
        let libraries = Library::PACKAGED.map(|library| LibraryReport { library, found: find(search, library, cuda) });
        let devices = driver.as_ref().map_or_else(|_| Vec::new(), devices);
        let driver = driver.map_err(|error| Absence::from(&error)).map(|driver| DriverReport {
            path: driver.path,
            cuda: driver.version,
            version: kernel_module_version(),
        });
        Self { driver, libraries: libraries.into(), devices }
    }

    /// Whether a card can be used.
    pub fn is_ready(&self) -> bool {
        let usable = |device: &DeviceReport| device.properties.as_ref().is_ok_and(|card| card.arch >= Arch::OLDEST);
        self.driver.is_ok() && self.devices.iter().any(usable) && self.missing().next().is_none()
    }

    /// The libraries that are needed and not there.
    pub fn missing(&self) -> impl Iterator<Item = Library> {
        self.libraries.iter().filter(|report| report.found.is_err() && report.library.is_needed()).map(|r| r.library)
    }

    /// The one command that brings every library that is missing.
    pub fn remedy(&self) -> Option<String> {
        let cuda = self.driver.as_ref().ok()?.cuda;
        let packages: Vec<_> = self.missing().map(|library| library.package(Some(cuda))).collect();
        (!packages.is_empty()).then(|| format!("pip install {}", packages.join(" ")))
    }
}

fn devices(driver: &Driver) -> Vec<DeviceReport> {
    (0..driver.device_count)
        .map(|index| {
            let properties = driver.properties(index).map_err(|error| Absence::from(&error));
            DeviceReport { index, properties }
        })
        .collect()
}

fn find(search: &Search, library: Library, driver: Option<CudaVersion>) -> Result<FoundLibrary, Absence> {
    if library == Library::Nvrtc {
        // The one that must run, so it is asked for its version.
        let compiler = Compiler::open(search, driver).map_err(|error| Absence::from(&error))?;
        let found = compiler.found().clone();
        return Ok(FoundLibrary { path: found.path, origin: found.origin, version: Some(compiler.version()) });
    }
    if library == Library::Cudnn {
        // Of use from some version on, and counts its own.
        let planner = Planner::open(search, driver).map_err(|error| Absence::from(&error))?;
        let found = planner.found().clone();
        return Ok(FoundLibrary { path: found.path, origin: found.origin, version: Some(planner.version().short()) });
    }
    let found = search.open(library, driver.map(|driver| driver.major)).map_err(|error| match error {
        Error::LibraryMissing { library, .. } => Absence::from(&Error::LibraryMissing { library, driver }),
        other => Absence::from(&other),
    })?;
    Ok(FoundLibrary { path: found.path, origin: found.origin, version: None })
}

/// From what the kernel module says: `NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release ..`.
fn kernel_module_version() -> Option<String> {
    let text = fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    version_word(text.lines().next()?)
}

fn version_word(line: &str) -> Option<String> {
    let is_version = |word: &&str| word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok());
    line.split_whitespace().find(is_version).map(str::to_owned)
}

impl From<&Error> for Absence {
    fn from(error: &Error) -> Self {
        Self { reason: error.to_string(), remedy: error.hint() }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.remedy {
            Some(remedy) => write!(f, "{} ({remedy})", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.driver {
            Ok(driver) => {
                let version = driver.version.as_deref().unwrap_or("of unknown version");
                writeln!(f, "driver    {version}, CUDA {}, {}", driver.cuda, driver.path.display())?;
            }
            Err(absence) => writeln!(f, "driver    {absence}")?,
        }
        for DeviceReport { index, properties } in &self.devices {
            match properties {
                Ok(card) => writeln!(
                    f,
                    "cuda:{index}    {}, {}, {} multiprocessors, compute capability {}: {}",
                    card.name,
                    bytes_text(card.total_bytes),
                    card.processors,
                    card.arch,
                    abilities(card.arch)
                )?,
                Err(absence) => writeln!(f, "cuda:{index}    {absence}")?,
            }
        }
        for LibraryReport { library, found } in &self.libraries {
            match found {
                Ok(FoundLibrary { path, origin, version }) => {
                    let version = version.map_or(String::new(), |version| format!("{version}, "));
                    writeln!(f, "{:<9} {version}{}, from {origin}", library.to_string(), path.display())?;
                }
                Err(absence) if library.is_needed() => writeln!(f, "{:<9} {absence}", library.to_string())?,
                Err(absence) => writeln!(f, "{:<9} {absence}; optional", library.to_string())?,
            }
        }
        match self.remedy() {
            Some(remedy) => writeln!(f, "\nmissing: {remedy}"),
            None => Ok(()),
        }
    }
}

/// What a generation is used for.
fn abilities(arch: Arch) -> String {
    if arch < Arch::OLDEST {
        return format!("too old, {} is needed", Arch::OLDEST);
    }
    let mut abilities = vec!["bf16"];
    if arch.has_fp8() {
        abilities.push("fp8");
    }
    if arch.has_wgmma() {
        abilities.push("wgmma");
    }
    if arch.has_tensor_maps() {
        abilities.push("TMA");
    }
    abilities.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_kernel_modules_line() {
        for (line, want) in [
            (
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (dvs)",
                Some("580.159.04"),
            ),
            (
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54.03  Tue Jun  6 22:20:39 UTC 2023",
                Some("535.54.03"),
            ),
            ("something else", None),
        ] {
            assert_eq!(version_word(line).as_deref(), want);
        }
    }

    #[test]
    fn a_machine_without_anything_gets_reasons() {
        let report = Report::new(&Search::default());
        assert!(!report.is_ready());
        let text = report.to_string();
        assert!(text.contains("no NVIDIA driver") && text.contains("pip install nvidia-cuda-nvrtc"), "{text}");
    }
}
