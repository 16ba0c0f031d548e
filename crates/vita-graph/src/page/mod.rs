//! Workflows as the page saves them (LiteGraph JSON, versions 0.4 and 1): made into prompts in API format.
//!
//! What exists only on the page is resolved: subgraphs are taken apart (their nodes get ids as `57:12`),
//! links through reroutes and named wires lead to their source, primitives become values, bypassed nodes pass
//! on what fits, muted nodes and notes are left out. Positions of widget values come from the nodes' specs.

mod resolve;
mod scope;
mod widgets;
mod workflow;

use serde_json::{Map, Value as Json, json};
use vita_base::Hint;

use crate::Registry;
use resolve::Resolved;
use scope::{Scope, Scopes};
use workflow::{Mode, Part, Workflow};

/// Why a workflow of the page cannot be made into a prompt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// It is not a workflow of the page at all.
    #[error("this JSON is no workflow: it has no list of nodes")]
    NotAPage,
    /// Something in it is not what it should be.
    #[error("{place}: {problem}")]
    Malformed {
        /// Where.
        place: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A node of a class that is not in the registry.
    #[error("node {node} is of the unknown class `{class}`")]
    UnknownClass {
        /// Its id, with those of the subgraphs around it.
        node: String,
        /// What it says it is.
        class: String,
    },
    /// A group node, the forerunner of subgraphs.
    #[error("node {node} is a group node (`{class}`), which is not supported")]
    GroupNode {
        /// Its id.
        node: String,
        /// What it says it is.
        class: String,
    },
    /// Links that lead back to themselves without passing a node that runs, or a subgraph inside itself.
    #[error("the links or subgraphs around node {node} go round in a circle")]
    Circle {
        /// A node on it.
        node: String,
    },
    /// More nodes than any real workflow has, once subgraphs are taken apart.
    #[error("the workflow has more than {limit} nodes once its subgraphs are taken apart")]
    TooLarge {
        /// How many there may be.
        limit: usize,
    },
}

impl Hint for PageError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotAPage => Some("give the file that the page saves, or one exported in API format".into()),
            Self::UnknownClass { .. } => Some("delete or bypass the node if the result does not need it".into()),
            Self::GroupNode { .. } => Some("open the workflow in the page and convert the group to a subgraph".into()),
            Self::Malformed { .. } | Self::Circle { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// Whether a JSON value looks like a workflow of the page rather than a prompt in API format.
pub fn is_page(workflow: &Json) -> bool {
    workflow.get("nodes").is_some_and(Json::is_array)
}

/// Makes a prompt in API format from a workflow of the page. The prompt still has to be validated.
///
/// # Errors
/// If it is no such workflow, or has active nodes that are not in the registry.
pub fn from_page(registry: &Registry, workflow: &Json) -> Result<Json, PageError> {
    let workflow = Workflow::parse(workflow)?;
    let scopes = Scopes::unfold(&workflow)?;
    let mut prompt = Map::new();
    for (index, scope) in scopes.all.iter().enumerate() {
        if scope.off {
            continue;
        }
        for node in scope.graph.nodes.values() {
            if node.mode == Mode::Active && node.part(&workflow) == Part::Class {
                let id = format!("{}{}", scope.prefix, node.id);
                if let Some(entry) = entry(registry, &scopes, index, &id)? {
                    prompt.insert(id, entry);
                }
            }
        }
    }
    Ok(Json::Object(prompt))
}

/// A node of the prompt; nothing for what only decorates the page.
fn entry(registry: &Registry, scopes: &Scopes<'_>, index: usize, id: &str) -> Result<Option<Json>, PageError> {
    let scope: &Scope<'_> = &scopes.all[index];
    let node = &scope.graph.nodes[id.strip_prefix(&scope.prefix).unwrap_or(id)];
    let Some(spec) = registry.spec(node.class) else {
        return match node {
            _ if node.class.starts_with("workflow>") || node.class.starts_with("workflow/") => {
                Err(PageError::GroupNode { node: id.into(), class: node.class.into() })
            }
            // Labels, buttons and the like of other people's pages.
            _ if node.inputs.iter().all(|input| input.link.is_none()) && !scope.graph.feeds(&node.id) => Ok(None),
            _ => Err(PageError::UnknownClass { node: id.into(), class: node.class.into() }),
        };
    };
    let mut inputs = widgets::values(spec, node.values);
    for ((owner, name), value) in &scope.overrides {
        if *owner == node.id {
            inputs.insert(name.clone(), value.clone());
        }
    }
    for value in inputs.values_mut().filter(|value| value.is_array()) {
        *value = wrapped(value.take());
    }
    for input in &node.inputs {
        let Some(link) = input.link else {
            continue;
        };
        match scopes.resolve(index, link, input.kind)? {
            Resolved::Output { node, slot } => inputs.insert(input.name.into(), json!([node, slot])),
            Resolved::Value(value) => inputs.insert(input.name.into(), wrapped(value)),
            Resolved::Nothing => None,
        };
    }
    let title = node.title.or(spec.display_name).unwrap_or(node.class);
    Ok(Some(json!({"class_type": node.class, "inputs": inputs, "_meta": {"title": title}})))
}

/// A list that is no link.
fn wrapped(value: Json) -> Json {
    if value.is_array() { json!({ "__value__": value }) } else { value }
}
