//! Compiled kernels on disk: one file each, named by everything that went into it.
//!
//! A file appears whole (it is written under another name and renamed) and says its length and hash, so a
//! crash, a full disk, a broken disk or another process at the same work cost at most a compilation.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::nvrtc::options;
use super::{Compiler, Source, Target};
use crate::discover::CudaVersion;
use crate::error::Result;

/// First bytes of a file; the number is the layout's.
const MAGIC: &[u8; 8] = b"VITAGPU1";
const HASH_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + 8 + HASH_BYTES;

/// A part that is older than this was left by a process that is gone.
const PART_AGE_MAX: Duration = Duration::from_secs(3600);

/// A folder of compiled kernels.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// What a compiled kernel is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey(String);

impl CacheKey {
    /// The key of a source compiled for a target by a compiler of this version, for this driver.
    pub fn new(source: &Source, target: Target, compiler: CudaVersion, driver: Option<CudaVersion>) -> Self {
        let mut hash = Sha256::new();
        let driver = driver.map_or_else(|| "none".to_owned(), |driver| driver.to_string());
        let parts = [source.full_text(), options(target).join(" "), compiler.to_string(), driver];
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let hash: String = hash.finalize()[..20].iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{}-{}-{hash}", source.kernel, target.name()))
    }
}

impl Cache {
    /// A cache in a folder, which is made when something is first kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The compiled kernel: from the folder, or compiled now and kept. A folder that cannot be written is
    /// no error; it is said once a kernel.
    ///
    /// # Errors
    /// If it must be compiled and does not compile.
    pub fn compiled(
        &self,
        compiler: &Compiler,
        source: &Source,
        target: Target,
        driver: Option<CudaVersion>,
    ) -> Result<Vec<u8>> {
        let key = CacheKey::new(source, target, compiler.version(), driver);
        if let Some(code) = self.read(&key) {
            return Ok(code);
        }
        let code = compiler.compile(source, target)?;
        tracing::debug!("compiled {} for {}: {} bytes", source.title(), target.name(), code.len());
        if let Err(error) = self.write(&key, &code) {
            tracing::warn!("cannot keep compiled kernels in {}: {error}", self.folder.display());
        }
        Ok(code)
    }

    /// What is kept under a key, if it is whole.
    pub fn read(&self, key: &CacheKey) -> Option<Vec<u8>> {
        let path = self.path(key);
        let bytes = fs::read(&path).ok()?;
        let code = payload(&bytes);
        if code.is_none() {
            tracing::warn!("{} is damaged and will be made again", path.display());
        }
        code.map(<[u8]>::to_vec)
    }

    /// Keeps a compiled kernel.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write(&self, key: &CacheKey, code: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let part = self.new_part(key)?;
        let written = write_whole(&part, code).and_then(|()| fs::rename(&part, self.path(key)));
        if written.is_err() {
            // The first error is the one that matters.
            let _ = fs::remove_file(&part);
        } else {
            self.remove_old_parts(key);
        }
        written
    }

    fn path(&self, key: &CacheKey) -> PathBuf {
        self.folder.join(format!("{}.bin", key.0))
    }

    /// A file that nobody else writes.
    fn new_part(&self, key: &CacheKey) -> io::Result<PathBuf> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = self.folder.join(format!("{}.{}.{number}.part", key.0, std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(_) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes parts that a crash left, by the disk's own clock.
    fn remove_old_parts(&self, written: &CacheKey) {
        let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let Some(now) = modified(&self.path(written)) else { return };
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_part = path.extension().is_some_and(|extension| extension == "part");
            let age = modified(&path).and_then(|then| now.duration_since(then).ok());
            if is_part && age.is_some_and(|age| age > PART_AGE_MAX) {
                // Another process may have been quicker.
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn write_whole(path: &Path, code: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(MAGIC)?;
    file.write_all(&(code.len() as u64).to_le_bytes())?;
    file.write_all(&Sha256::digest(code))?;
    file.write_all(code)?;
    file.sync_all()
}

/// The code in a file's bytes, if the header fits it.
fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let (header, code) = bytes.split_at_checked(HEADER_BYTES)?;
    let (magic, rest) = header.split_at(MAGIC.len());
    let (len, hash) = rest.split_at(8);
    let len = u64::from_le_bytes(len.try_into().ok()?);
    (magic == MAGIC && len == code.len() as u64 && hash == Sha256::digest(code).as_slice()).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;

    fn key(source: &Source) -> CacheKey {
        CacheKey::new(source, Target::Machine(Arch::SM_80), CudaVersion { major: 13, minor: 0 }, None)
    }

    #[test]
    fn everything_that_matters_is_in_the_key() {
        let source = Source::new("k", "text");
        let thirteen = CudaVersion { major: 13, minor: 0 };
        let newer = CudaVersion { major: 13, minor: 1 };
        let all = [
            key(&source),
            key(&Source::new("k", "text ")),
            key(&source.clone().define("A", 1)),
            key(&source.clone().define("A", 2)),
            CacheKey::new(&source, Target::Machine(Arch::SM_90), thirteen, None),
            CacheKey::new(&source, Target::Virtual(Arch::SM_80), thirteen, None),
            CacheKey::new(&source, Target::Machine(Arch::SM_80), newer, None),
            CacheKey::new(&source, Target::Machine(Arch::SM_80), thirteen, Some(newer)),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other != one), "{one:?}");
        }
        assert_eq!(key(&source), key(&source.clone()));
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("kernels"));
        let key = key(&Source::new("k", "text"));
        assert_eq!(cache.read(&key), None);
        let code: Vec<u8> = (0..1000u32).map(|i| i as u8).collect();
        cache.write(&key, &code).unwrap();
        assert_eq!(cache.read(&key).as_deref(), Some(&code[..]));

        let path = cache.path(&key);
        let whole = fs::read(&path).unwrap();
        for len in [0, 7, HEADER_BYTES - 1, HEADER_BYTES, whole.len() - 1] {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(cache.read(&key), None, "cut to {len}");
        }
        for at in [0, 8, 20, HEADER_BYTES, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert_eq!(cache.read(&key), None, "byte {at} changed");
        }
        cache.write(&key, &code).unwrap();
        assert_eq!(cache.read(&key).as_deref(), Some(&code[..]));
    }

    #[test]
    fn many_at_once_and_what_a_crash_left() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let key = key(&Source::new("k", "text"));
        let old = folder.path().join("other.1.0.part");
        File::create(&old).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let young = folder.path().join("other.1.1.part");
        fs::write(&young, "").unwrap();
        let code = vec![7; 100_000];
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        cache.write(&key, &code).unwrap();
                        assert_eq!(cache.read(&key).as_deref(), Some(&code[..]));
                    }
                });
            }
        });
        assert!(!old.exists() && young.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the kernel and the young part");
    }
}
