//! What can go wrong with a card, said so that a user knows the next step.

use std::path::PathBuf;

use vita_base::{Hint, bytes_text};

use crate::arch::Arch;
use crate::discover::{CudaVersion, Library};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Something wrong with a card, its driver or its libraries.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No driver was found.
    #[error("no NVIDIA driver: {reason}")]
    NoDriver {
        /// What the system said.
        reason: String,
    },
    /// A driver that is there and does not start.
    #[error("the NVIDIA driver does not start: {reason}")]
    DriverBroken {
        /// What it or the system said.
        reason: String,
    },
    /// A driver, and no card that it knows.
    #[error("the NVIDIA driver sees no card")]
    NoDevice,
    /// A number beyond the cards.
    #[error("there is no card {index}: the driver sees {count}")]
    NoSuchDevice {
        /// The number asked for, from 0.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A card older than the kernels.
    #[error("{name} has compute capability {arch}; {} and newer are supported", Arch::OLDEST)]
    DeviceTooOld {
        /// The card.
        name: String,
        /// What it has.
        arch: Arch,
    },
    /// A library that is needed was not found.
    #[error("{library} was not found")]
    LibraryMissing {
        /// Which.
        library: Library,
        /// What the driver supports, which decides the package.
        driver: Option<CudaVersion>,
    },
    /// A library was found and is not what it should be.
    #[error("`{}` cannot be used: {reason}", path.display())]
    LibraryBroken {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A library newer than the driver.
    #[error("{library} {found} is newer than the driver, which supports CUDA {driver}")]
    DriverTooOld {
        /// Which library.
        library: Library,
        /// Its version.
        found: CudaVersion,
        /// What the driver supports.
        driver: CudaVersion,
    },
    /// A library older than what is used of it.
    #[error("{library} {found} is older than {needed}, the first that can be used")]
    LibraryTooOld {
        /// Which.
        library: Library,
        /// Its version.
        found: String,
        /// The first that will do.
        needed: String,
        /// What the driver supports, which decides the package.
        driver: Option<CudaVersion>,
    },
    /// A kernel did not compile.
    #[error("kernel `{kernel}` did not compile for {target}:\n{log}")]
    Compile {
        /// The kernel's name.
        kernel: String,
        /// Such as `sm_90a`.
        target: String,
        /// What the compiler said.
        log: String,
    },
    /// The driver refused a call.
    #[error("{call}: {message} ({name})")]
    Driver {
        /// The function.
        call: &'static str,
        /// `CUDA_ERROR_..`.
        name: String,
        /// In words.
        message: String,
    },
    /// A library refused a call.
    #[error("{call} returned status {status}")]
    Library {
        /// The function.
        call: &'static str,
        /// Its number.
        status: i32,
    },
    /// A library refused a call, and said why.
    #[error("{library} refused {call}: {name} ({status}){}{message}", if message.is_empty() { "" } else { ": " })]
    LibraryRefused {
        /// Which library.
        library: Library,
        /// The function.
        call: &'static str,
        /// Its number.
        status: i32,
        /// The number's name.
        name: String,
        /// In words; may be empty.
        message: String,
    },
    /// Not enough memory on the card, or under the budget.
    #[error(
        "no room on the card for {}: {} in use, {} kept for reuse, budget {}, {} of {} free on the card{}",
        bytes_text(*asked_bytes), bytes_text(*live_bytes), bytes_text(*idle_bytes),
        budget_bytes.map_or("none".into(), bytes_text), bytes_text(*free_bytes), bytes_text(*total_bytes),
        of_others(self).map_or(String::new(), |bytes| format!(", {} taken by others", bytes_text(bytes)))
    )]
    OutOfMemory {
        /// What was asked for.
        asked_bytes: u64,
        /// In use by this process.
        live_bytes: u64,
        /// Held by this process for reuse.
        idle_bytes: u64,
        /// The most this process may take, if bounded.
        budget_bytes: Option<u64>,
        /// Free on the card, other processes counted.
        free_bytes: u64,
        /// All of the card's memory.
        total_bytes: u64,
    },
    /// Something this card or machine cannot do.
    #[error("{what} is not possible on {on}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// The card.
        on: String,
    },
}

