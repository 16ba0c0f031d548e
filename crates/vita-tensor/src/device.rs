//! Memory on a device: a tensor holds it, only that device's ops know what to do with it.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use vita_base::Hint;

/// Bytes on a device, freed when dropped.
pub trait DeviceMemory: Any + Send + Sync {
    /// Some of the bytes, once all work that was given before is done.
    ///
    /// # Errors
    /// If the device does not answer, or work before failed.
    fn read(&self, bytes: Range<usize>) -> Result<Vec<u8>, Failure>;
}

/// Why a tensor could not be made: no room on the device, or a device that does not answer.
///
/// Ops give no errors; what they make of a tensor that failed has failed for the same reason, as a NaN makes NaNs.
/// [`crate::Tensor::to_host`] and [`crate::Tensor::failure`] bring it to light.
#[derive(Clone)]
pub struct Failure {
    reason: Arc<dyn Hint + Send + Sync>,
    is_shortage: bool,
}

impl Failure {
    /// For a reason.
    pub fn new(reason: impl Hint + Send + Sync + 'static) -> Self {
        Self { reason: Arc::new(reason), is_shortage: false }
    }

    /// For want of memory: less work at once, or fewer weights there, may help.
    pub fn shortage(reason: impl Hint + Send + Sync + 'static) -> Self {
        Self { is_shortage: true, ..Self::new(reason) }
    }

    /// Whether less work at once, or fewer weights there, may help.
    pub fn is_shortage(&self) -> bool {
        self.is_shortage
    }
}

/// Whether it is the same one.
impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.reason, &other.reason)
    }
}

impl Eq for Failure {}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.reason)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.reason.source()
    }
}

impl Hint for Failure {
    fn hint(&self) -> Option<String> {
        self.reason.hint()
    }
}
