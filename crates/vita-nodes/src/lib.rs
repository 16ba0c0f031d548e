//! The nodes of workflows, one file each: ComfyUI's own, the Wan wrapper's, VideoHelperSuite's.
#![forbid(unsafe_code)]
