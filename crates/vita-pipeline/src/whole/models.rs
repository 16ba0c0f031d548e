//! The files of a system, opened and checked against each other; nothing is loaded yet.

use std::path::{Path, PathBuf};

use vita_weights::Checkpoint;

use super::request::{Source, VideoRequest};
use crate::error::LATENT_CHANNELS;
use crate::{ClipVision, Error, Switch, TextEncoder, Transformer, Vae};

/// The files of a system.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Paths {
    /// The transformer; of two experts, that for high noise.
    pub dit: PathBuf,
    /// The expert for low noise.
    pub dit_low: Option<PathBuf>,
    /// The text encoder.
    pub text_encoder: PathBuf,
    /// The autoencoder.
    pub vae: PathBuf,
    /// The vision encoder.
    pub clip_vision: Option<PathBuf>,
}

/// The same, opened.
pub struct Open {
    /// The transformer; of two experts, that for high noise.
    pub dit: Checkpoint,
    /// The expert for low noise.
    pub dit_low: Option<Checkpoint>,
    /// The text encoder.
    pub text_encoder: Checkpoint,
    /// The autoencoder.
    pub vae: Checkpoint,
    /// The vision encoder.
    pub clip_vision: Option<Checkpoint>,
}

/// A system: networks that belong together. Cheap to clone.
#[derive(Clone)]
pub struct Models {
    /// The transformer; of two experts, that for high noise.
    pub dit: Transformer,
    /// The expert for low noise, and where it takes over.
    pub dit_low: Option<(Transformer, Switch)>,
    /// The text encoder.
    pub text_encoder: TextEncoder,
    /// The autoencoder.
    pub vae: Vae,
    /// The vision encoder.
    pub clip_vision: Option<ClipVision>,
}

impl Paths {
    /// Opens each file.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn open(&self) -> Result<Open, Error> {
        let maybe = |path: &Option<PathBuf>| path.as_ref().map(Checkpoint::open).transpose();
        Ok(Open {
            dit: Checkpoint::open(&self.dit)?,
            dit_low: maybe(&self.dit_low)?,
            text_encoder: Checkpoint::open(&self.text_encoder)?,
            vae: Checkpoint::open(&self.vae)?,
            clip_vision: maybe(&self.clip_vision)?,
        })
    }

    /// Every path, the transformer's first.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        let Self { dit, dit_low, text_encoder, vae, clip_vision } = self;
        let all = [Some(dit), dit_low.as_ref(), Some(text_encoder), Some(vae), clip_vision.as_ref()];
        all.into_iter().flatten().map(PathBuf::as_path)
    }
}

impl Models {
    /// Opens the files of a system.
    ///
    /// # Errors
    /// If a file cannot be read, is something else than its place asks for, or does not belong to the others.
    pub fn open(paths: &Paths) -> Result<Self, Error> {
        Self::new(paths.open()?)
    }

    /// The same from checkpoints that are open already.
    ///
    /// # Errors
    /// As [`Models::open`].
    pub fn new(open: Open) -> Result<Self, Error> {
        let Open { dit, dit_low, text_encoder, vae, clip_vision } = open;
        let dit = Transformer::new(&dit)?;
        let dit_low = dit_low.map(|low| Transformer::new(&low)).transpose()?;
        let switch = Switch::Boundary(if dit.takes_image_latents() { I2V_BOUNDARY } else { T2V_BOUNDARY });
        let models = Self {
            dit,
            dit_low: dit_low.map(|low| (low, switch)),
            text_encoder: TextEncoder::new(&text_encoder)?,
            vae: Vae::new(&vae)?,
            clip_vision: clip_vision.map(|clip_vision| ClipVision::new(&clip_vision)).transpose()?,
        };
        models.check()?;
        Ok(models)
    }

