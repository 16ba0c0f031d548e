//! The nodes of workflows, one file each: ComfyUI's own in `comfy/`, the Wan wrapper's in `wan_wrapper/`,
//! VideoHelperSuite's in `vhs/`, the GGUF loaders in `gguf/`.
//!
//! A node says what it is ([`vita_graph::Spec`]) and does its work in a few lines; the work itself is the
//! pipeline's, the media crate's, or a file of this crate that several nodes share: [`data`] is what flows along
//! links, `resize` scales pictures, `save` names and writes files. What a node may use of the program it takes
//! out of the [`Studio`]. A folder's `mod.rs` lists its nodes; a test compares the list with the folder.
#![forbid(unsafe_code)]

mod batch;
mod comfy;
mod context_windows;
pub mod data;
mod expression;
mod ffmpeg;
mod gguf;
mod image_to_video;
mod layers;
mod pictures;
mod prelude;
mod resize;
mod samplers;
mod save;
mod studio;
#[cfg(test)]
mod testing;
mod vae_work;
mod vhs;
mod video_file;
mod wan_size;
mod wan_wrapper;
mod work;

pub use studio::{Clock, Settings, Studio};
use vita_graph::{Node, Registry};

/// Every node, in the order of the lists.
pub fn nodes() -> impl Iterator<Item = &'static dyn Node> {
    [comfy::NODES, wan_wrapper::NODES, vhs::NODES, gguf::NODES].into_iter().flatten().copied()
}

/// Every node, by class.
pub fn registry() -> Registry {
    Registry::new(nodes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// A node that lies in a folder but is not in its list would be missing without a word.
    #[test]
    fn lists_are_what_the_folders_hold() {
        let folders: [(&str, &[&'static dyn Node]); 4] =
            [("comfy", comfy::NODES), ("wan_wrapper", wan_wrapper::NODES), ("vhs", vhs::NODES), ("gguf", gguf::NODES)];
        for (folder, nodes) in folders {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
            let files: BTreeSet<String> = std::fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter_map(|name| Some(name.strip_suffix(".rs")?.replace('_', "")))
                .filter(|name| name != "mod")
                .collect();
            let listed: BTreeSet<String> =
                nodes.iter().map(|node| node.spec().class.to_lowercase().replace('_', "")).collect();
            assert_eq!(listed.len(), nodes.len(), "{folder}: a node is listed twice");
            assert_eq!(listed, files, "{folder}: on the left what is listed, on the right the files");
        }
    }
}
