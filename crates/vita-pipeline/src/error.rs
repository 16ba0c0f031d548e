//! What can go wrong between a request and its frames.

use std::path::PathBuf;

use vita_base::{Hint, bytes_text};

use crate::presets::PRESETS;
use crate::progress::Stage;

/// Why there is no video.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A width or height that patches cannot fill.
    #[error("{what} {pixels} is not a multiple of 16; {}", nearest_text(nearest))]
    Size {
        /// `width` or `height`.
        what: &'static str,
        /// What was asked for.
        pixels: usize,
        /// What would do.
        nearest: Vec<usize>,
    },
    /// A number of frames that latents cannot hold.
    #[error("{frames} frames are not 4 n + 1; {}", nearest_text(nearest))]
    Frames {
        /// What was asked for.
        frames: usize,
        /// What would do.
        nearest: Vec<usize>,
    },
    /// A number outside its range.
    #[error("{what} is {value}; it must be {range}")]
    Number {
        /// Which.
        what: &'static str,
        /// What was asked for.
        value: String,
        /// What would do.
        range: &'static str,
    },
    /// A model name that no preset has.
    #[error("no model is called `{name}`")]
    UnknownModel {
        /// What was asked for.
        name: String,
    },
    /// A preset whose files are not there.
    #[error("`{model}` needs its {what}, and none of its files is in `{}`", folder.display())]
    MissingFile {
        /// The preset.
        model: &'static str,
        /// Which of its parts.
        what: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
        /// The names that were looked for.
        names: Vec<&'static str>,
    },
    /// A text encoder without a vocabulary.
    #[error(
        "the text encoder `{file}` has no vocabulary inside, and no `spiece.model` or `tokenizer.json` is beside it"
    )]
    NoTokenizer {
        /// The text encoder's file.
        file: String,
    },
    /// A file beside the text encoder that cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Files that are each right, but do not belong together.
    #[error("the {first} `{first_file}` has {first_size} {what}, but the {second} `{second_file}` has {second_size}")]
    Mismatch {
        /// What is counted.
        what: &'static str,
        /// One part.
        first: &'static str,
        /// Its file.
        first_file: String,
        /// Its count.
        first_size: usize,
        /// The other part.
        second: &'static str,
        /// Its file.
        second_file: String,
        /// Its count.
        second_size: usize,
    },
    /// A system that text alone does not drive.
    #[error("`{file}` is {system}, which needs an image to start from")]
    NeedsImage {
        /// The transformer's file.
        file: String,
        /// What it is.
        system: String,
    },
    /// A request that does not fit in memory.
    #[error("this run needs about {}, and {} are free", bytes_text(*needed_bytes), bytes_text(*free_bytes))]
    Memory {
        /// At its largest moment.
        needed_bytes: u64,
        /// What there is.
        free_bytes: u64,
        /// The stage of the largest moment.
        stage: Stage,
        /// The most frames of the same size that would fit, and the largest size of the same shape with the same frames.
        fits: Fits,
    },
    /// Numbers that are none.
    #[error("the latent holds values that are not numbers after step {step} of {total}")]
    NotFinite {
        /// Steps done; 0 if it was so before the first.
        step: usize,
        /// Steps in all.
        total: usize,
        /// A part of the model that holds such numbers itself, if one was found.
        culprit: Option<String>,
    },
    /// Prompt conditioning that is not a number.
    #[error("the text encoder `{file}` gave values that are not numbers")]
    TextNotFinite {
        /// Its file.
        file: String,
    },
    /// The run was asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A checkpoint's fault.
    #[error(transparent)]
    Weights(#[from] vita_weights::Error),
    /// A transformer's fault.
    #[error(transparent)]
    Wan(vita_models::wan::Error),
    /// A text encoder's fault.
    #[error(transparent)]
    Text(#[from] vita_models::umt5::InputError),
    /// A vocabulary's or prompt's fault.
    #[error(transparent)]
    Tokenizer(#[from] vita_tokenizer::Error),
    /// A sampler, schedule or step range that cannot be.
    #[error(transparent)]
    Sampling(#[from] vita_sampling::Error),
    /// An input that the autoencoder refuses.
    #[error(transparent)]
    Vae(#[from] vita_models::vae21::InputError),
    /// Whoever takes the frames could not.
    #[error("cannot write the frames: {0}")]
    Sink(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<vita_models::wan::Error> for Error {
    fn from(error: vita_models::wan::Error) -> Self {
        match error {
            vita_models::wan::Error::Cancelled => Self::Cancelled,
            vita_models::wan::Error::Weights(error) => Self::Weights(error),
            error => Self::Wan(error),
        }
    }
}

/// What would fit where a request does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fits {
    /// Frames at the size asked for.
    pub frames: Option<usize>,
    /// Width and height with the frames asked for.
    pub size: Option<(usize, usize)>,
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownModel { .. } => {
                let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
                Some(format!("the models are: {}", names.join(", ")))
            }
            Self::MissingFile { names, folder, .. } => {
                Some(format!("put one of these into `{}`: {}", folder.display(), names.join(", ")))
            }
            Self::NoTokenizer { .. } => {
                Some("put `spiece.model` or `tokenizer.json` of google/umt5-xxl into the same folder".into())
            }
            Self::Mismatch { .. } => Some("take both files from the same system".into()),
            Self::NeedsImage { .. } => Some("take a text-to-video file".into()),
            Self::Memory { stage, fits, .. } => Some(match (fits.frames, fits.size) {
                (None, None) => {
                    format!("the {stage} stage alone takes more at the smallest size; take a smaller model")
                }
                (frames, size) => {
                    let frames = frames.map(|frames| format!("{frames} frames at this size"));
                    let size = size.map(|(width, height)| format!("{width}x{height} with these frames"));
                    let ways: Vec<String> = frames.into_iter().chain(size).collect();
                    format!("these would fit: {}", ways.join(", or "))
                }
            }),
            Self::NotFinite { culprit: Some(tensor), .. } => {
                Some(format!("`{tensor}` holds values that are not numbers: the file is damaged, load it anew"))
            }
            Self::NotFinite { .. } | Self::TextNotFinite { .. } => Some(
                "the weights may be damaged, or of a type whose range they exceed; `vitascope inspect --values FILE` shows it".into(),
            ),
            Self::Weights(error) => error.hint(),
            Self::Wan(error) => error.hint(),
            Self::Text(error) => error.hint(),
            Self::Vae(error) => error.hint(),
            Self::Tokenizer(error) => error.hint(),
            Self::Sampling(error) => error.hint(),
            _ => None,
        }
    }
}

fn nearest_text(nearest: &[usize]) -> String {
    match nearest {
        [one] => format!("the nearest is {one}"),
        [below, above, ..] => format!("the nearest are {below} and {above}"),
        [] => String::new(),
    }
}
