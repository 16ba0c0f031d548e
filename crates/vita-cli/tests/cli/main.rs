//! The command from outside: what it prints, what it writes, how it ends.
#![forbid(unsafe_code)]

mod bad_input;
mod bad_models;
mod bench;
mod convert;
mod generate;
mod inspect;
mod probe;
mod pull;
mod run;
mod serve;
mod support;
mod usage;
