//! The libraries that are used, what their files are called, and which package brings them.

use std::fmt;

/// A library of NVIDIA's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Library {
    /// The driver's own; comes with the driver only.
    Driver,
    /// The run-time compiler.
    Nvrtc,
    /// Matrix products.
    CublasLt,
    /// Attention and convolutions, where they are faster than ours.
    Cudnn,
}

/// A version of CUDA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CudaVersion {
    /// Before the point.
    pub major: u32,
    /// After the point.
    pub minor: u32,
}

impl Library {
    /// Those that a package can bring.
    pub const PACKAGED: [Self; 3] = [Self::Nvrtc, Self::CublasLt, Self::Cudnn];

    /// Whether the kernels cannot run without it.
    pub fn is_needed(self) -> bool {
        self != Self::Cudnn
    }

    /// Names to ask the system's loader for, best first.
    pub fn system_names(self) -> Vec<String> {
        let majors: &[u32] = match self {
            Self::Driver => return if cfg!(windows) { vec!["nvcuda.dll".into()] } else { vec!["libcuda.so.1".into()] },
            Self::Nvrtc | Self::CublasLt => &[13, 12],
            Self::Cudnn => &[9],
        };
        let stem = self.stem();
        match (cfg!(windows), self) {
            (false, _) => majors.iter().map(|major| format!("lib{stem}.so.{major}")).collect(),
            (true, Self::Nvrtc) => majors.iter().map(|major| format!("{stem}64_{major}0_0.dll")).collect(),
            (true, _) => majors.iter().map(|major| format!("{stem}64_{major}.dll")).collect(),
        }
    }

    /// The major version that a file's name states, if the file is this library.
    pub fn major_of_file(self, file_name: &str) -> Option<u32> {
        let rest = match file_name.strip_prefix("lib") {
            Some(unix) => unix.strip_prefix(self.stem())?.strip_prefix(".so.")?,
            None => file_name.strip_prefix(self.stem())?.strip_prefix("64_")?.strip_suffix(".dll")?,
        };
        let number = rest.split(['.', '_']).next()?;
        if !rest.split(['.', '_']).all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())) {
            return None;
        }
        let number: u32 = number.parse().ok()?;
        // Windows states 130 where others state 13.
        Some(if number >= 100 { number / 10 } else { number })
    }

    /// The package that brings it, for what a driver supports: pip's name.
    pub fn package(self, driver: Option<CudaVersion>) -> &'static str {
        let old = driver.is_some_and(|driver| driver.major < 13);
        match (self, old) {
            (Self::Driver, _) => "(the driver is no package)",
            (Self::Nvrtc, false) => "nvidia-cuda-nvrtc",
            (Self::Nvrtc, true) => "nvidia-cuda-nvrtc-cu12",
            (Self::CublasLt, false) => "nvidia-cublas",
            (Self::CublasLt, true) => "nvidia-cublas-cu12",
            (Self::Cudnn, false) => "nvidia-cudnn-cu13",
            (Self::Cudnn, true) => "nvidia-cudnn-cu12",
        }
    }

    fn stem(self) -> &'static str {
        match self {
            Self::Driver => "cuda",
            Self::Nvrtc => "nvrtc",
            Self::CublasLt => "cublasLt",
            Self::Cudnn => "cudnn",
        }
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Driver => "the NVIDIA driver",
            Self::Nvrtc => "NVRTC",
            Self::CublasLt => "cuBLASLt",
            Self::Cudnn => "cuDNN",
        })
    }
}

impl fmt::Display for CudaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names() {
        for (library, name, want) in [
            (Library::Nvrtc, "libnvrtc.so.13", Some(13)),
            (Library::Nvrtc, "libnvrtc.so.12.4.127", Some(12)),
            (Library::Nvrtc, "libnvrtc.alt.so.13", None),
            (Library::Nvrtc, "libnvrtc-builtins.so.13.0", None),
            (Library::Nvrtc, "libnvrtc.so", None),
            (Library::Nvrtc, "nvrtc64_130_0.dll", Some(13)),
            (Library::Nvrtc, "nvrtc64_120_0.alt.dll", None),
            (Library::CublasLt, "libcublasLt.so.13", Some(13)),
            (Library::CublasLt, "libcublas.so.13", None),
            (Library::CublasLt, "cublasLt64_12.dll", Some(12)),
            (Library::Cudnn, "libcudnn.so.9", Some(9)),
            (Library::Cudnn, "libcudnn_graph.so.9", None),
            (Library::Cudnn, "cudnn64_9.dll", Some(9)),
        ] {
            assert_eq!(library.major_of_file(name), want, "{library} {name}");
        }
    }
}
