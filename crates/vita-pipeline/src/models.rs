//! The files of a system, opened and checked against each other; nothing is loaded yet.

use std::path::{Path, PathBuf};

use vita_models::{umt5, vae21, wan};
use vita_tokenizer::Tokenizer;
use vita_weights::{Checkpoint, Role, Weights};

use crate::Error;
use crate::presets::Paths;

/// A text-to-video system: three checkpoints and a vocabulary that belong together.
pub struct Models {
    pub(crate) dit: Part<wan::Config>,
    pub(crate) text_encoder: Part<umt5::Config>,
    pub(crate) vae: Part<vae21::Config>,
    pub(crate) tokenizer: Tokenizer,
}

/// One network's tensors and what they say of its sizes.
pub(crate) struct Part<C> {
    pub weights: Weights,
    pub config: C,
    /// Bytes of the tensors of the network's role.
    pub bytes: u64,
}

impl<C> Part<C> {
    fn new(weights: Weights, config: C) -> Self {
        let bytes = weights.all().map(|(_, stored)| stored.bytes.len() as u64).sum();
        Self { weights, config, bytes }
    }

    pub fn file(&self) -> String {
        self.weights.checkpoint().name().into()
    }
}

/// Names of a vocabulary's file, as it lies beside a text encoder.
const TOKENIZER_FILES: &[&str] = &["spiece.model", "tokenizer.json"];

impl Models {
    /// Opens three files. The vocabulary is inside the text encoder's file, or beside it.
    ///
    /// # Errors
    /// If a file cannot be read, is something else than its place asks for, or does not belong to the others.
    pub fn open(paths: &Paths) -> Result<Self, Error> {
        Self::new(Checkpoint::open(&paths.dit)?, Checkpoint::open(&paths.text_encoder)?, Checkpoint::open(&paths.vae)?)
    }

    /// The same from checkpoints that are open already.
    ///
    /// # Errors
    /// As [`Models::open`].
    pub fn new(dit: Checkpoint, text_encoder: Checkpoint, vae: Checkpoint) -> Result<Self, Error> {
        let weights = dit.weights(Role::DiffusionModel)?;
        let config = wan::Config::of(&weights)?;
        let dit = Part::new(weights, config);
        let weights = text_encoder.weights(Role::TextEncoder)?;
        let config = umt5::Config::of(&weights.umt5_facts()?);
        let text_encoder = Part::new(weights, config);
        let weights = vae.weights(Role::Vae)?;
        let config = vae21::Config::of_decoder(&weights);
        let vae = Part::new(weights, config);
        let tokenizer = find_tokenizer(&text_encoder.weights)?;
        let models = Self { dit, text_encoder, vae, tokenizer };
        models.check()?;
        Ok(models)
    }

    fn check(&self) -> Result<(), Error> {
        let (dit, text, vae) = (&self.dit.config, &self.text_encoder.config, &self.vae.config);
        if dit.text_dim != text.dim {
            return Err(Error::Mismatch {
                what: "values a token",
                first: "text encoder",
                first_file: self.text_encoder.file(),
                first_size: text.dim,
                second: "diffusion model",
                second_file: self.dit.file(),
                second_size: dit.text_dim,
            });
        }
        if dit.out_dim != vae.latent_channels {
            return Err(Error::Mismatch {
                what: "latent channels",
                first: "diffusion model",
                first_file: self.dit.file(),
                first_size: dit.out_dim,
                second: "VAE",
                second_file: self.vae.file(),
                second_size: vae.latent_channels,
            });
        }
        if dit.in_dim != dit.out_dim {
            let system = vita_weights::identify(self.dit.weights.checkpoint()).system;
            return Err(Error::NeedsImage { file: self.dit.file(), system });
        }
        Ok(())
    }
}

fn find_tokenizer(weights: &Weights) -> Result<Tokenizer, Error> {
    if let Some(bytes) = weights.embedded("spiece_model") {
        return Ok(Tokenizer::from_bytes(&bytes)?);
    }
    let checkpoint = weights.checkpoint();
    let folder = checkpoint.path().and_then(Path::parent);
    let beside = folder.into_iter().flat_map(|folder| TOKENIZER_FILES.iter().map(move |name| folder.join(name)));
    match beside.into_iter().find(|path| path.is_file()) {
        Some(path) => read_tokenizer(path),
        None => Err(Error::NoTokenizer { file: checkpoint.name().into() }),
    }
}

fn read_tokenizer(path: PathBuf) -> Result<Tokenizer, Error> {
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Tokenizer::from_bytes(&bytes)?),
        Err(source) => Err(Error::Read { path, source }),
    }
}
