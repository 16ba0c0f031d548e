//! SHA-256 of files, and whether a file that is there is the one of the hub.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use vita_base::Cancel;

use crate::Remote;
use crate::error::{Error, Result};

/// Bytes read at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// What is at a place where a file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Nothing.
    Missing,
    /// The file, of the size and, if it is known, the checksum that the hub states.
    Whole,
    /// Another file.
    Other {
        /// Its size.
        size_bytes: u64,
    },
}

/// Compares what is at `path` with a hub's file; reads it where its size is right. `progress` is told the bytes read.
///
/// # Errors
/// If it cannot be read, or `cancel` was asked.
pub fn existing(path: &Path, remote: &Remote, cancel: &Cancel, progress: &dyn Fn(u64)) -> Result<Existing> {
    let about = match path.metadata() {
        Ok(about) => about,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Existing::Missing),
        Err(cause) => return Err(Error::read(path, cause)),
    };
    let other = Existing::Other { size_bytes: about.len() };
    if !about.is_file() || about.len() != remote.size_bytes {
        return Ok(other);
    }
    let Some(stated) = &remote.sha256 else { return Ok(Existing::Whole) };
    let file = File::open(path).map_err(|cause| Error::read(path, cause))?;
    let found = sha256(&file, path, cancel, progress)?;
    Ok(if found == *stated { Existing::Whole } else { other })
}

/// SHA-256 of a file from where it stands to its end, in hexadecimal.
pub fn sha256(mut file: &File, path: &Path, cancel: &Cancel, progress: &dyn Fn(u64)) -> Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut done = 0;
    loop {
        if cancel.is_cancelled() {
            return Err(Error::Stopped);
        }
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hash.update(&buffer[..count]);
                done += count as u64;
                progress(done);
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(Error::read(path, cause)),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
