//! Windows in which a long video is sampled, as they flow along `WANVIDCONTEXT` links.

use std::sync::Arc;

use vita_graph::{Inputs, NodeError};
use vita_pipeline::image_to_video::VideoSize;
use vita_pipeline::{ContextWindows, WindowMix, WindowSchedule, WindowStart};

use super::data::TextEmbeds;
use super::fields::OrElse;
use crate::data::Latents;

/// Windows, and how long a video must be to be parted.
#[derive(Clone, Debug)]
pub struct ContextOptions {
    frames: usize,
    windows: ContextWindows,
}

impl ContextOptions {
    /// Of a node's inputs, which count in frames of the video.
    ///
    /// # Errors
    /// If an input is missing or of another type, or there are several pictures to start from.
    pub fn of(inputs: &Inputs) -> Result<Self, NodeError> {
        let schedule = match inputs.text("context_schedule")? {
            "uniform_looped" => WindowSchedule::UniformLooped,
            "static_standard" => WindowSchedule::StaticStandard,
            _ => WindowSchedule::UniformStandard,
        };
        let mix = match inputs.text_or("fuse_method", "linear")? {
            "pyramid" => WindowMix::WrapperPyramid,
            _ => WindowMix::WrapperLinear,
        };
        let start = match inputs.optional::<Latents>("reference_latent")? {
            None => WindowStart::OfVideo,
            Some(latents) => match latents.items() {
                [picture] => WindowStart::Picture(Arc::new(picture.clone())),
                several => {
                    let message = format!("`reference_latent` is {} pictures; one is expected", several.len());
                    return Err(NodeError::value(message));
                }
            },
        };
        let frames = inputs.count("context_frames")?;
        let windows = ContextWindows {
            schedule,
            frames: frames.div_ceil(4),
            overlap: inputs.count("context_overlap")? / 4,
            strides: inputs.count("context_stride")? / 4,
            closed: true,
            mix,
            free_noise: inputs.bool("freenoise")?,
            start,
            sections: Vec::new(),
        };
        Ok(Self { frames, windows })
    }

    /// The windows for a video, if it is long enough for them, with the sections of its prompt.
    pub fn windows(&self, size: VideoSize, text: &TextEmbeds) -> Option<ContextWindows> {
        let sections = text.sections.iter().cloned().map(Arc::new).collect();
        (self.frames <= size.frames).then(|| ContextWindows { sections, ..self.windows.clone() })
    }
}
