//! The same for archives that torch saves: as they are, and around any pickle.
#![no_main]

mod checkpoint;

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use zip::write::SimpleFileOptions;

fuzz_target!(|bytes: &[u8]| {
    match bytes.starts_with(b"PK") {
        true => checkpoint::use_all(bytes.to_vec()),
        // Mutations of an archive would mostly break its checksums.
        false => checkpoint::use_all(archive(bytes).expect("an archive in memory")),
    }
});

/// An archive with this pickle and two storages.
fn archive(pickle: &[u8]) -> zip::result::ZipResult<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, data) in [("data.pkl", pickle), ("data/0", &[7; 96]), ("data/1", &[9; 64])] {
        archive.start_file(format!("archive/{name}"), stored)?;
        archive.write_all(data)?;
    }
    Ok(archive.finish()?.into_inner())
}
