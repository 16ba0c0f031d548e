//! What can be wrong with a checkpoint, or with what a loaded model is asked to do.

use vita_base::Hint;
use vita_tensor::Dims;

/// A result of this network.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model was not loaded, or not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The checkpoint does not fit.
    #[error(transparent)]
    Weights(#[from] vita_weights::Error),
    /// The card has no room, or does not answer.
    #[error(transparent)]
    Card(#[from] vita_tensor::Failure),
    /// Sizes that no Wan transformer has.
    #[error("`{file}` does not fit a Wan transformer: {problem}")]
    Sizes {
        /// The checkpoint.
        file: String,
        /// Which size, and what it should be.
        problem: String,
    },
    /// A latent that is not `[in_dim, T, H, W]`, or not of the layout's size.
    #[error("the model's input is {found}, expected {expected:?}")]
    Latent {
        /// Shape that was given.
        found: Dims,
        /// Shape that fits.
        expected: [usize; 4],
    },
    /// A latent without frames, rows or columns.
    #[error("a latent of {} x {} x {} (frames, rows, columns) has nothing in it", .0[0], .0[1], .0[2])]
    LatentEmpty([usize; 3]),
    /// Neither one timestep nor one a latent frame.
    #[error("{found} timesteps for {frames} latent frames, expected 1 or {frames}")]
    Timesteps {
        /// How many were given.
        found: usize,
        /// Latent frames.
        frames: usize,
    },
    /// A text embedding that is not `[n, text_dim]`.
    #[error("the prompt's embedding is {found}, expected [tokens, {text_dim}]")]
    Prompt {
        /// Shape that was given.
        found: Dims,
        /// Width that the model takes.
        text_dim: usize,
    },
    /// No row at all, not even of padding.
    #[error("the prompt's embedding has no tokens")]
    PromptEmpty,
    /// Image features that are not `[n, image_dim]`.
    #[error("the image features are {found}, expected [tokens, {image_dim}]")]
    Image {
        /// Shape that was given.
        found: Dims,
        /// Width that the model takes.
        image_dim: usize,
    },
    /// Image features for a model that takes none.
    #[error("image features were given to a model without an image branch")]
    ImageUnexpected,
    /// A context that another model made.
    #[error("the prompt was prepared for a model of other sizes")]
    ContextOfAnother,
    /// A LoRA that was read for another model.
    #[error("the LoRA `{file}` was read for another model: this one has no such `{layer}`")]
    LoraOfAnother {
        /// The LoRA.
        file: String,
        /// A layer that is not there, or has another shape.
        layer: String,
    },
    /// The caller's callback asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Weights(error) => error.hint(),
            Self::Card(failure) => failure.hint(),
            Self::Sizes { .. } => Some("choose a file of Wan 2.1 or 2.2".into()),
            Self::Prompt { .. } => Some("use the UMT5-XXL text encoder, or the one that came with this model".into()),
            Self::Image { .. } => Some("use CLIP ViT-H (`clip_vision_h`) for the image".into()),
            Self::ImageUnexpected => Some("leave the CLIP vision output unconnected for this model".into()),
            _ => None,
        }
    }
}
