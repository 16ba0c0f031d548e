//! The disk below a folder: what is free, how fast it reads, and forgetting what was read.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise, statvfs};
use vita_base::Report;
use vita_weights::Checkpoint;

/// The smallest page of any system; larger ones are touched more than once.
const PAGE_BYTES: usize = 4096;

/// What one thread touches before the next one's piece begins.
const PIECE_BYTES: usize = 2 << 20;

/// How long free memory is left alone: by then a virtual machine's host has taken it back, and gives it again page by
/// page, which can take longer than to read it. What is compared must find memory in the same state.
const SETTLING: Duration = Duration::from_secs(20);

/// Bytes that may still be written below a folder.
///
/// # Errors
/// If the system does not tell.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let about = statvfs(folder)?;
    Ok(about.f_bavail * about.f_frsize)
}

/// Has the system drop the files' pages from memory, so that they are read from the disk again, and waits until the
/// machine has settled.
///
/// # Errors
/// If a file cannot be opened, or the system refuses.
pub fn forget(paths: &[PathBuf]) -> Result<(), Report> {
    for path in paths {
        let forgotten = File::open(path).and_then(|file| Ok(fadvise(file, 0, None, Advice::DontNeed)?));
        forgotten.map_err(|error| Report::new(format!("cannot read `{}`: {error}", path.display())))?;
    }
    thread::sleep(SETTLING);
    Ok(())
}

/// Bytes a second at which the pages of a mapped checkpoint that is not in memory come in when each is touched, as far as
/// `bytes_max`, by a thread for each processor.
///
/// That is the disk, and what the system does to hand out a page; on a virtual machine also what its host does.
///
/// # Errors
/// If the file cannot be read.
pub fn mapped_rate(path: &Path, bytes_max: u64) -> Result<f64, Report> {
    let checkpoint = Checkpoint::open(path)?;
    let mut tensors: Vec<&[u8]> = checkpoint.tensors().map(|(_, stored)| &*stored.bytes).collect();
    tensors.sort_by_key(|bytes| bytes.as_ptr());
    let pieces = tensors.into_iter().flat_map(|tensor| tensor.chunks(PIECE_BYTES));
    let pieces: &Vec<&[u8]> = &pieces.take((bytes_max / PIECE_BYTES as u64) as usize).collect();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let touch = |piece: &&[u8]| piece.iter().step_by(PAGE_BYTES).map(|&byte| u64::from(byte)).sum::<u64>();
    let start = Instant::now();
    thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || {
                std::hint::black_box(pieces.iter().skip(first).step_by(threads).map(touch).sum::<u64>())
            });
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    Ok(pieces.iter().map(|piece| piece.len() as f64).sum::<f64>() / seconds)
}
