//! The networks, one folder each: sizes found from a checkpoint's shapes, `load`, and the pass forward.
//!
//! Files read like the papers and name fields as the checkpoints do. A model takes weights under
//! canonical names from `vita-weights`, never asks where they live, and knows no prompt and no sampler.
#![forbid(unsafe_code)]

pub mod clip_vision;
pub mod umt5;
pub mod vae;
pub mod wan;
