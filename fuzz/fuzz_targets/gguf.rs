//! The same for what begins as a GGUF file does.
#![no_main]

mod checkpoint;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = bytes.to_vec();
    // The rest is behind these four letters, and mutations seldom leave them alone.
    file.splice(..file.len().min(4), *b"GGUF");
    checkpoint::use_all(file);
});
