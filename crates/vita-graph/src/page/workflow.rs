//! The page's JSON, read tolerantly: ids may be numbers or texts, links lists or objects.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::PageError;

/// A workflow: its nodes, and the subgraphs by their ids.
pub(super) struct Workflow<'a> {
    pub root: Graph<'a>,
    pub subgraphs: HashMap<&'a str, Graph<'a>>,
}

/// Nodes with the links between them; of a subgraph also its own inputs and outputs.
pub(super) struct Graph<'a> {
    pub nodes: IndexMap<String, PageNode<'a>>,
    pub links: HashMap<u64, Link>,
    /// Names, by slot.
    pub inputs: Vec<&'a str>,
    /// Whether the input of a slot feeds a widget: then the node that stands for the subgraph has one too.
    pub input_is_widget: Vec<bool>,
    /// The link behind each output slot.
    pub outputs: HashMap<usize, u64>,
}

/// A link, from an output to somewhere.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub origin: Origin,
    pub slot: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    Node(String),
    /// The subgraph's own inputs.
    Inputs,
}

pub(super) struct PageNode<'a> {
    pub id: String,
    pub class: &'a str,
    pub title: Option<&'a str>,
    pub mode: Mode,
    pub inputs: Vec<PageInput<'a>>,
    /// Types, by slot.
    pub outputs: Vec<&'a str>,
    pub values: &'a Json,
    /// Widgets of inner nodes that older pages show on the node of a subgraph: inner id and name.
    pub proxies: Vec<(String, &'a str)>,
    order: i64,
}

pub(super) struct PageInput<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    pub link: Option<u64>,
    pub is_widget: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Active,
    Muted,
    Bypassed,
}

/// What a node is to a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A node that runs.
    Class,
    Subgraph,
    /// Passes on its input of the same slot.
    Reroute,
    /// A value.
    Primitive,
    /// The end of a named wire; passes on its first input.
    Set,
    /// The beginning of a named wire.
    Get,
    Note,
}

/// The ids that LiteGraph gives the two ends of a subgraph.
const INPUTS_ID: &str = "-10";
const OUTPUTS_ID: &str = "-20";

impl<'a> Workflow<'a> {
    pub fn parse(workflow: &'a Json) -> Result<Self, PageError> {
        if !super::is_page(workflow) {
            return Err(PageError::NotAPage);
        }
        let mut subgraphs = HashMap::new();
        let mut definitions = vec![workflow];
        while let Some(graph) = definitions.pop() {
            for definition in list(graph.pointer("/definitions/subgraphs").unwrap_or(&Json::Null)) {
                let id = definition["id"].as_str();
                let id = id.ok_or_else(|| malformed("definitions.subgraphs", "a subgraph has no id"))?;
                subgraphs.insert(id, Graph::parse(definition)?);
                definitions.push(definition);
            }
        }
        Ok(Self { root: Graph::parse(workflow)?, subgraphs })
    }
}

impl<'a> Graph<'a> {
    fn parse(graph: &'a Json) -> Result<Self, PageError> {
        let mut nodes = list(&graph["nodes"]).map(PageNode::parse).collect::<Result<Vec<_>, _>>()?;
        nodes.sort_by_key(|node| node.order);
        let nodes: IndexMap<String, PageNode<'a>> = nodes.into_iter().map(|node| (node.id.clone(), node)).collect();

        let inputs_id = id_of(&graph["inputNode"]["id"]).unwrap_or_else(|| INPUTS_ID.into());
        let outputs_id = id_of(&graph["outputNode"]["id"]).unwrap_or_else(|| OUTPUTS_ID.into());
        let mut links = HashMap::new();
        let mut outputs = HashMap::new();
        for link in list(&graph["links"]) {
            let Some(ends) = Ends::parse(link) else {
                return Err(malformed("links", "a link is neither a list nor an object with its two ends"));
            };
            if ends.target == outputs_id {
                outputs.insert(ends.target_slot, ends.id);
            }
            let origin = if ends.origin == inputs_id { Origin::Inputs } else { Origin::Node(ends.origin) };
            links.insert(ends.id, Link { origin, slot: ends.origin_slot });
        }

        let inputs: Vec<&str> = list(&graph["inputs"]).map(|input| text(&input["name"])).collect();
        let mut input_is_widget = vec![false; inputs.len()];
        for input in nodes.values().flat_map(|node| &node.inputs).filter(|input| input.is_widget) {
            if let Some(link) = input.link.and_then(|link| links.get(&link))
                && link.origin == Origin::Inputs
                && let Some(is_widget) = input_is_widget.get_mut(link.slot)
            {
                *is_widget = true;
            }
        }
        Ok(Self { nodes, links, inputs, input_is_widget, outputs })
    }

