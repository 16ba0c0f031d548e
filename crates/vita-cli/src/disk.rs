//! What the disk says of itself: how much is free, and how much a file takes.
//!
//! Unix alone is asked; elsewhere it is not known, which switches the checks off that stand before long writes.

use std::path::Path;

/// Bytes that may still be written below a folder, which need not exist yet.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let folder = std::path::absolute(folder).ok()?;
    folder.ancestors().find(|folder| folder.exists()).and_then(free_at)
}

#[cfg(unix)]
fn free_at(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
fn free_at(_folder: &Path) -> Option<u64> {
    None
}

/// Bytes that a file takes, which are fewer than its size while it has holes; 0 for none.
pub fn taken_bytes(file: &Path) -> u64 {
    let Ok(about) = file.metadata() else { return 0 };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        about.blocks().saturating_mul(512).min(about.len())
    }
    #[cfg(not(unix))]
    {
        about.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn this_disk_says_something() {
        let folder = tempfile::tempdir().unwrap();
        let free = free_bytes(folder.path()).unwrap();
        assert!(free > 0);
        assert!(free_bytes(&folder.path().join("not/there/yet")).is_some());
        let file = folder.path().join("x");
        assert_eq!(taken_bytes(&file), 0);
        std::fs::File::create(&file).unwrap().set_len(1 << 30).unwrap();
        assert!(taken_bytes(&file) < 1 << 20, "a hole takes nothing");
    }
}
