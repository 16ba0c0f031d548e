//! Sizes and times of files as clients read them.

use std::fs::Metadata;
use std::time::SystemTime;

/// Size and times of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub size_bytes: u64,
    pub modified: SystemTime,
    pub created: SystemTime,
}

impl Stamp {
    pub fn of(data: &Metadata) -> Self {
        let modified = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        // Not every file system knows when a file was made.
        Self { size_bytes: data.len(), modified, created: data.created().unwrap_or(modified) }
    }
}

/// Milliseconds since 1970, as dates of JavaScript.
pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970 with their fraction, as times of Python.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
