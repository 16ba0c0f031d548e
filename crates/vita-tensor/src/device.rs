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
pub struct Failure(Arc<dyn Hint + Send + Sync>);

impl Failure {
    /// For a reason.
    pub fn new(reason: impl Hint + Send + Sync + 'static) -> Self {
        Self(Arc::new(reason))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl Hint for Failure {
    fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}
