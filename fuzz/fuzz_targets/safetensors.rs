//! A checkpoint of any bytes opens or is refused, and one that opens can be used.
#![no_main]

mod checkpoint;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| checkpoint::use_all(bytes.to_vec()));
