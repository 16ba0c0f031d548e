//! The trait that a node implements, and the set of all nodes.

use std::sync::Arc;

use indexmap::IndexMap;
use vita_base::Hint;

use crate::{Context, InputError, Inputs, Spec, Value};

/// One kind of node. Stateless: what lives between runs is in the [`crate::Host`].
pub trait Node: Send + Sync {
    /// Its description; called once, when a registry is made.
    fn spec(&self) -> Spec;

    /// Does its work. `inputs` hold what links and literals gave, converted to the types of the spec;
    /// an optional input that the workflow leaves out is absent.
    ///
    /// # Errors
    /// [`NodeError::Interrupted`] if the context was cancelled, otherwise whatever went wrong.
    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError>;

    /// Something that changes when the same inputs would give another result, such as a file's hash. It is
    /// part of the cache key and is written into the metadata as `is_changed`. `inputs` hold literals only.
    ///
    /// # Errors
    /// An error counts as a change, so that the run itself reports it.
    fn stamp(&self, inputs: &Inputs, context: &Context<'_>) -> Result<Option<String>, NodeError> {
        let _ = (inputs, context);
        Ok(None)
    }

    /// Names of the inputs that [`Node::refuse`] judges: range and choice of these are not checked otherwise.
    fn judges(&self) -> &'static [&'static str] {
        &[]
    }

    /// The node's own opinion of its literal inputs, before anything runs.
    fn refuse(&self, inputs: &Inputs, host: &dyn crate::Host) -> Vec<Refusal> {
        let _ = (inputs, host);
        Vec::new()
    }

    /// Names of lazy inputs that are needed, given those that are there.
    fn needs(&self, inputs: &Inputs) -> Vec<String> {
        let _ = inputs;
        Vec::new()
    }
}

/// An input that a node refuses: ComfyUI's `custom_validation_failed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The input.
    pub input: String,
    /// Why, if there is more to say than its name.
    pub reason: Option<String>,
}

/// What a node made.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// One list per slot; a slot that is no list holds one value.
    pub slots: Vec<Vec<Value>>,
    /// What the page is told, as `{"images": [...]}`.
    pub ui: Option<serde_json::Value>,
}

impl Outputs {
    /// One value a slot.
    pub fn values(values: impl IntoIterator<Item = Value>) -> Self {
        Self { slots: values.into_iter().map(|value| vec![value]).collect(), ui: None }
    }

    /// Something for the page.
    #[must_use]
    pub fn with_ui(mut self, ui: serde_json::Value) -> Self {
        self.ui = Some(ui);
        self
    }
}

/// Why a node could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The run was asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// An input that is not there or of another type.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Anything else; `kind` is what clients see as `exception_type`.
    #[error("{message}")]
    Failed {
        /// A short name: `ValueError`, `OutOfMemoryError`, ...
        kind: &'static str,
        /// What was wrong, and where.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
}

impl NodeError {
    /// An error with its hint and its causes.
    pub fn of(error: &impl Hint) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        Self::Failed { kind: "RuntimeError", message, hint: error.hint() }
    }

    /// A value that cannot be.
    pub fn value(message: impl Into<String>) -> Self {
        Self::Failed { kind: "ValueError", message: message.into(), hint: None }
    }
}

/// All nodes of a program, by class.
#[derive(Clone, Default)]
pub struct Registry {
    nodes: IndexMap<&'static str, Registered>,
}

#[derive(Clone)]
struct Registered {
    node: &'static dyn Node,
    spec: Arc<Spec>,
}

impl Registry {
    /// The nodes of a list; of two with the same class the later one counts.
    pub fn new(nodes: impl IntoIterator<Item = &'static dyn Node>) -> Self {
        let registered = nodes.into_iter().map(|node| {
            let spec = Arc::new(node.spec());
            (spec.class, Registered { node, spec })
        });
        Self { nodes: registered.collect() }
    }

    /// The node of a class.
    pub fn node(&self, class: &str) -> Option<&'static dyn Node> {
        self.nodes.get(class).map(|registered| registered.node)
    }

    /// The description of a class.
    pub fn spec(&self, class: &str) -> Option<&Arc<Spec>> {
        self.nodes.get(class).map(|registered| &registered.spec)
    }

    /// All descriptions, in order.
    pub fn specs(&self) -> impl Iterator<Item = &Arc<Spec>> {
        self.nodes.values().map(|registered| &registered.spec)
    }
}
