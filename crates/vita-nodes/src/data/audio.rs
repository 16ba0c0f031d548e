//! Sound as it flows along `AUDIO` links.

use std::path::PathBuf;

/// The sound of a file. It is not decoded: whoever writes a video with it asks FFmpeg to copy it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audio {
    /// A sound or video file.
    pub file: PathBuf,
}
