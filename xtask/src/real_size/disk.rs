//! The disk below a folder: what is free, how fast it reads, and forgetting what was read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Instant;

use rustix::fs::{Advice, fadvise, statvfs};

/// Bytes that may still be written below a folder.
///
/// # Errors
/// If the system does not tell.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let about = statvfs(folder)?;
    Ok(about.f_bavail * about.f_frsize)
}

/// Has the system drop a file's pages from memory, so that it is read from the disk again.
///
/// # Errors
/// If the file cannot be opened, or the system refuses.
pub fn forget(path: &Path) -> io::Result<()> {
    Ok(fadvise(File::open(path)?, 0, None, Advice::DontNeed)?)
}

/// Bytes a second that the disk gives when a file that is not in memory is read from start to end, or as far as
/// `bytes_max`. The file is not in memory afterwards.
///
/// # Errors
/// If the file cannot be read.
pub fn read_rate(path: &Path, bytes_max: u64) -> io::Result<f64> {
    forget(path)?;
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 8 << 20];
    let start = Instant::now();
    let mut bytes = 0;
    while bytes < bytes_max {
        match file.read(&mut buffer)? {
            0 => break,
            count => bytes += count as u64,
        }
    }
    let rate = bytes as f64 / start.elapsed().as_secs_f64();
    forget(path)?;
    Ok(rate)
}
