//! What every other crate needs and none owns: errors with hints, and sizes and times as text.
//! Nothing here knows about video.
#![forbid(unsafe_code)]

mod hint;
mod text;

pub use hint::{Hint, Report};
pub use text::{bytes_text, seconds_text};
