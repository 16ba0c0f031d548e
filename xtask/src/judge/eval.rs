//! The lists of pairs, as `tools/nano` writes them.

use std::path::Path;

use serde::Deserialize;
use vita_base::Report;
use vita_pipeline::Switch;

use super::clip::Settings;

/// A list.
#[derive(Deserialize)]
pub struct Eval {
    /// Share of pairs that must pass.
    pub goal: f64,
    /// The first frame must be nearer to the start picture than this, where there is one.
    #[serde(default)]
    pub first_frame_goal_db: f64,
    pub sampling: EvalSampling,
    pub judge: Settings,
    pub pairs: Vec<Pair>,
}

/// How videos are sampled.
#[derive(Clone, Deserialize)]
pub struct EvalSampling {
    pub sampler: String,
    pub scheduler: String,
    pub steps: usize,
    pub shift: f64,
    pub cfg: f64,
    /// Noise level below which the second expert takes over, of a system of two.
    pub boundary: Option<f64>,
}

/// A prompt, a seed, and what should be seen.
#[derive(Deserialize)]
pub struct Pair {
    pub prompt: String,
    pub seed: u64,
    pub language: String,
    pub colour: String,
    pub shape: String,
    pub motion: String,
    /// `None` where the prompt does not say.
    pub background: Option<String>,
    /// Where the actor is in the start picture.
    pub start: Option<Start>,
    pub width: usize,
    pub height: usize,
    pub frames: usize,
}

/// Fractions of the side, x to the right and y down.
#[derive(Clone, Deserialize)]
pub struct Start {
    pub centre: [f64; 2],
    pub radius: f64,
}

impl EvalSampling {
    /// Where the second expert takes over.
    pub fn switch(&self) -> Option<Switch> {
        self.boundary.map(Switch::Boundary)
    }
}

/// Reads a list.
///
/// # Errors
/// If the file cannot be read or is no list.
pub fn read(path: &Path) -> Result<Eval, Report> {
    let text = std::fs::read_to_string(path).map_err(|error| Report::new(format!("{}: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| Report::new(format!("{}: {error}", path.display())))
}
