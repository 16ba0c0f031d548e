//! What flags change about a model for a run: LoRAs, and what is done at some steps beside guidance.

mod cache;
mod features;
mod lora_file;

pub use features::{Arguments as Features, Nag};
pub use lora_file::LoraFile;