    /// Whether a request is one that this system answers.
    ///
    /// # Errors
    /// If an image is missing, or one too many; if a size does not fit the autoencoder.
    pub fn check_request(&self, request: &VideoRequest) -> Result<(), Error> {
        request.check_sizes(2 * self.vae.spatial_factor())?;
        let dit = &self.dit;
        let (file, system) = (dit.file().to_owned(), || dit.system());
        let takes_start = dit.takes_image_latents() || dit.has_frame_timesteps();
        match &request.source {
            Source::Text if dit.takes_image_latents() => Err(Error::NeedsImage { file, system: system() }),
            Source::Image { .. } if !takes_start => Err(Error::ImageUnexpected { file, system: system() }),
            Source::Image { end: Some(_), .. } if !self.takes_last_image() => {
                Err(Error::LastImageUnexpected { file, system: system() })
            }
            Source::Image { .. } if dit.clip_width().is_some() && self.clip_vision.is_none() => {
                Err(Error::NeedsClipVision { file, system: system() })
            }
            Source::Video(_) if dit.takes_image_latents() => Err(Error::NeedsImage { file, system: system() }),
            _ => match (&self.dit_low, request.sampling.cfg_low, request.switch) {
                (None, Some(_), _) => Err(Error::OneExpert { what: "a second guidance", file }),
                (None, _, Some(_)) => Err(Error::OneExpert { what: "a place to switch", file }),
                _ => Ok(()),
            },
        }
    }

    /// Models of 2.1 see both ends through CLIP and tell them apart by a table; those of 2.2 see latents alone.
    fn takes_last_image(&self) -> bool {
        self.dit.takes_image_latents() && (self.dit.takes_last_image() || self.dit.clip_width().is_none())
    }

    fn check(&self) -> Result<(), Error> {
        let (dit, text, vae) = (&self.dit, &self.text_encoder, &self.vae);
        if dit.config().text_dim != text.width() {
            return Err(Error::Mismatch {
                what: "values a token",
                first: "text encoder",
                first_file: text.file().into(),
                first_size: text.width(),
                second: "diffusion model",
                second_file: dit.file().into(),
                second_size: dit.config().text_dim,
            });
        }
        if dit.latent_channels() != vae.latent_channels() {
            return Err(Error::Mismatch {
                what: LATENT_CHANNELS,
                first: "diffusion model",
                first_file: dit.file().into(),
                first_size: dit.latent_channels(),
                second: "VAE",
                second_file: vae.file().into(),
                second_size: vae.latent_channels(),
            });
        }
        if let (Some(width), Some(clip)) = (dit.clip_width(), &self.clip_vision)
            && width != clip.width()
        {
            return Err(Error::Mismatch {
                what: "values a feature",
                first: "diffusion model",
                first_file: dit.file().into(),
                first_size: width,
                second: "CLIP vision encoder",
                second_file: clip.file().into(),
                second_size: clip.width(),
            });
        }
        match &self.dit_low {
            Some((low, _)) => check_experts(dit, low),
            None => Ok(()),
        }
    }
}

/// Boundary of the official Wan2.2 T2V A14B, `wan/configs/wan_t2v_A14B.py`.
const T2V_BOUNDARY: f64 = 0.875;
/// Boundary of the official Wan2.2 I2V A14B, `wan/configs/wan_i2v_A14B.py`.
const I2V_BOUNDARY: f64 = 0.9;

fn check_experts(high: &Transformer, low: &Transformer) -> Result<(), Error> {
    let (high_file, low_file) = (high.file().to_owned(), low.file().to_owned());
    if high.config() != low.config() {
        return Err(Error::ExpertsDiffer { high: high.system(), high_file, low: low.system(), low_file });
    }
    // Their shapes are equal, so that only the names can tell.
    match (noise_of_name(&high_file), noise_of_name(&low_file)) {
        (Some(ExpertOf::Low), Some(ExpertOf::High)) => Err(Error::ExpertsSwapped { high_file, low_file }),
        _ => Ok(()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ExpertOf {
    High,
    Low,
}

/// What a file's name says, if it says one of the two: `high` or `low` as a word.
fn noise_of_name(file: &str) -> Option<ExpertOf> {
    let name = Path::new(file).file_name()?.to_string_lossy().to_lowercase();
    let has = |wanted: &str| {
        let words = name.split(|letter: char| !letter.is_alphanumeric());
        words.clone().any(|word| word == wanted || word == format!("{wanted}noise"))
    };
    match (has("high"), has("low")) {
        (true, false) => Some(ExpertOf::High),
        (false, true) => Some(ExpertOf::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_which_expert_they_are() {
        for (name, want) in [
            ("wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors", Some(ExpertOf::High)),
            ("x/Wan2_2-T2V-A14B-LOW_bf16.safetensors", Some(ExpertOf::Low)),
            ("low/wan2.2_t2v_HighNoise-Q4_K_M.gguf", Some(ExpertOf::High)),
            ("nano-i2v-low.safetensors", Some(ExpertOf::Low)),
            ("slow-flow.safetensors", None),
            ("high-low.safetensors", None),
        ] {
            assert_eq!(noise_of_name(name), want, "{name}");
        }
    }
}
