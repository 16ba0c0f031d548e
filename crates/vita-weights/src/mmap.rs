//! Maps a file into memory; the only file of this crate with `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

/// The pages of a mapped file that lie in memory.
#[derive(Clone, Debug)]
pub struct Pages(Arc<Mmap>);

impl Pages {
    /// Lets the system take them back; they are read again from the file when they are touched. Without it they
    /// count as this process's memory long after their content was packed elsewhere.
    pub fn release(&self) {
        #[cfg(unix)]
        {
            // SAFETY: the map is read-only and file-backed, so nothing written is lost: dropped pages come back
            // with the file's content. A refusal leaves everything as it was.
            let _ = unsafe { self.0.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }
}

struct Owner(Arc<Mmap>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The file's content as shared bytes. Nothing is read now; pages come in when they are touched.
///
/// The map outlives a rename or removal of the file. A program that overwrites or shortens the file
/// in place changes the bytes under us, or ends the process with a bus error; every tool that
/// downloads or converts checkpoints writes a new file instead.
pub fn map(file: &File) -> io::Result<(Bytes, Pages)> {
    // SAFETY: the map is private and read-only, and owned by the returned `Bytes`. Content that
    // another process changes meanwhile is never trusted: all validation is done on a copy (the
    // parsed header), and element values may be any bit pattern.
    let map = unsafe { memmap2::MmapOptions::new().map_copy_read_only(file)? };
    let map = Arc::new(map);
    Ok((Bytes::from_owner(Owner(map.clone())), Pages(map)))
}
