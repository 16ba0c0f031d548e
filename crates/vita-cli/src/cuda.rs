//! NVIDIA's driver and libraries as this machine's environment names them.

use std::env;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use vita_base::{Report, bytes_text};
use vita_cuda::Card;
use vita_cuda::compile::Cache;
use vita_cuda::cublaslt::CublasLt;
use vita_cuda::cudnn::{AttentionBy, Chooser};
use vita_cuda::discover::Search;
use vita_cuda::machine::{Driver, Gpu, Machine};
use vita_cuda::memory::Pool;
use vita_cuda::plan::RESERVE_BYTES;
use vita_folders::python;
use vita_pipeline::Residency;

use crate::arguments::Bytes;
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

/// Flags of commands in which networks work.
#[derive(Args, Debug)]
#[group(skip)]
pub struct Arguments {
    /// What networks work on: `cpu`, `cuda`, or `cuda:1` for the second card.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Device,
    /// Most of a card's memory to take, such as 12GB [default: what is free].
    #[arg(long, value_name = "SIZE")]
    vram_budget: Option<Bytes>,
    /// Blocks of a transformer that stay in the computer's memory and are brought to the card each time they run
    /// [default: those that have no room].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    blocks_to_swap: usize,
}

impl Arguments {
    /// Where networks work and are kept, and the number of the card. `new` makes it for a bound of memory;
    /// `host_bytes` is what the processor may take.
    ///
    /// # Errors
    /// As [`open_card`].
    pub fn residency(
        &self,
        new: impl FnOnce(Option<u64>) -> Residency,
        host_bytes: Option<u64>,
    ) -> Result<(Residency, Option<usize>), Report> {
        let Device::Cuda(index) = self.device else { return Ok((new(host_bytes), None)) };
        let budget_bytes = self.vram_budget.map(|Bytes(bytes)| bytes);
        let card = open_card(index, budget_bytes)?;
        let free_bytes = card.machine().free_bytes()?;
        let usable_bytes = budget_bytes.map_or(free_bytes, |most| pool_budget(most).min(free_bytes));
        tracing::info!("networks work on {}, cuda:{index}, with {}", card_name(&card), bytes_text(usable_bytes));
        let residency = new(Some(usable_bytes)).on_card(card).with_blocks_to_swap(self.blocks_to_swap);
        Ok((residency, Some(index)))
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
