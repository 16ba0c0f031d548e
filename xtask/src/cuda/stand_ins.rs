//! Libraries that stand in for those of a machine with a card, so that cuDNN opens: their functions are there, and say
//! that there is no card. Made by the C compiler when they are needed.

use std::path::Path;
use std::process::Command;

use vita_base::Report;

/// The driver's functions that cuDNN looks up when it opens its engines.
const DRIVER_FUNCTIONS: [&str; 29] = [
    "cuCtxGetCurrent",
    "cuCtxGetLimit",
    "cuCtxPopCurrent",
    "cuCtxPushCurrent",
    "cuDeviceGet",
    "cuDeviceGetCount",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuKernelGetAttribute",
    "cuKernelGetFunction",
    "cuKernelSetAttribute",
    "cuLaunchCooperativeKernel",
    "cuLaunchKernel",
    "cuLaunchKernelEx",
    "cuLibraryGetKernel",
    "cuLibraryLoadData",
    "cuLibraryLoadFromFile",
    "cuLibraryUnload",
    "cuLinkAddData",
    "cuLinkComplete",
    "cuLinkCreate",
    "cuLinkDestroy",
    "cuModuleGetFunction",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuOccupancyMaxPotentialClusterSize",
    "cuStreamGetCtx",
    "cuTensorMapEncodeIm2col",
    "cuTensorMapEncodeTiled",
];

/// Makes `libcuda.so.1`: CUDA 13.0, and no device (100) for anything else.
pub fn driver(folder: &Path) -> Result<(), Report> {
    let mut text = String::from("int cuDriverGetVersion(int* version) { *version = 13000; return 0; }\n");
    for function in DRIVER_FUNCTIONS {
        text.push_str(&format!("int {function}(void) {{ return 100; }}\n"));
    }
    library(folder, "libcuda.so.1", &text)
}

/// Makes `libcublasLt.so.12` and `.13`, of which cuDNN asks for the version.
pub fn cublaslt(folder: &Path) -> Result<(), Report> {
    for major in [12, 13] {
        let text = format!("unsigned long cublasLtGetVersion(void) {{ return {major}0000; }}\n");
        library(folder, &format!("libcublasLt.so.{major}"), &text)?;
    }
    Ok(())
}

fn library(folder: &Path, name: &str, text: &str) -> Result<(), Report> {
    let source = folder.join(format!("{name}.c"));
    std::fs::write(&source, text).map_err(|error| Report::new(format!("{}: {error}", source.display())))?;
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", &format!("-Wl,-soname,{name}"), "-o"])
        .arg(folder.join(name))
        .arg(&source)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Report::new(format!("`cc` made no {name}: {status}"))),
        Err(error) => Err(Report::new(format!("`cc` does not run: {error}")).with_hint("install a C compiler")),
    }
}
