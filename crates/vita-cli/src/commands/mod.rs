//! One file a command: its flags as a struct, and `run`.

pub mod bench;
pub mod convert;
pub mod devices;
pub mod generate;
pub mod inspect;
pub mod probe;
pub mod pull;
pub mod run;
pub mod selftest;
pub mod serve;