impl Error {
    /// Whether less work at once, or fewer weights on the card, may help.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::OutOfMemory { .. })
    }

    /// Whether a library, or a card, has no way to do this: nothing went wrong, and another size may be possible.
    pub fn is_refusal(&self) -> bool {
        match self {
            // `CUDNN_STATUS_NOT_SUPPORTED` and its kinds.
            Self::LibraryRefused { library: Library::Cudnn, status, .. } => (3000..4000).contains(status),
            Self::Unsupported { .. } => true,
            _ => false,
        }
    }

    /// Whether the card, rather than the job, is lost: its context answers nothing any more.
    pub fn is_device_lost(&self) -> bool {
        let Self::Driver { name, .. } = self else { return false };
        [
            "CUDA_ERROR_ILLEGAL_ADDRESS",
            "CUDA_ERROR_LAUNCH_FAILED",
            "CUDA_ERROR_LAUNCH_TIMEOUT",
            "CUDA_ERROR_ILLEGAL_INSTRUCTION",
            "CUDA_ERROR_MISALIGNED_ADDRESS",
            "CUDA_ERROR_INVALID_ADDRESS_SPACE",
            "CUDA_ERROR_INVALID_PC",
            "CUDA_ERROR_HARDWARE_STACK_ERROR",
            "CUDA_ERROR_ECC_UNCORRECTABLE",
            "CUDA_ERROR_NVLINK_UNCORRECTABLE",
            "CUDA_ERROR_DEVICE_UNAVAILABLE",
            "CUDA_ERROR_CONTEXT_IS_DESTROYED",
            "CUDA_ERROR_INVALID_CONTEXT",
            "CUDA_ERROR_NO_DEVICE",
            "CUDA_ERROR_EXTERNAL_DEVICE",
            "CUDA_ERROR_CONTAINED",
            "CUDA_ERROR_ASSERT",
            "CUDA_ERROR_UNKNOWN",
        ]
        .contains(&name.as_str())
    }
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoDriver { .. } => "install NVIDIA's driver; without one everything runs on the processor".into(),
            Self::DriverBroken { .. } => {
                "look at `nvidia-smi`; a driver that was updated works when the machine was started again".into()
            }
            Self::NoDevice => {
                "check `nvidia-smi` and CUDA_VISIBLE_DEVICES; without a card everything runs on the processor".into()
            }
            Self::NoSuchDevice { count, .. } => {
                format!("choose from `cuda:0` to `cuda:{}`", count.saturating_sub(1))
            }
            Self::DeviceTooOld { .. } => "use the processor".into(),
            Self::LibraryMissing { library, driver } => format!("run `pip install {}`", library.package(*driver)),
            Self::LibraryTooOld { library, driver, .. } => {
                format!("run `pip install --upgrade {}`", library.package(*driver))
            }
            Self::LibraryBroken { .. } => "remove it or install it again".into(),
            Self::DriverTooOld { library, driver, .. } => {
                format!("update the driver, or run `pip install {}`", library.package(Some(*driver)))
            }
            Self::OutOfMemory { .. } if of_others(self).is_some() => {
                "close what else is on the card, which `nvidia-smi` lists, or use fewer frames, a smaller size, a \
                 quantised model or more --blocks-to-swap"
                    .into()
            }
            Self::OutOfMemory { .. } => {
                "use fewer frames, a smaller size, a quantised model or more --blocks-to-swap".into()
            }
            Self::Driver { .. } if self.is_device_lost() => "look at `nvidia-smi` and `dmesg`, then start again".into(),
            Self::Compile { .. }
            | Self::Driver { .. }
            | Self::Library { .. }
            | Self::LibraryRefused { .. }
            | Self::Unsupported { .. } => return None,
        })
    }
}

/// What a driver itself keeps on a card for each process, at most.
const OVERHEAD_BYTES: u64 = 1 << 30;

/// What other processes have of a card that is full, if it is more than the driver's own.
fn of_others(error: &Error) -> Option<u64> {
    let Error::OutOfMemory { live_bytes, idle_bytes, free_bytes, total_bytes, .. } = error else { return None };
    let known_bytes = live_bytes + idle_bytes + free_bytes;
    total_bytes.checked_sub(known_bytes).filter(|others| *others > OVERHEAD_BYTES)
}

#[cfg(test)]
mod tests {
    use vita_base::Report;

    use super::*;

    #[test]
    fn a_full_card_says_who_has_it() {
        const GIB: u64 = 1 << 30;
        for (live_bytes, free_bytes, who, what) in [
            (4 * GIB, GIB, ", 1.00 GiB of 24.0 GiB free on the card, 19.0 GiB taken by others", "close what else"),
            (22 * GIB, GIB, ", 1.00 GiB of 24.0 GiB free on the card", "use fewer frames"),
        ] {
            let total_bytes = 24 * GIB;
            let error = Error::OutOfMemory {
                asked_bytes: 2 * GIB,
                live_bytes,
                idle_bytes: 0,
                budget_bytes: None,
                free_bytes,
                total_bytes,
            };
            assert!(error.to_string().ends_with(who), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.starts_with(what)), "{:?}", error.hint());
        }
    }

    #[test]
    fn messages_say_what_to_do() {
        let thirteen = CudaVersion { major: 13, minor: 0 };
        let twelve = CudaVersion { major: 12, minor: 4 };
        for (error, want) in [
            (
                Error::LibraryMissing { library: Library::Nvrtc, driver: Some(thirteen) },
                "error: NVRTC was not found\n\nhint: run `pip install nvidia-cuda-nvrtc`",
            ),
            (
                Error::DriverTooOld { library: Library::Nvrtc, found: thirteen, driver: twelve },
                "error: NVRTC 13.0 is newer than the driver, which supports CUDA 12.4\n\n\
                 hint: update the driver, or run `pip install nvidia-cuda-nvrtc-cu12`",
            ),
            (
                Error::LibraryTooOld {
                    library: Library::Cudnn,
                    found: "9.5.1".into(),
                    needed: "9.13.1".into(),
                    driver: Some(twelve),
                },
                "error: cuDNN 9.5.1 is older than 9.13.1, the first that can be used\n\n\
                 hint: run `pip install --upgrade nvidia-cudnn-cu12`",
            ),
            (
                Error::LibraryRefused {
                    library: Library::Cudnn,
                    call: "cudnnBackendFinalize",
                    status: 3000,
                    name: "CUDNN_STATUS_NOT_SUPPORTED".into(),
                    message: "no engine".into(),
                },
                "error: cuDNN refused cudnnBackendFinalize: CUDNN_STATUS_NOT_SUPPORTED (3000): no engine",
            ),
            (
                Error::DriverBroken { reason: "system has unsupported display driver".into() },
                "error: the NVIDIA driver does not start: system has unsupported display driver\n\n\
                 hint: look at `nvidia-smi`; a driver that was updated works when the machine was started again",
            ),
            (
                Error::NoSuchDevice { index: 3, count: 2 },
                "error: there is no card 3: the driver sees 2\n\nhint: choose from `cuda:0` to `cuda:1`",
            ),
        ] {
            assert_eq!(Report::from(error).to_string(), want);
        }
    }
}
