//! Files that appear whole or not at all: written under a temporary name beside the final one, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// How many temporary names are tried when earlier ones are taken.
const NAMES_MAX: u32 = 1000;

/// A file under its temporary name; dropped without [`PartialFile::commit`] it is removed.
#[derive(Debug)]
pub struct PartialFile {
    path: PathBuf,
    temporary: PathBuf,
    /// `None` once the file has been renamed.
    file: Option<File>,
}

impl PartialFile {
    /// Creates the temporary file in the folder of `path`, which must exist.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn create(path: &Path) -> Result<Self> {
        Self::create_as(path, false)
    }

    /// The same, readable by nobody but the owner (mode 0600 where there are modes).
    ///
    /// # Errors
    /// As [`PartialFile::create`].
    pub fn create_private(path: &Path) -> Result<Self> {
        Self::create_as(path, true)
    }

    fn create_as(path: &Path, is_private: bool) -> Result<Self> {
        let name = path.file_name().ok_or_else(|| Error::io("create", path, io::ErrorKind::InvalidFilename.into()))?;
        // A long final name leaves no room for more; the temporary one need not resemble it.
        let name: String = name.to_string_lossy().chars().take(40).collect();
        let process = std::process::id();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        if is_private {
            make_private(&mut options);
        }
        for attempt in 0..NAMES_MAX {
            let temporary = path.with_file_name(format!(".{name}.{process}-{attempt}.partial"));
            match options.open(&temporary) {
                Ok(file) => return Ok(Self { path: path.to_owned(), temporary, file: Some(file) }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", path, error)),
            }
        }
        Err(Error::io("create", path, io::ErrorKind::AlreadyExists.into()))
    }

    /// Where the bytes lie until they are committed.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Gives the file another final name, perhaps in another folder, which must exist.
    pub fn move_to(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Syncs the file and gives it its name, replacing an older file.
    ///
    /// # Errors
    /// If the disk refuses; then nothing is left of it and the older file is as it was.
    pub fn commit(self) -> Result<PathBuf> {
        self.sync()?;
        // Closed before the rename: some systems do not rename an open file.
        let mut closed = self;
        drop(closed.file.take());
        if let Err(source) = rename_or_copy(&closed.temporary, &closed.path) {
            let _ = fs::remove_file(&closed.temporary);
            return Err(Error::io("create", &closed.path, source));
        }
        sync_folder(&closed.path);
        Ok(closed.path.clone())
    }

    /// As [`PartialFile::commit`], but never replaces a file: `Ok(Err(self))` says that the name is taken, so that
    /// another can be tried.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn commit_new(self) -> Result<std::result::Result<PathBuf, Self>> {
        // A hard link fails where the name is taken, a rename does not.
        self.sync()?;
        match fs::hard_link(&self.temporary, &self.path) {
            Ok(()) => {
                sync_folder(&self.path);
                Ok(Ok(self.path.clone()))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Err(self)),
            // Some file systems have no links: there the name is looked up first, which is nearly as good.
            Err(_) if self.path.exists() => Ok(Err(self)),
            Err(_) => self.commit().map(Ok),
        }
    }

    fn sync(&self) -> Result<()> {
        let file = self.file.as_ref().expect("the file is open until it is committed");
        file.sync_all().map_err(|source| Error::io("write", &self.path, source))
    }
}

impl Write for PartialFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.as_mut().expect("the file is open until it is committed").write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().expect("the file is open until it is committed").flush()
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Renames, and where the folders lie on different disks copies to a temporary name beside the final one first.
fn rename_or_copy(temporary: &Path, path: &Path) -> io::Result<()> {
    match fs::rename(temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let near = path.with_file_name(format!(".upload.{}.partial", std::process::id()));
            let copied = fs::copy(temporary, &near).and_then(|_| File::open(&near)?.sync_all());
            if let Err(error) = copied.and_then(|()| fs::rename(&near, path)) {
                let _ = fs::remove_file(&near);
                return Err(error);
            }
            fs::remove_file(temporary)
        }
        result => result,
    }
}

/// Writes a whole file at once, making the folders above it.
///
/// # Errors
/// If the disk refuses; then an older file is as it was.
pub fn replace_file(path: &Path, data: &[u8]) -> Result<()> {
    replace(path, data, PartialFile::create)
}

/// As [`replace_file`], readable by nobody but the owner.
///
/// # Errors
/// As [`replace_file`].
pub fn replace_private_file(path: &Path, data: &[u8]) -> Result<()> {
    replace(path, data, PartialFile::create_private)
}

fn replace(path: &Path, data: &[u8], create: impl FnOnce(&Path) -> Result<PartialFile>) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| Error::io("create", folder, source))?;
    }
    let mut file = create(path)?;
    file.write_all(data).map_err(|source| Error::io("write", path, source))?;
    file.commit().map(drop)
}

#[cfg(unix)]
fn make_private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

#[cfg(not(unix))]
fn make_private(_: &mut OpenOptions) {}

/// Makes the new name survive a power cut where folders can be synced.
fn sync_folder(path: &Path) {
    if let Some(Ok(folder)) = path.parent().map(File::open) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_appear_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.json");
        replace_file(&path, b"first").unwrap();
        {
            let mut dropped = PartialFile::create(&path).unwrap();
            dropped.write_all(b"half").unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace_file(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_new_file_never_replaces_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        replace_file(&path, b"first").unwrap();
        let mut file = PartialFile::create(&path).unwrap();
        file.write_all(b"second").unwrap();
        let mut file = file.commit_new().unwrap().unwrap_err();
        file.move_to(folder.path().join("a (1).png"));
        assert_eq!(file.commit_new().unwrap().unwrap(), folder.path().join("a (1).png"));
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn private_files_are_the_owners() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        replace_private_file(&path, b"secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
