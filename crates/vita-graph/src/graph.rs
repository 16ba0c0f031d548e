//! A prompt with its classes and links looked up: what the cache, the order and the execution work on.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use crate::validate::resolve_slot;
use crate::{Node, Registry, Spec};

/// All nodes of a prompt, by id and by index.
pub(crate) struct Graph {
    pub nodes: IndexMap<String, GraphNode>,
}

/// One of them.
pub(crate) struct GraphNode {
    pub class: String,
    pub node: &'static dyn Node,
    pub spec: Arc<Spec>,
    /// In the order of the workflow.
    pub inputs: Vec<(String, Source)>,
    /// What makes it impossible to run; nodes that nothing depends on are not validated.
    pub broken: Option<String>,
}

/// Where an input comes from.
pub(crate) enum Source {
    Literal(Json),
    Link {
        /// Index of the node.
        from: usize,
        /// Index of its output.
        slot: usize,
        /// Whether it waits until the node asks for it.
        lazy: bool,
    },
}

impl Graph {
    /// Looks everything up. A node whose class is not known is the error: its id and class.
    pub fn new(registry: &Registry, prompt: &Map<String, Json>) -> Result<Self, (String, String)> {
        let mut specs = Vec::with_capacity(prompt.len());
        for (id, value) in prompt {
            let class = value.get("class_type").and_then(Json::as_str).unwrap_or_default();
            match (registry.node(class), registry.spec(class)) {
                (Some(node), Some(spec)) => specs.push((id, node, spec)),
                _ => return Err((id.clone(), class.to_owned())),
            }
        }
        let indices: IndexMap<&str, usize> =
            specs.iter().enumerate().map(|(index, (id, ..))| (id.as_str(), index)).collect();
        let resolve = |link: &[Json]| -> Option<Result<(usize, usize), String>> {
            let [Json::String(id), Json::Number(slot)] = link else {
                return None;
            };
            let from = *indices.get(id.as_str())?;
            let slot = resolve_slot(slot.as_i128()?, specs[from].2.outputs.len());
            Some(
                slot.map(|slot| (from, slot)).ok_or_else(|| format!("links to an output that node {id} does not have")),
            )
        };
        let nodes =
            specs.iter().map(|(id, node, spec)| ((*id).clone(), GraphNode::new(*node, spec, &prompt[*id], resolve)));
        Ok(Self { nodes: nodes.collect() })
    }

    pub fn id(&self, index: usize) -> &str {
        self.nodes.get_index(index).map_or("", |(id, _)| id.as_str())
    }
}

impl GraphNode {
    fn new(
        node: &'static dyn Node,
        spec: &Arc<Spec>,
        value: &Json,
        resolve: impl Fn(&[Json]) -> Option<Result<(usize, usize), String>>,
    ) -> Self {
        let mut made = Self { class: spec.class.into(), node, spec: spec.clone(), inputs: Vec::new(), broken: None };
        let Some(Json::Object(inputs)) = value.get("inputs") else {
            made.broken = Some("has no inputs".into());
            return made;
        };
        let live: IndexMap<_, _> = spec.live(inputs).into_iter().map(|live| (live.key, live.field.lazy)).collect();
        for (name, value) in inputs {
            let link = value.as_array().and_then(|link| resolve(link));
            match (live.get(name.as_str()), link) {
                // What a node does not declare is passed on, since some read it, but nothing is run for it.
                (None, Some(_)) => {}
                (Some(lazy), Some(Ok((from, slot)))) => {
                    made.inputs.push((name.clone(), Source::Link { from, slot, lazy: *lazy }));
                }
                (Some(_), Some(Err(reason))) => made.broken = Some(reason),
                (_, None) => made.inputs.push((name.clone(), Source::Literal(value.clone()))),
            }
        }
        made
    }

    /// The nodes that it depends on, whether at once or when it asks.
    pub fn sources(&self) -> impl Iterator<Item = usize> {
        self.inputs.iter().filter_map(|(_, source)| match source {
            Source::Link { from, .. } => Some(*from),
            Source::Literal(_) => None,
        })
    }
}
