//! What can go wrong with a media file, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use vita_base::Hint;

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was wrong, and where. `Hint::hint` says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read, write, create, sync or rename.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb: "write".
        action: &'static str,
        /// The file that was asked for, not the temporary name behind it.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },

    /// A width or height of zero, or a picture whose size in bytes does not fit the address space.
    #[error("{width}x{height} is not a picture size")]
    PictureSize {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },

    /// A buffer whose length is not that of the pictures it should hold.
    #[error("{found_bytes} bytes are not a whole number of {width}x{height} RGB pictures of {frame_bytes} bytes")]
    BufferSize {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// Bytes in one picture: width * height * 3.
        frame_bytes: usize,
        /// Bytes that were given.
        found_bytes: usize,
    },

    /// A frame of another size than those before it.
    #[error(
        "frame {index} is {}x{} pixels, but this video is {}x{}",
        found.0, found.1, expected.0, expected.1
    )]
    FrameSizeChanged {
        /// Position of the frame, from 0.
        index: u64,
        /// Width and height of the frame.
        found: (u32, u32),
        /// Width and height of the video.
        expected: (u32, u32),
    },

    /// A picture size that the format cannot hold.
    #[error("{format} cannot hold pictures of {width}x{height} pixels: {reason}")]
    SizeUnsupported {
        /// "H.264 in MP4", "WebP".
        format: &'static str,
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// The rule that is broken.
        reason: &'static str,
        /// The nearest size that fits, where there is one.
        nearest: Option<(u32, u32)>,
    },

    /// A setting outside its range.
    #[error("{name} is {found}, expected {expected}")]
    Setting {
        /// The name of the setting.
        name: &'static str,
        /// What was given.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },

    /// A metadata key or value that the format cannot hold.
    #[error("metadata `{key}` cannot be stored in {format}: {reason}")]
    MetadataUnsupported {
        /// "PNG", "MP4".
        format: &'static str,
        /// The key.
        key: String,
        /// The rule that is broken.
        reason: &'static str,
    },

    /// An encoder was finished before it was given a frame.
    #[error("`{}` would hold no frame", path.display())]
    NoFrames {
        /// The file that was asked for.
        path: PathBuf,
    },

    /// The encoder library gave up.
    #[error("frame {index} could not be encoded as {format}: {message}")]
    Encode {
        /// "H.264", "WebP", "PNG", "JPEG".
        format: &'static str,
        /// Position of the frame, from 0.
        index: u64,
        /// What the library said.
        message: String,
    },

    /// A file that is damaged, cut short, or not of its kind at all.
    #[error("`{}` is not a whole {format} file: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The kind it was read as.
        format: &'static str,
        /// What was found, and where.
        problem: String,
    },

    /// A sound file that uses something this crate does not read or write.
    #[error("`{}`: {problem}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not supported.
        problem: String,
    },

    /// An output whose name does not say what it should be.
    #[error("`{}` does not end in a known extension", path.display())]
    UnknownExtension {
        /// The file that was asked for.
        path: PathBuf,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn malformed(path: &Path, format: &'static str, problem: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), format, problem: problem.into() }
    }

    pub(crate) fn unsupported(path: &Path, problem: impl Into<String>) -> Self {
        Self::Unsupported { path: path.to_owned(), problem: problem.into() }
    }
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { path, source, .. } => return io_hint(path, source.kind()),
            Self::SizeUnsupported { nearest: Some((width, height)), .. } => {
                format!("the nearest size that fits is {width}x{height}; PNG frames take any size")
            }
            Self::SizeUnsupported { .. } => "PNG frames take any size".to_owned(),
            Self::Setting { name, expected, .. } => format!("choose {name} {expected}"),
            Self::MetadataUnsupported { .. } => "shorten or rename that entry".to_owned(),
            Self::Malformed { .. } => {
                "the file may have been cut short while it was copied or written; fetch or make it again".to_owned()
            }
            Self::Unsupported { .. } => {
                "convert it first, for example: ffmpeg -i INPUT -c:v libx264 -pix_fmt yuv420p OUTPUT.mp4".to_owned()
            }
            Self::UnknownExtension { .. } => {
                format!("end the name in one of {}", crate::sink::SINK_EXTENSIONS.join(", "))
            }
            Self::PictureSize { .. }
            | Self::BufferSize { .. }
            | Self::FrameSizeChanged { .. }
            | Self::NoFrames { .. }
            | Self::Encode { .. } => return None,
        })
    }
}

fn io_hint(path: &Path, kind: io::ErrorKind) -> Option<String> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.display().to_string(),
        _ => ".".to_owned(),
    };
    Some(match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("the disk that holds `{folder}` is full; free some space or write to another one")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("you may not do that in `{folder}`; choose another folder or change its permissions")
        }
        io::ErrorKind::NotFound => format!("check the name; the folder `{folder}` must exist"),
        io::ErrorKind::NotADirectory => format!("`{folder}` is a file; choose a folder"),
        io::ErrorKind::IsADirectory => "that is a folder; choose a file name inside it".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_the_system_says_where_and_what_to_do() {
        let path = Path::new("out/clip.mp4");
        for (kind, expected) in [
            (io::ErrorKind::StorageFull, "the disk that holds `out` is full; free some space or write to another one"),
            (
                io::ErrorKind::PermissionDenied,
                "you may not do that in `out`; choose another folder or change its permissions",
            ),
            (io::ErrorKind::NotFound, "check the name; the folder `out` must exist"),
        ] {
            let error = Error::io("write", path, kind.into());
            assert_eq!(error.to_string(), "cannot write `out/clip.mp4`");
            assert_eq!(error.hint().as_deref(), Some(expected));
        }
    }
}
