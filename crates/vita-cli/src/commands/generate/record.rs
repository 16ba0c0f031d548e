//! What is told of a run: in the video that it made, and in its last line.

use std::path::PathBuf;

use serde::{Serialize, Serializer};
use serde_json::json;
use vita_base::seconds_text;
use vita_media::{FrameRate, Metadata};
use vita_pipeline::{Sampling, Switch, VideoRequest};

use super::source;
use super::system::System;

/// Name of the text in a video that says what made it.
pub const METADATA_KEY: &str = "vitascope";

/// What made the video, kept in its file.
pub fn metadata(system: &System, settings: &Settings) -> Metadata {
    let made = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": system.name,
        "files": system.files,
        "settings": settings,
    });
    Metadata::from([(METADATA_KEY.to_owned(), made.to_string())])
}

/// Everything that has a say in what the video looks like, but for the weights and the pictures' values.
#[derive(Serialize)]
pub struct Settings {
    prompt: String,
    negative_prompt: String,
    #[serde(flatten, serialize_with = "as_object")]
    pictures: Vec<(&'static str, String)>,
    width: usize,
    height: usize,
    frames: usize,
    fps: f64,
    steps: usize,
    cfg: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cfg_low: Option<f64>,
    shift: f64,
    sampler: String,
    scheduler: String,
    #[serde(skip_serializing_if = "is_whole")]
    denoise: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    boundary: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    switch_step: Option<usize>,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tile: Option<usize>,
    /// What is done at some steps beside guidance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    features: Vec<String>,
}

impl Settings {
    pub fn new(
        system: &System,
        request: &VideoRequest,
        pictures: &source::Arguments,
        frame_rate: FrameRate,
        features: Vec<String>,
    ) -> Self {
        let VideoRequest { prompt, negative_prompt, width, height, frames, sampling, tile, switch, .. } =
            request.clone();
        let Sampling { seed, steps, cfg, cfg_low, shift, sampler, scheduler, denoise } = sampling;
        let switch = system.models.dit_low.as_ref().map(|(_, own)| switch.unwrap_or(*own));
        let (boundary, switch_step) = match switch {
            None => (None, None),
            Some(Switch::Boundary(boundary)) => (Some(boundary), None),
            Some(Switch::Step(step)) => (None, Some(step)),
        };
        Self {
            prompt,
            negative_prompt,
            pictures: pictures.names().collect(),
            width,
            height,
            frames,
            fps: frame_rate.as_f64(),
            steps,
            cfg,
            cfg_low,
            shift,
            sampler,
            scheduler,
            denoise,
            boundary,
            switch_step,
            seed,
            tile,
            features,
        }
    }
}

/// The result, as `--json` prints it.
#[derive(Serialize)]
pub struct Done {
    /// The name that was asked for, or chosen.
    pub file: PathBuf,
    pub seed: u64,
    /// From the start of the program to the finished file.
    pub seconds: f64,
    pub model: String,
    pub settings: Settings,
    pub frame_count: u64,
    pub file_bytes: u64,
    /// In the order they ran.
    #[serde(serialize_with = "as_object")]
    pub stage_seconds: Vec<(&'static str, f64)>,
    pub memory_estimate_bytes: u64,
    /// Where the system tells.
    pub peak_rss_bytes: Option<u64>,
}

impl Done {
    /// The file, the seed and the seconds.
    pub fn line(&self) -> String {
        format!("{}: seed {}, {}", self.file.display(), self.seed, seconds_text(self.seconds))
    }
}

fn as_object<S: Serializer, T: Serialize>(pairs: &[(&'static str, T)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// A whole schedule is not worth a word.
fn is_whole(denoise: &f64) -> bool {
    *denoise == 1.0
}
