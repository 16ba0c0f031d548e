//! Subgraphs taken apart: one scope for the workflow and one for each node that stands for a subgraph.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::PageError;
use super::workflow::{Graph, Mode, PageNode, Part, Workflow};

/// No workflow of a person comes near; subgraphs inside subgraphs multiply.
const NODE_COUNT_MAX: usize = 100_000;

/// All scopes; the workflow itself is the first.
pub(super) struct Scopes<'a> {
    pub workflow: &'a Workflow<'a>,
    pub all: Vec<Scope<'a>>,
    /// The scope inside a node: by scope and id.
    pub inside: HashMap<(usize, &'a str), usize>,
    /// How many links there are in all scopes.
    pub link_count: usize,
}

/// A graph at one of its places.
pub(super) struct Scope<'a> {
    pub graph: &'a Graph<'a>,
    /// `57:` inside node 57.
    pub prefix: String,
    /// The scope and node that it is inside of.
    pub host: Option<(usize, &'a PageNode<'a>)>,
    /// Whether a node that it is inside of is muted or bypassed.
    pub off: bool,
    /// Values that the host's widgets give to the subgraph's inputs, by name.
    pub values: HashMap<&'a str, Json>,
    /// Values that the host's widgets give to widgets of inner nodes.
    pub overrides: HashMap<(String, String), Json>,
}

impl<'a> Scopes<'a> {
    pub fn unfold(workflow: &'a Workflow<'a>) -> Result<Self, PageError> {
        let root = Scope {
            graph: &workflow.root,
            prefix: String::new(),
            host: None,
            off: false,
            values: HashMap::new(),
            overrides: HashMap::new(),
        };
        let mut scopes = Self { workflow, all: vec![root], inside: HashMap::new(), link_count: 0 };
        let mut node_count = 0;
        let mut index = 0;
        while index < scopes.all.len() {
            let graph = scopes.all[index].graph;
            node_count += graph.nodes.len();
            scopes.link_count += graph.links.len();
            if node_count > NODE_COUNT_MAX || scopes.all.len() > NODE_COUNT_MAX {
                return Err(PageError::TooLarge { limit: NODE_COUNT_MAX });
            }
            for node in graph.nodes.values().filter(|node| node.part(workflow) == Part::Subgraph) {
                let inner = scopes.enter(index, node)?;
                scopes.inside.insert((index, &node.id), scopes.all.len());
                scopes.all.push(inner);
            }
            index += 1;
        }
        Ok(scopes)
    }

    fn enter(&self, index: usize, host: &'a PageNode<'a>) -> Result<Scope<'a>, PageError> {
        let outer = &self.all[index];
        let prefix = format!("{}{}:", outer.prefix, host.id);
        let graph = &self.workflow.subgraphs[host.class];
        if self.is_inside(index, graph) {
            return Err(PageError::Circle { node: format!("{}{}", outer.prefix, host.id) });
        }
        let off = outer.off || host.mode != Mode::Active;
        let (mut values, mut overrides) = (HashMap::new(), HashMap::new());
        let given = host.values.as_array().map_or(&[][..], Vec::as_slice);
        if host.proxies.is_empty() {
            // One value for each input that feeds a widget.
            let names = graph.inputs.iter().zip(&graph.input_is_widget).filter(|(_, is_widget)| **is_widget);
            let names: Vec<&str> = names.map(|(name, _)| *name).collect();
            if names.len() == given.len() {
                values.extend(names.into_iter().zip(given.iter().cloned()));
            }
        } else {
            for ((owner, name), value) in host.proxies.iter().zip(given) {
                if owner == "-1" {
                    values.insert(*name, value.clone());
                } else {
                    overrides.insert((owner.clone(), (*name).to_owned()), value.clone());
                }
            }
        }
        for name in &graph.inputs {
            if let Some(value) = outer.overrides.get(&(host.id.clone(), (*name).to_owned())) {
                values.insert(name, value.clone());
            }
        }
        for (owner, name) in &host.proxies {
            if let Some(value) = outer.overrides.get(&(host.id.clone(), (*name).to_owned())) {
                overrides.insert((owner.clone(), (*name).to_owned()), value.clone());
            }
        }
        values.retain(|_, value| !value.is_null());
        overrides.retain(|_, value| !value.is_null());
        Ok(Scope { graph, prefix, host: Some((index, host)), off, values, overrides })
    }

    fn is_inside(&self, index: usize, graph: &Graph<'_>) -> bool {
        let mut next = Some(index);
        while let Some(index) = next {
            let scope = &self.all[index];
            if std::ptr::eq(scope.graph, graph) {
                return true;
            }
            next = scope.host.map(|(outer, _)| outer);
        }
        false
    }
}

impl Scope<'_> {
    /// What the host's widget gives to an input of the subgraph.
    pub fn value(&self, slot: usize) -> Option<&Json> {
        self.values.get(self.graph.inputs.get(slot)?)
    }
}
