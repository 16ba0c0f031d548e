//! Nodes of the GGUF loaders, one file each.

use vita_graph::{Node, Spec, Style};

mod clip_loader_gguf;
mod unet_loader_gguf;
mod unet_loader_gguf_advanced;

/// Every node of this folder.
pub const NODES: &[&'static dyn Node] = &[
    &clip_loader_gguf::CLIPLoaderGGUF,
    &unet_loader_gguf::UnetLoaderGGUF,
    &unet_loader_gguf_advanced::UnetLoaderGGUFAdvanced,
];

/// A node of the GGUF loaders.
fn spec(class: &'static str, name: &'static str) -> Spec {
    Spec::new(class, "bootleg").module("custom_nodes.ComfyUI-GGUF", Style::V1).display(name)
}
