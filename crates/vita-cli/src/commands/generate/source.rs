//! The pictures that a video is made of, and the size that they ask for.

use std::path::{Path, PathBuf};

use clap::Args;
use vita_base::Report;
use vita_media::{Error, FrameRate, Frames, Mp4Decoder, read_image};
use vita_pipeline::image_to_video::adjusted_resolution;
use vita_pipeline::{FRAME_STEP, Source, pictures};

use crate::arguments::Size;

/// Flags that name pictures.
#[derive(Args, Debug)]
#[command(next_help_heading = "Pictures")]
#[group(skip)]
pub struct Arguments {
    /// A picture to start from: JPEG, PNG or WebP. Without --size, the video takes its shape.
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// A picture to end with, for models that take both ends.
    #[arg(long, value_name = "FILE", requires = "image")]
    pub last_image: Option<PathBuf>,
    /// An MP4 to make over. Without --size, --frames and --fps, the video has its shape, length and speed.
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    pub video: Option<PathBuf>,
    /// How much of --video is made anew, above 0, at most 1 [default: 0.7].
    #[arg(long, value_name = "F", requires = "video", allow_negative_numbers = true)]
    pub denoise: Option<f64>,
}

/// What of a video's pictures is kept where no flag says.
const DENOISE: f64 = 0.7;

/// Pictures, read.
pub struct Pictures {
    pub source: Source,
    /// Rows and columns of the first one.
    shape: Option<[usize; 2]>,
    /// Frames and frames per second of a video.
    pub video: Option<(usize, FrameRate)>,
}

impl Arguments {
    /// Reads what is named; of a video no more than so many frames.
    ///
    /// # Errors
    /// If a file cannot be read or is damaged.
    pub fn read(&self, frames_max: usize) -> Result<Pictures, Report> {
        if let Some(path) = &self.video {
            return read_video(path, frames_max);
        }
        let Some(path) = &self.image else { return Ok(Pictures { source: Source::Text, shape: None, video: None }) };
        let start = read_picture(path)?;
        let shape = Some([start.height() as usize, start.width() as usize]);
        let end = self.last_image.as_deref().map(read_picture).transpose()?;
        let tensor = |frames: Frames| {
            pictures([frames.count(), frames.height() as usize, frames.width() as usize], frames.as_bytes())
        };
        Ok(Pictures { source: Source::Image { start: tensor(start), end: end.map(tensor) }, shape, video: None })
    }

    /// The share of the schedule that is run.
    pub fn denoise(&self) -> f64 {
        match self.video {
            Some(_) => self.denoise.unwrap_or(DENOISE),
            None => 1.0,
        }
    }

    /// Names of the files, without folders, by what they are.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, String)> {
        let Self { image, last_image, video, .. } = self;
        let all = [("image", image), ("last_image", last_image), ("video", video)];
        all.into_iter().filter_map(|(what, path)| {
            Some((what, path.as_ref()?.file_name().unwrap_or_default().to_string_lossy().into_owned()))
        })
    }
}

impl Pictures {
    /// The size that was asked for; else the model's own, in the pictures' shape if there are some.
    ///
    /// step: what sizes are multiples of.
    pub fn size(&self, asked: Option<Size>, own: Size, step: usize) -> Size {
        match (asked, self.shape) {
            (Some(asked), _) => asked,
            (None, None) => own,
            (None, Some(shape)) => {
                let [width, height] = adjusted_resolution(shape, [own.width, own.height], step);
                Size { width, height }
            }
        }
    }
}

fn read_picture(path: &Path) -> Result<Frames, Report> {
    check_not_empty(path)?;
    read_image(path).map_err(|error| match error {
        Error::Io { ref source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Report::new(format!("there is no file `{}`", path.display()))
                .with_hint("check the path; relative paths start at the current folder")
        }
        Error::Unsupported { .. } => {
            Report::from(error).with_hint("choose a JPEG, PNG or WebP picture of at most 67 megapixels")
        }
        Error::Malformed { .. } => Report::from(error)
            .with_hint("fetch or make it again if it is damaged; if it has more than 67 megapixels, make it smaller"),
        error => error.into(),
    })
}

/// # Errors
/// If there is nothing in a file.
fn check_not_empty(path: &Path) -> Result<(), Report> {
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0) {
        let hint = "the download or copy did not finish; fetch it again";
        return Err(Report::new(format!("`{}` is empty", path.display())).with_hint(hint));
    }
    Ok(())
}

fn read_video(path: &Path, frames_max: usize) -> Result<Pictures, Report> {
    check_not_empty(path)?;
    let mut decoder = Mp4Decoder::open(path)?;
    let mut bytes = Vec::new();
    let (mut count, mut shape) = (0, [0, 0]);
    while count < frames_max {
        let Some(frame) = decoder.next_frame()? else { break };
        shape = [frame.height() as usize, frame.width() as usize];
        bytes.extend_from_slice(frame.data());
        count += 1;
    }
    if count == 0 {
        return Err(Error::NoFrames { path: path.to_owned() }.into());
    }
    // Frames that do not fill a latent frame are left out.
    let whole = (count - 1) / FRAME_STEP * FRAME_STEP + 1;
    bytes.truncate(bytes.len() / count * whole);
    let source = Source::Video(pictures([whole, shape[0], shape[1]], &bytes));
    Ok(Pictures { source, shape: Some(shape), video: Some((whole, decoder.frame_rate())) })
}
