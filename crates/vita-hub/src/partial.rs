//! A file that is not whole yet: `NAME.partial`, and `NAME.partial.json` which says what of it is there.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use vita_base::Cancel;

use crate::Remote;
use crate::check::sha256;
use crate::error::{Error, Result};

/// After so many bytes the state is written; what comes after it is lost where the process is killed.
const SAVE_EVERY_BYTES: u64 = 16 << 20;

/// An open partial file, locked against other processes.
pub struct Partial {
    path: PathBuf,
    partial: PathBuf,
    state_path: PathBuf,
    file: File,
    progress: Mutex<Progress>,
}

struct Progress {
    state: State,
    unsaved_bytes: u64,
}

/// What is there. Bytes are written before they are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Of the whole file.
    size_bytes: u64,
    /// Of the whole file, which tells whether the hub still has the same.
    sha256: Option<String>,
    /// Where it comes from, for files without checksum.
    address: String,
    /// Of each part but the last one.
    part_bytes: u64,
    /// Bytes of each part that are there, from its start on.
    done: Vec<u64>,
}

impl Partial {
    /// Opens what an earlier attempt left, or begins.
    ///
    /// # Errors
    /// If the disk refuses, or another process is at it.
    pub fn open(path: &Path, remote: &Remote, part_bytes: u64) -> Result<Self> {
        let (partial, state_path) = (with_ending(path, ".partial"), with_ending(path, ".partial.json"));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|cause| Error::write(folder, cause))?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&partial);
        let file = file.map_err(|cause| Error::write(&partial, cause))?;
        // Some network disks know no locks; there two processes would end in a wrong checksum.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(Error::Busy(path.to_owned()));
        }
        let fresh = State::fresh(remote, part_bytes);
        let length = file.metadata().map_err(|cause| Error::read(&partial, cause))?.len();
        let earlier = fs::read(&state_path).ok().and_then(|bytes| serde_json::from_slice::<State>(&bytes).ok());
        let state = earlier.filter(|state| length == remote.size_bytes && state.continues(&fresh));
        if state.is_none() {
            let emptied = file.set_len(0).and_then(|()| file.set_len(remote.size_bytes));
            emptied.map_err(|cause| Error::write(&partial, cause))?;
        }
        let progress = Mutex::new(Progress { state: state.unwrap_or(fresh), unsaved_bytes: 0 });
        Ok(Self { path: path.to_owned(), partial, state_path, file, progress })
    }

    /// Parts of which something is missing.
    pub fn unfinished(&self) -> Vec<usize> {
        let Progress { state, .. } = &*self.progress();
        (0..state.done.len()).filter(|&index| state.rest(index).0 < state.rest(index).1).collect()
    }

    /// What of a part is missing, from and to before.
    pub fn rest(&self, index: usize) -> (u64, u64) {
        self.progress().state.rest(index)
    }

    /// Whether there is one part only.
    pub fn is_one_part(&self) -> bool {
        self.progress().state.done.len() == 1
    }

    /// Begins a part anew.
    pub fn restart(&self, index: usize) {
        self.progress().state.done[index] = 0;
    }

    /// Bytes that are there.
    pub fn done_bytes(&self) -> u64 {
        self.progress().state.done.iter().sum()
    }

    /// Writes the next bytes of a part; they fit into it. Returns the bytes that are there of the whole file.
    pub fn append(&self, index: usize, bytes: &[u8]) -> Result<u64> {
        let (start, end) = self.rest(index);
        write_at(&self.file, bytes, start).map_err(|cause| Error::write(&self.partial, cause))?;
        let mut progress = self.progress();
        progress.state.done[index] += bytes.len() as u64;
        progress.unsaved_bytes += bytes.len() as u64;
        if progress.unsaved_bytes >= SAVE_EVERY_BYTES || start + bytes.len() as u64 == end {
            self.save_state(&mut progress)?;
        }
        Ok(progress.state.done.iter().sum())
    }

    /// Writes down what is there.
    pub fn save(&self) -> Result<()> {
        self.save_state(&mut self.progress())
    }

    /// SHA-256 of what is there.
    pub fn sha256(&self, cancel: &Cancel, progress: &dyn Fn(u64)) -> Result<String> {
        let mut file = &self.file;
        file.rewind().map_err(|cause| Error::read(&self.partial, cause))?;
        sha256(file, &self.partial, cancel, progress)
    }

    /// Gives the file its name, replacing another.
    pub fn finish(self) -> Result<()> {
        let Self { path, partial, state_path, file, .. } = self;
        file.sync_all().map_err(|cause| Error::write(&partial, cause))?;
        // Closed before the rename: some systems do not rename an open file.
        drop(file);
        fs::rename(&partial, &path).map_err(|cause| Error::write(&path, cause))?;
        let _ = fs::remove_file(state_path);
        Ok(())
    }

    /// Removes what is there.
    pub fn discard(self) {
        let Self { partial, state_path, file, .. } = self;
        drop(file);
        let _ = fs::remove_file(partial);
        let _ = fs::remove_file(state_path);
    }

    fn save_state(&self, progress: &mut Progress) -> Result<()> {
        let temporary = with_ending(&self.state_path, ".new");
        let bytes = serde_json::to_vec(&progress.state).unwrap_or_default();
        let saved = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, &self.state_path));
        if let Err(cause) = saved {
            // The older state still holds: it says less than is there.
            let _ = fs::remove_file(&temporary);
            return Err(Error::write(&self.state_path, cause));
        }
        progress.unsaved_bytes = 0;
        Ok(())
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fresh(remote: &Remote, part_bytes: u64) -> Self {
        let Remote { size_bytes, sha256, address, .. } = remote;
        let part_bytes = part_bytes.max(1);
        let count = size_bytes.div_ceil(part_bytes) as usize;
        Self {
            size_bytes: *size_bytes,
            sha256: sha256.clone(),
            address: address.clone(),
            part_bytes,
            done: vec![0; count],
        }
    }

    /// Whether this is a state of the same file; its parts may be of another size.
    fn continues(&self, fresh: &Self) -> bool {
        let is_same = match &self.sha256 {
            Some(sha256) => fresh.sha256.as_ref() == Some(sha256),
            None => fresh.sha256.is_none() && self.address == fresh.address,
        };
        let part_bytes = self.part_bytes;
        is_same
            && self.size_bytes == fresh.size_bytes
            && part_bytes > 0
            && self.done.len() as u64 == self.size_bytes.div_ceil(part_bytes)
            && (0..self.done.len()).all(|index| {
                let (start, end) = self.part(index);
                self.done[index] <= end - start
            })
    }

    fn part(&self, index: usize) -> (u64, u64) {
        let start = index as u64 * self.part_bytes;
        (start, start.saturating_add(self.part_bytes).min(self.size_bytes))
    }

    fn rest(&self, index: usize) -> (u64, u64) {
        let (start, end) = self.part(index);
        (start + self.done[index], end)
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(size_bytes: u64, sha256: Option<&str>) -> Remote {
        Remote {
            repository: "a/b".into(),
            path: "x".into(),
            size_bytes,
            sha256: sha256.map(str::to_owned),
            address: "http://hub/a/b/resolve/1/x".into(),
        }
    }

    #[test]
    fn what_was_left_goes_on_unless_the_file_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let begin = |remote: &Remote| {
            let partial = Partial::open(&path, remote, 4).unwrap();
            (partial.done_bytes(), partial.unfinished())
        };
        let one = remote(10, Some("1"));
        let partial = Partial::open(&path, &one, 4).unwrap();
        assert_eq!(partial.unfinished(), [0, 1, 2]);
        assert_eq!(partial.append(1, b"efgh").unwrap(), 4);
        assert_eq!(partial.append(2, b"i").unwrap(), 5);
        partial.save().unwrap();
        assert_eq!(partial.rest(2), (9, 10));
        assert!(matches!(Partial::open(&path, &one, 4), Err(Error::Busy(_))), "locked");
        drop(partial);
        assert_eq!(begin(&one), (5, vec![0, 2]));
        assert_eq!(fs::read(folder.path().join("x.partial")).unwrap(), b"\0\0\0\0efghi\0");

        for other in [remote(10, Some("2")), remote(11, Some("1")), remote(10, None)] {
            fs::write(folder.path().join("x.partial"), b"\0\0\0\0efghi\0").unwrap();
            assert_eq!(begin(&other).0, 0, "{other:?}");
        }
        for state in ["", "{}", r#"{"size_bytes":10,"sha256":"1","address":"","part_bytes":4,"done":[5,0,0]}"#] {
            fs::write(folder.path().join("x.partial"), [1; 10]).unwrap();
            fs::write(folder.path().join("x.partial.json"), state).unwrap();
            assert_eq!(begin(&one).0, 0, "{state}");
        }
        // A state without its file.
        let partial = Partial::open(&path, &one, 4).unwrap();
        partial.append(0, b"abcd").unwrap();
        drop(partial);
        fs::write(folder.path().join("x.partial"), "short").unwrap();
        assert_eq!(begin(&one).0, 0);
    }

    #[test]
    fn an_empty_file_has_no_parts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/x");
        let partial = Partial::open(&path, &remote(0, None), 4).unwrap();
        assert!(partial.unfinished().is_empty());
        partial.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
