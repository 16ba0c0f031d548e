//! One node on a bench: inputs in, outputs out, in a directory of its own.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use tempfile::TempDir;
use vita_base::Cancel;
use vita_folders::{Folders, LocalTime, Options};
use vita_graph::{Context, Inputs, Node, NodeError, Observer, Outputs, Value};
use vita_pipeline::Residency;

use crate::data::Image;
use crate::studio::{Settings, Studio};

/// What a node is run with.
#[derive(Clone)]
pub struct Bench {
    directory: Arc<TempDir>,
    studio: Arc<Studio>,
    inputs: Inputs,
    prompt: Json,
    extra_pnginfo: Json,
}

/// What a node made.
#[derive(Debug)]
pub struct Ran {
    /// One list a slot.
    pub slots: Vec<Vec<Value>>,
    /// What the page is told.
    pub ui: Option<Json>,
}

impl Bench {
    pub fn new() -> Self {
        Self::with_settings(Settings { disable_metadata: false, ffmpeg: None })
    }

    pub fn with_settings(settings: Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { base: directory.path().into(), ..Options::default() };
        let folders = Folders::new(options, &|_| None).unwrap();
        folders.create().unwrap();
        let clock = || LocalTime { year: 2031, month: 2, day: 3, hour: 4, minute: 5, second: 6 };
        let studio = Arc::new(Studio::new(folders, Residency::many(None), settings, Box::new(clock), 1));
        let prompt = serde_json::json!({ "1": { "class_type": "Test", "inputs": {} } });
        let extra_pnginfo = serde_json::json!({ "workflow": { "id": "w" } });
        Self { directory: Arc::new(directory), studio, inputs: Inputs::default(), prompt, extra_pnginfo }
    }

    #[must_use]
    pub fn with(self, name: &str, value: impl Into<Value>) -> Self {
        self.with_list(name, vec![value.into()])
    }

    #[must_use]
    pub fn with_list(mut self, name: &str, values: Vec<Value>) -> Self {
        self.inputs.set(name, values);
        self
    }

    pub fn run(&self, node: &dyn Node) -> Result<Ran, NodeError> {
        self.run_observed(node, &mut (), &Cancel::default())
    }

    pub fn run_observed(
        &self,
        node: &dyn Node,
        observer: &mut dyn Observer,
        cancel: &Cancel,
    ) -> Result<Ran, NodeError> {
        let mut context = Context {
            node: "1",
            prompt: &self.prompt,
            extra_pnginfo: &self.extra_pnginfo,
            host: &*self.studio,
            cancel,
            observer,
        };
        node.run(&self.inputs, &mut context).map(|Outputs { slots, ui }| Ran { slots, ui })
    }

    pub fn stamp(&self, node: &dyn Node) -> Result<Option<String>, NodeError> {
        let context = Context {
            node: "1",
            prompt: &self.prompt,
            extra_pnginfo: &self.extra_pnginfo,
            host: &*self.studio,
            cancel: &Cancel::default(),
            observer: &mut (),
        };
        node.stamp(&self.inputs, &context)
    }

    pub fn studio(&self) -> &Studio {
        &self.studio
    }

    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Names in a folder below the bench's directory, sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory().join(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Ran {
    pub fn value(&self, slot: usize) -> &Value {
        &self.slots[slot][0]
    }

    pub fn object<T: Any + Send + Sync>(&self, slot: usize) -> Arc<T> {
        self.value(slot).downcast().expect("an output of this type")
    }
}

/// Pictures of three channels whose bytes differ by place.
pub fn image(count: usize, height: usize, width: usize) -> Image {
    let bytes: Vec<u8> = (0..count * height * width * 3).map(|i| (i * 31 % 251) as u8).collect();
    Image::from_bytes(&bytes, [count, height, width, 3])
}
