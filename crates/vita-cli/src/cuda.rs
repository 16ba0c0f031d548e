//! NVIDIA's driver and libraries as this machine's environment names them.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use vita_base::Report;
use vita_cuda::Card;
use vita_cuda::compile::Cache;
use vita_cuda::cublaslt::CublasLt;
use vita_cuda::cudnn::{AttentionBy, Chooser};
use vita_cuda::discover::Search;
use vita_cuda::machine::{Driver, Gpu, Machine};
use vita_cuda::memory::Pool;
use vita_cuda::plan::RESERVE_BYTES;
use vita_folders::python;

use crate::machine::memory_free_bytes;

/// Where the driver and its libraries may be: the system, `CUDA_HOME` or `CUDA_PATH`, Python's packages.
pub fn search() -> Search {
    let variable = |name: &str| env::var(name).ok();
    let toolkits = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(variable).filter(|path| !path.is_empty());
    Search {
        toolkits: toolkits.map(PathBuf::from).collect(),
        site_packages: python::package_folders(&variable),
        folders: Vec::new(),
        system: true,
    }
}

/// As its maker calls it.
pub fn card_name(card: &Card) -> &str {
    &card.machine().properties().name
}

/// What networks work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// A card, by its number among those that the driver sees.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "cpu" {
            return Ok(Self::Cpu);
        }
        let number = text.strip_prefix("cuda").map(|rest| match rest {
            "" => Some(0),
            rest => rest.strip_prefix(':').and_then(|number| number.parse().ok()),
        });
        number.flatten().map(Self::Cuda).ok_or_else(|| {
            "a device is `cpu`, `cuda`, or `cuda:` and a card's number; `vitascope devices` lists them".to_owned()
        })
    }
}

/// What is left of a budget for our own pool: NVIDIA's context, kernels and libraries take of it too, as `nvidia-smi`
/// shows.
pub fn pool_budget(budget_bytes: u64) -> u64 {
    budget_bytes.saturating_sub(RESERVE_BYTES)
}

/// Opens a card, with all that networks need of it. `budget_bytes` bounds what this process takes of its memory.
///
/// # Errors
/// If there is no driver, no such card, or no compiler for its kernels.
pub fn open_card(index: usize, budget_bytes: Option<u64>) -> Result<Arc<Card>, Report> {
    let search = search();
    let driver = Driver::open(&search)?;
    let gpu = Arc::new(Gpu::open(&driver, &search, index, kernel_cache())?);
    let machine: Arc<dyn Machine> = gpu.clone();
    let pool = Pool::new(machine, budget_bytes.map(pool_budget));
    // The other half is the files' that weights are read from, and everybody else's.
    pool.set_pinned_max(memory_free_bytes().map(|free| free / 2));
    let attention = Chooser::new(AttentionBy::Automatic, &search, &gpu, &pool, driver.version);
    let blas = match CublasLt::open(&search, gpu, &pool, driver.version) {
        Ok(library) => Some(library),
        Err(error) => {
            tracing::warn!("products are our own kernels': {error}");
            None
        }
    };
    Ok(Card::with_attention(pool, blas, attention))
}

/// Where compiled kernels are kept: `vitascope/kernels` in the user's folder of caches, or in the temporary folder
/// where there is none.
pub fn kernel_cache() -> Cache {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = folder("XDG_CACHE_HOME")
        .or_else(|| folder("LOCALAPPDATA"))
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(env::temp_dir);
    Cache::new(caches.join("vitascope").join("kernels"))
}

#[cfg(test)]
mod tests {
    use super::Device;

    #[test]
    fn devices_have_names() {
        for (text, device) in [
            ("cpu", Some(Device::Cpu)),
            ("cuda", Some(Device::Cuda(0))),
            ("cuda:0", Some(Device::Cuda(0))),
            ("cuda:12", Some(Device::Cuda(12))),
            ("cuda:", None),
            ("cuda1", None),
            ("gpu", None),
        ] {
            assert_eq!(text.parse().ok(), device, "{text}");
        }
    }
}
