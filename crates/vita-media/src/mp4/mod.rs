//! H.264 video in MP4 files. The boxes are written and read here rather than by a library: the
//! format needs some thirty of them, and a file from elsewhere must never cost more memory than
//! its own length.

mod boxes;
mod decoder;
mod encoder;
mod parse;
mod tables;

pub use decoder::{Mp4Decoder, Video, decode_mp4};
pub use encoder::{Mp4Encoder, Mp4Options};

pub(crate) use decoder::read_metadata;
