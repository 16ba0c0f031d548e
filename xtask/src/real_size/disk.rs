//! The disk below a folder: what is free, how fast it reads, and forgetting what was read.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Instant;

use rustix::fs::{Advice, fadvise, statvfs};
use vita_base::Report;
use vita_weights::Checkpoint;

/// The smallest page of any system; larger ones are touched more than once.
const PAGE_BYTES: usize = 4096;

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

/// Bytes a second at which the pages of a mapped checkpoint that is not in memory come in when each is touched, one
/// after the other, as far as `bytes_max`. The file is not in memory afterwards.
///
/// That is the disk, and what the system does to hand out a page; on a virtual machine also what its host does.
///
/// # Errors
/// If the file cannot be read.
pub fn mapped_rate(path: &Path, bytes_max: u64) -> Result<f64, Report> {
    let refused = |error: io::Error| Report::new(format!("cannot read `{}`: {error}", path.display()));
    forget(path).map_err(refused)?;
    let checkpoint = Checkpoint::open(path)?;
    let mut tensors: Vec<&[u8]> = checkpoint.tensors().map(|(_, stored)| &*stored.bytes).collect();
    tensors.sort_by_key(|bytes| bytes.as_ptr());
    let start = Instant::now();
    let (mut bytes, mut sum) = (0, 0u64);
    for tensor in tensors {
        if bytes >= bytes_max {
            break;
        }
        bytes += tensor.len() as u64;
        sum += tensor.iter().step_by(PAGE_BYTES).map(|&byte| u64::from(byte)).sum::<u64>();
    }
    std::hint::black_box(sum);
    let rate = bytes as f64 / start.elapsed().as_secs_f64();
    drop(checkpoint);
    forget(path).map_err(refused)?;
    Ok(rate)
}
