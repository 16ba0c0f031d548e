//! Maps a file into memory; the only file of this crate with `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use bytes::Bytes;

/// The file's content as shared bytes. Nothing is read now; pages come in when they are touched.
///
/// The map outlives a rename or removal of the file. A program that overwrites or shortens the file
/// in place changes the bytes under us, or ends the process with a bus error; every tool that
/// downloads or converts checkpoints writes a new file instead.
pub fn map(file: &File) -> io::Result<Bytes> {
    // SAFETY: the map is private and read-only, and owned by the returned `Bytes`. Content that
    // another process changes meanwhile is never trusted: all validation is done on a copy (the
    // parsed header), and element values may be any bit pattern.
    let map = unsafe { memmap2::MmapOptions::new().map_copy_read_only(file)? };
    Ok(Bytes::from_owner(map))
}
