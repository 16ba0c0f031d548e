//! What can go wrong between a request and its frames.

use std::path::PathBuf;

use vita_base::{Hint, bytes_text};
use vita_tensor::Dims;

use crate::progress::Stage;
use crate::whole::PRESETS;

/// What [`Error::Mismatch`] counts where the autoencoder is of the wrong generation.
pub(crate) const LATENT_CHANNELS: &str = "latent channels";

/// Why there is no video.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A width or height that patches cannot fill.
    #[error("{what} {pixels} is not a multiple of {step}; {}", nearest_text(nearest))]
    Size {
        /// `width` or `height`.
        what: &'static str,
        /// What was asked for.
        pixels: usize,
        /// What sizes are multiples of.
        step: usize,
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
    /// An image for a system that takes none.
    #[error("`{file}` is {system}, which makes videos of text alone and takes no image")]
    ImageUnexpected {
        /// The transformer's file.
        file: String,
        /// What it is.
        system: String,
    },
    /// A last image for a system that takes a first one only.
    #[error("`{file}` is {system}, which takes an image to start from, and none to end with")]
    LastImageUnexpected {
        /// The transformer's file.
        file: String,
        /// What it is.
        system: String,
    },
    /// A system that sees its image through CLIP, without the encoder.
    #[error("`{file}` is {system}, which needs a CLIP vision encoder beside it")]
    NeedsClipVision {
        /// The transformer's file.
        file: String,
        /// What it is.
        system: String,
    },
    /// Two experts that are not two halves of one system.
    #[error("the experts do not belong together: `{high_file}` is {high}, but `{low_file}` is {low}")]
    ExpertsDiffer {
        /// The file for high noise.
        high_file: String,
        /// What it is.
        high: String,
        /// The file for low noise.
        low_file: String,
        /// What it is.
        low: String,
    },
    /// Two experts, each in the other's place by their names.
    #[error("the experts are swapped: `{high_file}` was given for high noise, `{low_file}` for low noise")]
    ExpertsSwapped {
        /// The file for high noise.
        high_file: String,
        /// The file for low noise.
        low_file: String,
    },
    /// A setting of the second expert where there is one model.
    #[error("{what} is for systems of two experts, and `{file}` is one model")]
    OneExpert {
        /// The setting.
        what: &'static str,
        /// The transformer's file.
        file: String,
    },
    /// Pictures of another form.
    #[error("the pictures are {found}, expected [frames, height, width, 3], none of them 0")]
    Pictures {
        /// Their shape.
        found: Dims,
    },
    /// A latent of another form.
    #[error("the latent is {found}, expected {expected}")]
    LatentShape {
        /// Its shape.
        found: Dims,
        /// The form.
        expected: String,
    },
    /// A latent of channels whose scale is not known.
    #[error("latents of {found} channels belong to no Wan autoencoder, expected 16 or 48")]
    LatentChannels {
        /// Their channels.
        found: usize,
    },
    /// A latent that another autoencoder made.
    #[error("the latent has {found} channels, but the VAE `{file}` takes {expected}")]
    LatentOfAnotherVae {
        /// Its channels.
        found: usize,
        /// The autoencoder's file.
        file: String,
        /// Channels that it takes.
        expected: usize,
    },
    /// A latent that is for another transformer.
    #[error("the latent has {found} channels, but `{file}` works on {expected}")]
    LatentOfAnotherModel {
        /// Its channels.
        found: usize,
        /// The transformer's file.
        file: String,
        /// Channels that it works on.
        expected: usize,
    },
    /// Latents of an image that were made for a video of another size.
    #[error("the image was prepared as a latent {found}, which is not of {} x {} x {} (frames, rows, columns)", expected[0], expected[1], expected[2])]
    ImageLatent {
        /// Its shape.
        found: Dims,
        /// Frames, rows and columns of the latent that is sampled.
        expected: [usize; 3],
    },
    /// Two tensors whose shapes should be equal.
    #[error("the {what} is {found}, but the {other} is {expected}")]
    Shapes {
        /// One tensor.
        what: &'static str,
        /// Its shape.
        found: String,
        /// The other.
        other: &'static str,
        /// Its shape.
        expected: String,
    },
    /// A mask of another form.
    #[error("the noise mask is {found}, expected [frames, rows, columns], none of them 0")]
    NoiseMask {
        /// Its shape.
        found: Dims,
    },
    /// Noise levels that no run goes through.
    #[error("the sigmas do not fall from at most 1 to at least 0")]
    Sigmas,
    /// Guidance without a negative prompt.
    #[error("guidance other than 1 needs a negative prompt")]
    NoNegative,
    /// Guidance inside the attention of a model that has another attention beside it.
    #[error("`{file}` attends to an image too, where NAG does not work")]
    NagWithImageBranch {
        /// The model's file.
        file: String,
    },
    /// What the wrapper's sampler does not do.
    #[error("{what} works with ComfyUI's own samplers, not with the Wan wrapper's")]
    NativeOnly {
        /// Whose effect it is.
        what: &'static str,
    },
    /// A cache of guided answers with a solver that asks for the unguided ones.
    #[error("LazyCache does not work with a sampler that looks at the negative prompt's answer alone")]
    CacheOfGuided,
    /// A cache of single answers where an answer is made of several.
    #[error("EasyCache does not work with context windows")]
    CacheInWindows,
    /// Windows that overlap by all of their frames, or have none.
    #[error("windows of {window} latent frames cannot share {overlap} with the next")]
    WindowOverlap {
        /// Latent frames of a window.
        window: usize,
        /// Latent frames that neighbours share.
        overlap: usize,
    },
    /// Windows of every so manieth frame that go round the video more than once.
    #[error("a window of {window} latent frames that lie up to {} apart does not fit into {frames}", 1u64 << (strides - 1).min(62))]
    WindowTooWide {
        /// Kinds of windows that were asked for.
        strides: usize,
        /// Latent frames of a window.
        window: usize,
        /// Latent frames of the video.
        frames: usize,
    },
    /// A frame that windows leave out, or mix at no weight.
    #[error("no context window has a say in latent frame {frame} at step {step}")]
    WindowGap {
        /// From 0.
        frame: usize,
        /// From 0.
        step: usize,
    },
    /// Prompts of sections where the video is not parted.
    #[error("the prompt has {sections} sections, and the video is not sampled in context windows")]
    SectionsWithoutWindows {
        /// How many.
        sections: usize,
    },
    /// A prompt that another text encoder encoded.
    #[error("the prompt's embedding is {found} wide, but `{file}` takes {expected}")]
    PromptWidth {
        /// Its width.
        found: usize,
        /// The transformer's file.
        file: String,
        /// The width that it takes.
        expected: usize,
    },
    /// Features of another vision encoder.
    #[error("the image's CLIP features are {found} wide, but `{file}` takes {expected}")]
    ClipWidth {
        /// Their width.
        found: usize,
        /// The transformer's file.
        file: String,
        /// The width that it takes.
        expected: usize,
    },
    /// A request that does not fit in memory.
    #[error("this run needs about {}, and {}", bytes_text(*needed_bytes), free_text(*free_bytes, *card_bytes))]
    Memory {
        /// At its largest moment.
        needed_bytes: u64,
        /// What there is, under the budget.
        free_bytes: u64,
        /// All memory of the card, where it is the card's that counts.
        card_bytes: Option<u64>,
        /// The stage of the largest moment.
        stage: Stage,
        /// What would fit, where someone looked for it.
        fits: Option<Fits>,
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
    Vae(vita_models::vae::InputError),
    /// A fault of the autoencoder's file.
    #[error(transparent)]
    VaeFile(vita_models::vae::Error),
    /// A picture that the vision encoder refuses.
    #[error(transparent)]
    ClipVision(#[from] vita_models::clip_vision::InputError),
    /// The card has no room, or does not answer.
    #[error(transparent)]
    Card(#[from] vita_tensor::Failure),
    /// Whoever takes the frames could not.
    #[error("cannot write the frames: {0}")]
    Sink(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Whether less work at once, or fewer networks where it is done, may help.
    pub(crate) fn is_shortage(&self) -> bool {
        match self {
            Self::Card(failure) => failure.is_shortage(),
            Self::Memory { .. } => true,
            _ => false,
        }
    }
}

impl From<vita_models::wan::Error> for Error {
    fn from(error: vita_models::wan::Error) -> Self {
        match error {
            vita_models::wan::Error::Cancelled => Self::Cancelled,
            vita_models::wan::Error::Weights(error) => Self::Weights(error),
            vita_models::wan::Error::Card(failure) => Self::Card(failure),
            error => Self::Wan(error),
        }
    }
}

impl From<vita_models::vae::InputError> for Error {
    fn from(error: vita_models::vae::InputError) -> Self {
        match error {
            vita_models::vae::InputError::Card(failure) => Self::Card(failure),
            error => Self::Vae(error),
        }
    }
}

impl From<vita_models::vae::Error> for Error {
    fn from(error: vita_models::vae::Error) -> Self {
        match error {
            vita_models::vae::Error::Weights(error) => Self::Weights(error),
            vita_models::vae::Error::Input(error) => error.into(),
            error => Self::VaeFile(error),
        }
    }
}

/// What would fit where a request does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fits {
    /// The most frames at the size asked for.
    pub frames: Option<usize>,
    /// The largest width and height of about the shape asked for, with its frames.
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
            Self::Mismatch { what: LATENT_CHANNELS, .. } => Some(
                "models of 16 latent channels take the VAE of Wan 2.1 (`wan_2.1_vae.safetensors`), the 5B model of Wan 2.2 takes that of 48 (`wan2.2_vae.safetensors`)".into(),
            ),
            Self::Mismatch { .. } => Some("take both files from the same system".into()),
            Self::NeedsImage { .. } => Some("give it an image, or take a text-to-video file".into()),
            Self::ImageUnexpected { .. } => Some("leave the image out, or take an image-to-video file".into()),
            Self::LastImageUnexpected { .. } => {
                Some("leave the last image out, or take a first-last-frame file (FLF2V) or Wan2.2 I2V A14B".into())
            }
            Self::NeedsClipVision { .. } => Some("take `clip_vision_h.safetensors`".into()),
            Self::ExpertsDiffer { .. } => Some("take both files from the same system".into()),
            Self::ExpertsSwapped { .. } => Some("give each file in the other's place".into()),
            Self::OneExpert { .. } => Some("leave it out, or give a file for low noise too".into()),
            Self::LatentOfAnotherVae { .. } | Self::LatentOfAnotherModel { .. } => {
                Some("take the VAE and the diffusion model from the same system".into())
            }
            Self::ImageLatent { .. } => Some("prepare the image for the size and frames of the latent".into()),
            Self::PromptWidth { .. } => Some("take the text encoder of the same system".into()),
            Self::ClipWidth { .. } => Some("take the CLIP vision encoder of the same system".into()),
            Self::Memory { free_bytes, card_bytes: Some(all), fits: None, .. } if free_bytes * 2 < *all => Some(
                "close what else is on the card, which `nvidia-smi` lists, or take fewer frames, a smaller size or a quantised model".into(),
            ),
            Self::Memory { fits: None, .. } => Some("take fewer frames, a smaller size or a smaller model".into()),
            Self::Memory { stage, fits: Some(fits), .. } => Some(match (fits.frames, fits.size) {
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
            Self::Card(failure) => failure.hint(),
            Self::Text(error) => error.hint(),
            Self::Vae(error) => error.hint(),
            Self::VaeFile(error) => error.hint(),
            Self::ClipVision(error) => error.hint(),
            Self::Tokenizer(error) => error.hint(),
            Self::Sampling(error) => error.hint(),
            Self::NagWithImageBranch { .. } => Some("remove WanVideoApplyNAG, or use a model without an image branch".into()),
            Self::NativeOnly { .. } => Some("remove that node, or use KSampler".into()),
            Self::CacheOfGuided => Some("use EasyCache, or another sampler".into()),
            Self::CacheInWindows => Some("use LazyCache".into()),
            Self::WindowOverlap { .. } => Some("take longer windows, or a smaller overlap".into()),
            Self::WindowTooWide { .. } => Some("take a smaller stride, or shorter windows".into()),
            Self::WindowGap { .. } => Some("take a larger overlap, or another schedule or way to mix".into()),
            Self::SectionsWithoutWindows { .. } => {
                Some("write the prompt without `|`, or connect WanVideoContextOptions with fewer frames than the video's".into())
            }
            _ => None,
        }
    }
}

fn free_text(free_bytes: u64, card_bytes: Option<u64>) -> String {
    let free = bytes_text(free_bytes);
    match card_bytes {
        Some(all) => format!("{free} of the card's {} may be taken", bytes_text(all)),
        None => format!("{free} are free"),
    }
}

fn nearest_text(nearest: &[usize]) -> String {
    match nearest {
        [one] => format!("the nearest is {one}"),
        [below, above, ..] => format!("the nearest are {below} and {above}"),
        [] => String::new(),
    }
}
