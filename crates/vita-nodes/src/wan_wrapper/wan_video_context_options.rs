//! `WanVideoContextOptions`: windows in which a long video is sampled.

use super::context_windows::ContextOptions;
use super::fields::spec;
use crate::prelude::*;

pub struct WanVideoContextOptions;

impl Node for WanVideoContextOptions {
    fn spec(&self) -> Spec {
        let schedules = combo(["uniform_standard", "uniform_looped", "static_standard"]);
        let frames = "Frames of a window. A video that is shorter is made whole.";
        let reference =
            "A picture that the windows which do not begin the video start from, for image-to-video models.";
        let stride = "Windows of every frame, of every second, of every fourth: a kind for each four.";
        spec("WanVideoContextOptions", "WanVideo Context Options")
            .input("context_schedule", schedules.tooltip("How windows lie."))
            .input("context_frames", int(81, 2..=1000, 1).tooltip(frames))
            .input("context_stride", int(4, 4..=100, 1).tooltip(stride))
            .input("context_overlap", int(16, 4..=100, 1).tooltip("Frames that neighbouring windows share."))
            .input("freenoise", switch(true).tooltip("Repeats the noise of the first window, shuffled."))
            .input("verbose", switch(false).tooltip("Has no meaning here."))
            .optional("fuse_method", combo(["linear", "pyramid"]).tooltip("How windows are mixed where they overlap."))
            .optional("reference_latent", link("LATENT").tooltip(reference))
            .output_named("WANVIDCONTEXT", "context_options")
            .describe("Samples a video that is longer than the model was made for in windows that overlap.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::object(ContextOptions::of(inputs)?))
    }
}
