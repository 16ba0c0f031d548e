//! ComfyUI's context windows: what its two nodes for them have in common.

use vita_graph::{Inputs, NodeError, Spec, combo, switch};
use vita_pipeline::{ContextWindows, WindowMix, WindowSchedule, WindowStart};

use crate::prelude::whole_from;

/// The inputs between the lengths and the noise.
pub(crate) fn shape_fields(spec: Spec) -> Spec {
    let schedules = combo(["standard_static", "standard_uniform", "looped_uniform", "batched"]);
    let stride =
        "Of uniform schedules: windows of every frame, of every second, of every fourth, so many kinds at most.";
    let mixes = combo(["pyramid", "relative", "flat", "overlap-linear"]).default_choice("pyramid");
    spec.input("context_schedule", schedules.tooltip("How windows lie."))
        .input("context_stride", whole_from(1, 1).tooltip(stride))
        .input("closed_loop", switch(false).tooltip("Of looped schedules: whether the end meets the beginning."))
        .input("fuse_method", mixes.tooltip("How windows are mixed where they overlap."))
}

/// Windows of so many latent frames, of which neighbours share some, as the inputs say.
///
/// # Errors
/// If an input is missing or of another type.
pub(crate) fn windows(inputs: &Inputs, frames: usize, overlap: usize) -> Result<ContextWindows, NodeError> {
    let schedule = match inputs.text("context_schedule")? {
        "standard_uniform" => WindowSchedule::UniformStandard,
        "looped_uniform" => WindowSchedule::UniformLooped,
        "batched" => WindowSchedule::Batched,
        _ => WindowSchedule::StaticStandard,
    };
    let mix = match inputs.text("fuse_method")? {
        "relative" => WindowMix::Relative,
        "flat" => WindowMix::Flat,
        "overlap-linear" => WindowMix::OverlapLinear,
        _ => WindowMix::Pyramid,
    };
    Ok(ContextWindows {
        schedule,
        frames,
        overlap,
        strides: inputs.count("context_stride")?,
        closed: schedule == WindowSchedule::UniformLooped && inputs.bool("closed_loop")?,
        mix,
        free_noise: inputs.bool("freenoise")?,
        start: WindowStart::OfFrame,
        sections: Vec::new(),
    })
}
