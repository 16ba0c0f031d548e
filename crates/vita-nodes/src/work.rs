//! The pipeline's work inside a node: events, previews and errors on their way out.

use std::path::Path;
use std::time::Duration;

use vita_graph::{Context, NodeError};
use vita_pipeline::{Environment, Error, Event, Observer, Stage, Transformer};

use crate::studio::studio;

/// Runs a piece of the pipeline's work. The node's progress is that of `stage`.
///
/// # Errors
/// Those of the work, as a node's.
pub(crate) fn run<T>(
    context: &mut Context<'_>,
    stage: Stage,
    work: impl FnOnce(&mut Environment<'_>) -> Result<T, Error>,
) -> Result<T, NodeError> {
    run_part(context, Part { stage, index: 0, count: 1 }, work)
}

/// One of several pieces of work of a node, which have the same length.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    /// Whose steps are the node's progress.
    pub stage: Stage,
    /// From 0.
    pub index: usize,
    /// Pieces in all.
    pub count: usize,
}

/// Runs one of several pieces of work.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_part<T>(
    context: &mut Context<'_>,
    part: Part,
    work: impl FnOnce(&mut Environment<'_>) -> Result<T, Error>,
) -> Result<T, NodeError> {
    let studio = studio(context.host);
    let mut relay = Relay { node: context.node, part, observer: &mut *context.observer };
    let mut environment = Environment {
        cancel: context.cancel,
        observer: &mut relay,
        // Nothing that a node tells says how long it took.
        clock: &|| Duration::ZERO,
        residency: &studio.residency,
    };
    work(&mut environment).map_err(node_error)
}

/// A model with one more LoRA; at a strength of 0, as it was.
///
/// # Errors
/// If the file cannot be read, or is no LoRA for this model.
pub(crate) fn with_lora(model: &Transformer, path: &Path, strength: f64) -> Result<Transformer, NodeError> {
    model.with_lora(path, strength).map_err(node_error)
}

/// An error of the pipeline as a node's.
pub(crate) fn node_error(error: Error) -> NodeError {
    if matches!(error, Error::Cancelled) {
        return NodeError::Interrupted;
    }
    let is_memory = match &error {
        Error::Memory { .. } => true,
        Error::Card(failure) => failure.is_shortage(),
        _ => false,
    };
    match NodeError::of(&error) {
        NodeError::Failed { message, hint, .. } if is_memory => {
            NodeError::Failed { kind: "OutOfMemoryError", message, hint }
        }
        other => other,
    }
}

struct Relay<'a, 'b> {
    node: &'a str,
    part: Part,
    observer: &'b mut dyn vita_graph::Observer,
}

impl Observer for Relay<'_, '_> {
    fn observe(&mut self, event: Event<'_>) {
        let node = self.node;
        let event = match &event {
            &Event::Step { stage, step, total, .. } if stage == self.part.stage && step > 0 => {
                let done = self.part.index * total + step;
                let total = self.part.count * total;
                vita_graph::Event::Progress { node, value: done as u64, total: total as u64 }
            }
            Event::Step { .. } => return,
            &Event::Preview { width, height, rgb, .. } => vita_graph::Event::Preview { node, width, height, rgb },
            Event::Warning(text) => vita_graph::Event::Text { node, text },
        };
        self.observer.observe(event);
    }

    fn wants_previews(&self) -> bool {
        self.observer.wants_previews()
    }
}

/// What the pipeline cannot do yet: said when the node is reached, since a branch that is not taken may hold it.
pub(crate) fn not_yet(what: &str) -> NodeError {
    NodeError::Failed {
        kind: "NotImplementedError",
        message: format!("{what} is not built in yet"),
        hint: Some("bypass this node to run the workflow without it".into()),
    }
}
