//! Pictures as files of each format.

mod animations;
mod pictures;
mod videos;

use std::path::PathBuf;

use vita_folders::{Place, SavePath};
use vita_graph::{Context, NodeError};

use super::formats::{Format, How, Widgets};
use crate::data::{Audio, Image};

/// What is to be written.
pub struct Work<'a> {
    /// The pictures.
    pub images: &'a Image,
    /// Places of pictures, in the order in which they are shown.
    pub order: Vec<usize>,
    /// Frames per second.
    pub frame_rate: f64,
    /// How often an animation is repeated; 0 is for ever.
    pub loop_count: u16,
    /// The kind of file.
    pub format: &'a Format,
    /// What is set about it.
    pub widgets: Widgets,
    /// The texts of the file.
    pub texts: Vec<(String, String)>,
    /// The sound.
    pub audio: Option<&'a Audio>,
    /// Where.
    pub path: &'a SavePath,
    /// Output or temp.
    pub place: Place,
}

/// Forth and back again: pictures 0 to n - 1, then n - 2 to 1.
pub fn order(count: usize, is_pingpong: bool) -> Vec<usize> {
    let back = if is_pingpong { 1..count.saturating_sub(1).max(1) } else { 1..1 };
    (0..count).chain(back.rev()).collect()
}

/// A picture's bytes as VideoHelperSuite makes them: rounded to the nearest.
pub fn bytes(image: &Image, index: usize) -> Vec<u8> {
    let size = image.height() * image.width() * image.channels();
    image.values()[index * size..][..size].iter().map(|&value| (value * 255.0 + 0.5) as u8).collect()
}

/// A picture's values of two bytes each, the larger first.
fn deep_bytes(image: &Image, index: usize) -> Vec<u8> {
    let size = image.height() * image.width() * image.channels();
    let values = &image.values()[index * size..][..size];
    values.iter().flat_map(|&value| ((value * 65535.0 + 0.5) as u16).to_be_bytes()).collect()
}

impl Work<'_> {
    /// Writes it, and gives the files: the last is what is shown.
    ///
    /// # Errors
    /// A format that is not to be had on this machine, pictures that it cannot hold, a disk that refuses, or a run
    /// that was asked to stop.
    pub fn write(self, context: &mut Context<'_>) -> Result<Vec<PathBuf>, NodeError> {
        match self.format.how {
            How::Gif => animations::gif(&self, context),
            How::Webp => animations::webp(&self, context),
            How::Pictures { bits } => pictures::write(&self, bits, context),
            How::H264(_) | How::Ffmpeg { .. } => videos::write(self, context),
            How::Gifski => Err(NodeError::Failed {
                kind: "NotImplementedError",
                message: format!("`{}` needs the program gifski, which is not used here", self.format.name),
                hint: Some("choose image/gif or video/ffmpeg-gif".into()),
            }),
        }
    }

    fn file(&self) -> PathBuf {
        self.path.path(self.format.extension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_go_forth_and_back() {
        assert_eq!(order(4, true), [0, 1, 2, 3, 2, 1]);
        assert_eq!(order(4, false), [0, 1, 2, 3]);
        assert_eq!((order(2, true), order(1, true)), (vec![0, 1], vec![0]));
    }

    #[test]
    fn values_are_rounded() {
        let image = Image::new(vita_tensor::Tensor::from_vec(vec![-1.0, 0.4999, 2.0], [1, 1, 1, 3]));
        assert_eq!(bytes(&image, 0), [0, 127, 255]);
        assert_eq!(deep_bytes(&image, 0), [0, 0, 0x7f, 0xf9, 0xff, 0xff]);
    }
}
