//! What a run tells while it goes on.

use std::fmt;
use std::time::Duration;

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Reading and packing weights.
    Loading,
    /// Encoding the prompts.
    Text,
    /// Encoding pictures.
    Image,
    /// Denoising.
    Sampling,
    /// Latents to frames.
    Decoding,
}

impl Stage {
    /// One lower-case word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Text => "text",
            Self::Image => "image",
            Self::Sampling => "sampling",
            Self::Decoding => "decoding",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// `step` of `total` steps of a stage are done; the first report of a stage has `step` 0.
    Step {
        /// Which part.
        stage: Stage,
        /// Steps done.
        step: usize,
        /// Steps in all.
        total: usize,
        /// Time since the stage began.
        elapsed: Duration,
    },
    /// What the denoised latent looks like after a step.
    Preview {
        /// Steps done.
        step: usize,
        /// Pixels.
        width: usize,
        /// Pixels.
        height: usize,
        /// Rows of red, green, blue.
        rgb: &'a [u8],
    },
    /// Something of the request has no effect.
    Warning(String),
}

/// Where events go. Called on the thread that runs the job; a slow observer slows it.
pub trait Observer {
    /// Takes one event.
    fn observe(&mut self, event: Event<'_>);

    /// Whether [`Event::Preview`] should be made.
    fn wants_previews(&self) -> bool {
        false
    }
}

/// Observes nothing.
impl Observer for () {
    fn observe(&mut self, _: Event<'_>) {}
}
