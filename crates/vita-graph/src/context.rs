//! What a node has around it while it runs.

use std::any::Any;

use vita_base::Cancel;

use crate::{Event, NodeError, Observer};

/// What the program offers to its nodes: files by folder, and whatever the nodes themselves know how to take
/// out of it.
pub trait Host: Any + Send + Sync {
    /// Names of the files of a folder (`diffusion_models`, `vae`, `input`), relative, with `/`, sorted.
    fn files(&self, folder: &str) -> Vec<String>;

    /// Itself, so that nodes can ask for the type they know.
    fn as_any(&self) -> &dyn Any;
}

/// One node's run.
pub struct Context<'a> {
    /// The node's id in the prompt.
    pub node: &'a str,
    /// The prompt, coerced, with `is_changed` stamps: what is embedded in files.
    pub prompt: &'a serde_json::Value,
    /// `extra_pnginfo` of the client, or null.
    pub extra_pnginfo: &'a serde_json::Value,
    /// What the program offers.
    pub host: &'a dyn Host,
    /// Asks the run to stop.
    pub cancel: &'a Cancel,
    /// Hears of it.
    pub observer: &'a mut dyn Observer,
}

impl Context<'_> {
    /// The host as the type that the nodes were made for.
    ///
    /// # Panics
    /// If the program was put together with nodes of another host.
    pub fn host<T: Host>(&self) -> &T {
        self.host.as_any().downcast_ref().expect("the nodes and the host of a program are made for each other")
    }

    /// Reports that `value` of `total` steps are done.
    pub fn progress(&mut self, value: u64, total: u64) {
        self.observer.observe(Event::Progress { node: self.node, value, total });
    }

    /// Tells a person something: a warning, a number.
    pub fn say(&mut self, text: &str) {
        self.observer.observe(Event::Text { node: self.node, text });
    }

    /// # Errors
    /// If the run was asked to stop.
    pub fn check(&self) -> Result<(), NodeError> {
        if self.cancel.is_cancelled() { Err(NodeError::Interrupted) } else { Ok(()) }
    }
}
