//! Nodes of VideoHelperSuite, one file each; what they share is in the folders.

use vita_graph::{Node, Spec, Style};

mod formats;
mod loading;
mod vhs_load_video;
mod vhs_video_combine;
mod vhs_video_info;
mod writing;

/// Every node of this folder.
pub const NODES: &[&'static dyn Node] =
    &[&vhs_load_video::LoadVideo, &vhs_video_combine::VideoCombine, &vhs_video_info::VideoInfo];

/// A node of VideoHelperSuite.
fn spec(class: &'static str, name: &'static str) -> Spec {
    let category = "Video Helper Suite 🎥🅥🅗🅢";
    Spec::new(class, category).module("custom_nodes.comfyui-videohelpersuite", Style::V1).display(name)
}
