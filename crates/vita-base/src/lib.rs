//! What every other crate needs and none owns: errors with hints, a way to stop a run, sizes and times as text.
//! Nothing here knows about video.
#![forbid(unsafe_code)]

mod cancel;
mod hint;
mod text;

pub use cancel::Cancel;
pub use hint::{Hint, Report};
pub use text::{bytes_text, seconds_text};