    /// Whether any link starts at a node.
    pub fn feeds(&self, node: &str) -> bool {
        self.links.values().any(|link| matches!(&link.origin, Origin::Node(origin) if origin == node))
    }
}

impl<'a> PageNode<'a> {
    fn parse(node: &'a Json) -> Result<Self, PageError> {
        let id = id_of(&node["id"]).ok_or_else(|| malformed("nodes", "a node has no id"))?;
        let class = node["type"].as_str().ok_or_else(|| malformed(&format!("node {id}"), "it has no type"))?;
        let mode = match node["mode"].as_i64() {
            Some(2) => Mode::Muted,
            Some(4) => Mode::Bypassed,
            _ => Mode::Active,
        };
        let proxies = list(&node["properties"]["proxyWidgets"]).filter_map(|proxy| {
            let owner = id_of(proxy.get(0)?)?;
            Some((owner, proxy.get(1)?.as_str()?))
        });
        Ok(Self {
            class,
            title: node["title"].as_str(),
            mode,
            inputs: list(&node["inputs"]).map(PageInput::parse).collect(),
            outputs: list(&node["outputs"]).map(|output| text(&output["type"])).collect(),
            values: &node["widgets_values"],
            proxies: proxies.collect(),
            order: node["order"].as_i64().unwrap_or(i64::MAX),
            id,
        })
    }

    pub fn part(&self, workflow: &Workflow<'_>) -> Part {
        match self.class {
            "Reroute" | "Reroute (rgthree)" => Part::Reroute,
            "PrimitiveNode" => Part::Primitive,
            "SetNode" => Part::Set,
            "GetNode" => Part::Get,
            "Note" | "MarkdownNote" => Part::Note,
            class if workflow.subgraphs.contains_key(class) => Part::Subgraph,
            _ => Part::Class,
        }
    }

    /// The first widget's value.
    pub fn value(&self) -> Option<&'a Json> {
        self.values.get(0)
    }

    pub fn input(&self, name: &str) -> Option<&PageInput<'a>> {
        self.inputs.iter().find(|input| input.name == name)
    }
}

impl<'a> PageInput<'a> {
    fn parse(input: &'a Json) -> Self {
        Self {
            name: text(&input["name"]),
            kind: text(&input["type"]),
            link: input["link"].as_u64(),
            is_widget: !input["widget"].is_null(),
        }
    }
}

struct Ends {
    id: u64,
    origin: String,
    origin_slot: usize,
    target: String,
    target_slot: usize,
}

impl Ends {
    /// `[id, origin, slot, target, slot, type]`, or an object.
    fn parse(link: &Json) -> Option<Self> {
        let keys = ["id", "origin_id", "origin_slot", "target_id", "target_slot"];
        let at = |index: usize| match link {
            Json::Array(link) => link.get(index),
            Json::Object(link) => link.get(keys[index]),
            _ => None,
        };
        let slot = |index: usize| at(index)?.as_u64().and_then(|slot| usize::try_from(slot).ok());
        Some(Self {
            id: at(0)?.as_u64()?,
            origin: id_of(at(1)?)?,
            origin_slot: slot(2)?,
            target: id_of(at(3)?)?,
            // Negative where the page is not sure; only a subgraph's outputs need it.
            target_slot: slot(4).unwrap_or(usize::MAX),
        })
    }
}

fn list(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}

/// Types that are numbers stand for events, which carry nothing.
fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

fn id_of(value: &Json) -> Option<String> {
    match value {
        Json::String(id) => Some(id.clone()),
        Json::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

fn malformed(place: &str, problem: &'static str) -> PageError {
    PageError::Malformed { place: place.into(), problem }
}
