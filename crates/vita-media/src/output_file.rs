//! A file that appears whole or not at all: written under a temporary name in its own folder,
//! synced, then renamed. Dropped before that, it is gone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// How many temporary names are tried when earlier ones are taken.
const NAMES_MAX: u32 = 1000;
/// How much is moved at a time when room is made inside the file.
const BLOCK_BYTES: usize = 1 << 20;

/// An output under its temporary name.
#[derive(Debug)]
pub(crate) struct OutputFile {
    path: PathBuf,
    temporary: PathBuf,
    /// `None` once the file has been renamed or is being removed.
    writer: Option<BufWriter<File>>,
    bytes: u64,
}

impl OutputFile {
    /// Creates the temporary file at once, so that an unwritable folder is found before the work.
    pub fn create(path: &Path) -> Result<Self> {
        let name = match path.file_name() {
            Some(name) if !path.is_dir() => name.to_string_lossy().into_owned(),
            _ => return Err(Error::io("create", path, io::ErrorKind::IsADirectory.into())),
        };
        let process = std::process::id();
        for attempt in 0..NAMES_MAX {
            let temporary = path.with_file_name(format!(".{name}.{process}-{attempt}.partial"));
            match OpenOptions::new().read(true).write(true).create_new(true).open(&temporary) {
                Ok(file) => {
                    let writer = Some(BufWriter::with_capacity(1 << 18, file));
                    return Ok(Self { path: path.to_owned(), temporary, writer, bytes: 0 });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", path, error)),
            }
        }
        Err(Error::io("create", path, io::ErrorKind::AlreadyExists.into()))
    }

    /// The name that the file will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        Self::open(&mut self.writer).write_all(data).map_err(|source| Error::io("write", &self.path, source))?;
        self.bytes += data.len() as u64;
        Ok(())
    }

    /// Replaces bytes that were already written.
    pub fn overwrite(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let end = self.bytes;
        let writer = Self::open(&mut self.writer);
        let mut replace = || {
            writer.seek(SeekFrom::Start(offset))?;
            writer.write_all(data)?;
            writer.seek(SeekFrom::Start(end))
        };
        replace().map_err(|source| Error::io("write", &self.path, source))?;
        Ok(())
    }

    /// Puts `data` at `offset` and moves everything behind it towards the end.
    pub fn insert(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let end = self.bytes;
        let writer = Self::open(&mut self.writer);
        writer
            .flush()
            .and_then(|()| shift(writer.get_mut(), offset, end, data.len() as u64))
            .map_err(|source| Error::io("write", &self.path, source))?;
        self.bytes += data.len() as u64;
        self.overwrite(offset, data)
    }

    /// Syncs the file to disk and gives it its name, replacing an older file. Returns its size.
    pub fn commit(mut self) -> Result<u64> {
        let writer = Self::open(&mut self.writer);
        writer
            .flush()
            .and_then(|()| writer.get_ref().sync_all())
            .map_err(|source| Error::io("write", &self.path, source))?;
        // Closed before the rename: some systems do not rename an open file.
        let (file, _) = self.writer.take().expect("the file is open until here").into_parts();
        drop(file);
        if let Err(source) = fs::rename(&self.temporary, &self.path) {
            let _ = fs::remove_file(&self.temporary);
            return Err(Error::io("create", &self.path, source));
        }
        sync_folder(&self.path);
        Ok(self.bytes)
    }

    fn open(writer: &mut Option<BufWriter<File>>) -> &mut BufWriter<File> {
        writer.as_mut().expect("the file is open until it is committed or dropped")
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            // What is still buffered need not reach the disk.
            drop(writer.into_parts());
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Moves the bytes `start..end` of a file by `distance` towards its end, last block first.
fn shift(file: &mut File, start: u64, end: u64, distance: u64) -> io::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut block_end = end;
    while block_end > start {
        let length = (block_end - start).min(BLOCK_BYTES as u64);
        let block = &mut block[..length as usize];
        block_end -= length;
        file.seek(SeekFrom::Start(block_end))?;
        file.read_exact(block)?;
        file.seek(SeekFrom::Start(block_end + distance))?;
        file.write_all(block)?;
    }
    Ok(())
}

/// Makes the new name survive a power cut where folders can be synced; where not, nothing is lost
/// but that.
fn sync_folder(path: &Path) {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserting_moves_everything_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = OutputFile::create(&path).unwrap();
        let body: Vec<u8> = (0..BLOCK_BYTES * 2 + 77).map(|index| (index * 31 / 7) as u8).collect();
        file.write(b"head").unwrap();
        file.write(&body).unwrap();
        file.insert(4, b"inserted").unwrap();
        file.write(b"tail").unwrap();
        file.overwrite(0, b"HEAD").unwrap();
        let bytes = file.commit().unwrap();
        let expected = [b"HEADinserted".as_slice(), &body, b"tail"].concat();
        assert!(fs::read(&path).unwrap() == expected);
        assert_eq!(bytes, expected.len() as u64);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_writers_of_one_name_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut first = OutputFile::create(&path).unwrap();
        let mut second = OutputFile::create(&path).unwrap();
        first.write(b"first").unwrap();
        second.write(b"second").unwrap();
        second.commit().unwrap();
        drop(first);
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
