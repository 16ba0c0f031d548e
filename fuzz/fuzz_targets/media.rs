//! Metadata and pictures of any bytes are read or refused.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

/// A file of this process, in memory where the system has such a folder.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("vitascope-fuzz-media-{}", std::process::id()))
});

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).expect("a file of the fuzzer's own");
    let _ = vita_media::read_metadata(&*FILE);
    if let Ok(frames) = vita_media::read_image(&*FILE) {
        assert_eq!(frames.as_bytes().len(), frames.width() as usize * frames.height() as usize * 3);
    }
});
