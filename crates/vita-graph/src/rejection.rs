//! Why a prompt is refused, in ComfyUI's terms but not in its JSON.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::{Field, Style, python};

/// A prompt that will not run.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}")]
pub struct Rejection {
    /// What is wrong as a whole.
    pub kind: RejectionKind,
    /// What is wrong with which node, by id; only nodes that have faults themselves.
    pub nodes: Box<IndexMap<String, NodeFaults>>,
}

/// The faults of a prompt as a whole. The words are ComfyUI's, since clients show and compare them.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RejectionKind {
    /// The prompt is no object.
    #[error("No prompt provided")]
    NoPrompt,
    /// A node that says no class, or a class that is none.
    #[error("{}", missing_text(.class, .title, .node))]
    MissingNodeType {
        /// Its id.
        node: String,
        /// What it says it is.
        class: Option<String>,
        /// `_meta.title`.
        title: Option<String>,
    },
    /// Nothing in it is an output, or none of the asked ones.
    #[error("Prompt has no outputs")]
    NoOutputs,
    /// Every output is at fault; see the nodes. The details are those of the faults on the outputs themselves.
    #[error("Prompt outputs failed validation")]
    OutputsFailed {
        /// Lines `message: details`.
        details: String,
    },
    /// Links that go round in a circle.
    #[error("Prompt has a cycle")]
    Cycle {
        /// The ids along it, the first again at the end.
        nodes: Vec<String>,
    },
}

fn missing_text(class: &Option<String>, title: &Option<String>, node: &str) -> String {
    match class {
        None => format!("Cannot execute because a node is missing the class_type property. (node {node})"),
        Some(class) => {
            let name = title.as_deref().unwrap_or(class);
            format!("Node '{name}' not found. The custom node may not be installed.")
        }
    }
}

/// The faults of one node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeFaults {
    /// Its class.
    pub class: String,
    /// What is wrong, in the order of its inputs.
    pub faults: Vec<InputFault>,
    /// Outputs that do not run because of it.
    pub dependent_outputs: Vec<String>,
}

/// What is wrong with an input. The wire names of the variants are in comments beside them.
#[derive(Clone, Debug)]
pub enum InputFault {
    /// `required_input_missing`
    Missing {
        /// The input.
        input: String,
    },
    /// `bad_linked_input`: an array that is no link.
    BadLink {
        /// The input.
        field: Field,
        /// What it was.
        received: Json,
    },
    /// `return_type_mismatch`
    TypeMismatch {
        /// The input.
        field: Field,
        /// The type at the other end.
        received_type: String,
        /// The type of the input, as messages print it.
        input_type: String,
        /// The link.
        link: Json,
    },
    /// `invalid_input_type`: a literal that cannot be converted.
    Conversion {
        /// The input.
        field: Field,
        /// What it was.
        received: Json,
        /// Why, in the words of Python's conversion.
        reason: String,
    },
    /// `value_smaller_than_min`
    TooSmall {
        /// The input.
        field: Field,
        /// What it was.
        received: Json,
        /// The bound.
        min: Json,
    },
    /// `value_bigger_than_max`
    TooBig {
        /// The input.
        field: Field,
        /// What it was.
        received: Json,
        /// The bound.
        max: Json,
    },
    /// `value_not_in_list`
    NotInList {
        /// The input.
        field: Field,
        /// What it was.
        received: Json,
        /// What it may be.
        options: Vec<String>,
    },
    /// `custom_validation_failed`
    Refused {
        /// The input.
        input: String,
        /// Why, if the node said more.
        reason: Option<String>,
    },
    /// `exception_during_validation`, or `exception_during_inner_validation` on a node that others depend on:
    /// a link to no node or to no output, or a node without inputs.
    Broken {
        /// The input through which the node was reached, where it was.
        field: Option<Field>,
        /// The link that led here, where one did.
        link: Option<Json>,
        /// Python's name for it: `KeyError`, `IndexError`, `TypeError`.
        exception: &'static str,
        /// What was wrong.
        message: String,
        /// Whether it was met while another node was checked.
        inner: bool,
    },
}

impl InputFault {
    /// ComfyUI's message.
    pub fn message(&self) -> String {
        match self {
            Self::Missing { .. } => "Required input is missing".into(),
            Self::BadLink { .. } => "Bad linked input, must be a length-2 list of [node_id, slot_index]".into(),
            Self::TypeMismatch { .. } => "Return type mismatch between linked nodes".into(),
            Self::Conversion { field, .. } => {
                format!("Failed to convert an input value to a {} value", field.kind.type_name())
            }
            Self::TooSmall { received, min, .. } => {
                format!("Value {} smaller than min of {}", python::text(received), python::text(min))
            }
            Self::TooBig { received, max, .. } => {
                format!("Value {} bigger than max of {}", python::text(received), python::text(max))
            }
            Self::NotInList { .. } => "Value not in list".into(),
            Self::Refused { .. } => "Custom validation failed for node".into(),
            Self::Broken { inner: true, .. } => "Exception when validating inner node".into(),
            Self::Broken { inner: false, .. } => "Exception when validating node".into(),
        }
    }

    /// ComfyUI's details; `style` is that of the node.
    pub fn details(&self, style: Style) -> String {
        match self {
            Self::Missing { input } if style == Style::V3 => input.rsplit('.').next().unwrap_or(input).into(),
            Self::Missing { input } => input.clone(),
            Self::TypeMismatch { field, received_type, input_type, .. } => {
                format!("{}, received_type({received_type}) mismatch input_type({input_type})", field.name)
            }
            Self::Conversion { field, received, reason } => {
                format!("{}, {}, {reason}", field.name, python::text(received))
            }
            Self::NotInList { field, received, options } => {
                let list = match options.len() {
                    0..=20 => python::repr_list(options),
                    count => format!("(list of length {count})"),
                };
                format!("{}: '{}' not in {list}", field.name, python::text(received))
            }
            Self::BadLink { field, .. } | Self::TooSmall { field, .. } | Self::TooBig { field, .. } => {
                field.name.clone()
            }
            Self::Refused { input, reason: None } => input.clone(),
            Self::Refused { input, reason: Some(reason) } => format!("{input} - {reason}"),
            Self::Broken { message, .. } => message.clone(),
        }
    }
}

impl PartialEq for InputFault {
    /// Fields are compared by name: the rest follows from the node's class.
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}
