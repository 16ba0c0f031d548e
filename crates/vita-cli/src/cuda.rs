//! NVIDIA's driver and libraries as this machine's environment names them.

use std::env;
use std::path::PathBuf;

use vita_cuda::compile::Cache;
use vita_cuda::discover::Search;
use vita_folders::python;

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
