//! Images and video to and from plain RGB frames. Nothing here knows tensors or models.
//!
//! - [`Frames`] owns packed 8-bit RGB, [`Frame`] borrows one picture of it.
//! - [`Mp4Encoder`], [`WebpEncoder`] and [`PngFolder`] take frames one by one, as a decoder hands
//!   them out; [`open_sink`] chooses between them by the name of the output.
//! - [`Mp4Decoder`], [`decode_mp4`] and [`read_image`] go the other way.
//! - [`read_metadata`] finds what was written beside the pixels: prompt, workflow, seed.
//!
//! Every file appears whole or not at all: it is written under a temporary name in its own folder,
//! synced and renamed; dropping an encoder before `finish` removes what it wrote.
//! Nothing needs an installed tool, reads the clock or starts a thread, so equal frames and
//! options give equal bytes.
#![forbid(unsafe_code)]

mod color;
mod error;
mod exif;
mod file_kind;
mod frame;
mod frame_rate;
mod h264;
mod metadata;
mod mp4;
mod output_file;
mod picture;
mod png;
mod sink;
mod webp;

pub use error::{Error, Result};
pub use frame::{Frame, Frames};
pub use frame_rate::FrameRate;
pub use metadata::{Metadata, read_metadata};
pub use mp4::{Mp4Decoder, Mp4Encoder, Mp4Options, Video, decode_mp4};
pub use picture::{encode_jpeg, encode_png, read_image};
pub use png::{PngFolder, write_png};
pub use sink::{FrameSink, SINK_EXTENSIONS, SinkOptions, Written, open_sink};
pub use webp::{WebpEncoder, WebpOptions, WebpQuality};
