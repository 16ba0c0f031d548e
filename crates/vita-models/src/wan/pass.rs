//! What may be done otherwise in a pass through the network.

use super::{Context, StepCache};

/// What is done otherwise in one pass. The default is nothing.
#[derive(Default)]
pub struct Pass<'a> {
    /// Blocks that are left out, from 0; a block that is not there is none.
    pub skipped_blocks: &'a [usize],
    /// May stand in for all blocks.
    pub cache: Option<Cached<'a>>,
    /// Weight of Enhance-A-Video, which strengthens what frames take from each other.
    pub enhance: Option<f32>,
    /// Guidance inside the attention to the prompt.
    pub nag: Option<Nag<'a>>,
}

/// A cache, and where in its run the pass is.
pub struct Cached<'a> {
    /// Of this prompt.
    pub cache: &'a mut StepCache,
    /// From 0, of the steps that are run.
    pub step_index: usize,
    /// Steps of the whole schedule.
    pub step_count: usize,
}

/// Normalised attention guidance (Chen et al., 2025): the attention's answer to a negative prompt is pushed away from.
#[derive(Clone, Copy)]
pub struct Nag<'a> {
    /// The negative prompt.
    pub context: &'a Context,
    /// How it is done.
    pub numbers: NagNumbers,
}

/// Numbers of the guidance inside the attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NagNumbers {
    /// How far away it is pushed; 1 is not at all.
    pub scale: f32,
    /// How much longer than the unguided answer it may become.
    pub tau: f32,
    /// Share of the guided answer in the mix.
    pub alpha: f32,
}
