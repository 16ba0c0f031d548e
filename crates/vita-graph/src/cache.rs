//! Results between prompts: what two nodes must have in common to make the same, and what was made.
//!
//! A node's key stands for its class, its literals, its stamp, and the keys and slots behind its links; ids and
//! titles do not count, unless the node asks for its own id. Keys are numbers given to the full text of these,
//! so that two nodes never share one by accident.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::graph::{Graph, GraphNode, Source};
use crate::{Hidden, Value};

/// What a node made.
pub(crate) struct Made {
    /// One list per output.
    pub slots: Vec<Vec<Value>>,
    pub ui: Option<Json>,
}

/// What says that a node would make the same again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// Nothing but its inputs counts.
    None,
    /// As long as this is the same.
    Text(String),
    /// It never does.
    Unknown,
}

#[derive(Default)]
pub(crate) struct Cache {
    keys: HashMap<String, u64>,
    key_next: u64,
    results: HashMap<u64, Arc<Made>>,
}

impl Cache {
    /// The keys of all nodes of a prompt; results that none of them has are dropped.
    pub fn begin(&mut self, graph: &Graph, stamps: &[Stamp]) -> Vec<u64> {
        let mut old = std::mem::take(&mut self.keys);
        let mut keys: Vec<Option<u64>> = vec![None; graph.nodes.len()];
        for index in sources_first(graph) {
            let node = &graph.nodes[index];
            if let Some(text) = signature(graph.id(index), node, &stamps[index], &keys) {
                let (text, key) = old.remove_entry(&text).unwrap_or_else(|| {
                    let known = self.keys.get(&text).copied();
                    (text, known.unwrap_or_else(|| take_next(&mut self.key_next)))
                });
                self.keys.insert(text, key);
                keys[index] = Some(key);
            }
        }
        let keys: Vec<u64> = keys.into_iter().map(|key| key.unwrap_or_else(|| take_next(&mut self.key_next))).collect();
        let kept: std::collections::HashSet<u64> = keys.iter().copied().collect();
        self.results.retain(|key, _| kept.contains(key));
        keys
    }

    pub fn get(&self, key: u64) -> Option<&Arc<Made>> {
        self.results.get(&key)
    }

    pub fn has(&self, key: u64) -> bool {
        self.results.contains_key(&key)
    }

    pub fn put(&mut self, key: u64, made: Made) {
        self.results.insert(key, Arc::new(made));
    }
}

/// The full text that a key stands for; nothing for a node that cannot be compared.
fn signature(id: &str, node: &GraphNode, stamp: &Stamp, keys: &[Option<u64>]) -> Option<String> {
    if node.broken.is_some() || *stamp == Stamp::Unknown {
        return None;
    }
    let mut inputs: Vec<(&str, Json)> = Vec::with_capacity(node.inputs.len());
    for (name, source) in &node.inputs {
        let text = match source {
            Source::Literal(value) => json!([alike(value)]),
            Source::Link { from, slot, .. } => json!([keys[*from]?, slot]),
        };
        inputs.push((name, text));
    }
    inputs.sort_by(|left, right| left.0.cmp(right.0));
    let stamp = match stamp {
        Stamp::Text(text) => Some(text),
        _ => None,
    };
    let own_id = node.spec.hidden.contains(&Hidden::UniqueId).then_some(id);
    Some(json!([node.class, stamp, own_id, inputs]).to_string())
}

/// `6.0` as `6`: literals of a node that was not validated are not converted.
fn alike(value: &Json) -> Json {
    match value {
        Json::Number(number) if number.is_f64() => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 2f64.powi(63) => (float as i64).into(),
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}

/// Indices of all nodes, each after those that it depends on; nodes in or behind a circle are left out.
fn sources_first(graph: &Graph) -> Vec<usize> {
    let mut waits = vec![0_usize; graph.nodes.len()];
    let mut feeds: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    for (index, node) in graph.nodes.values().enumerate() {
        for from in node.sources() {
            waits[index] += 1;
            feeds[from].push(index);
        }
    }
    let mut order: Vec<usize> = (0..waits.len()).filter(|index| waits[*index] == 0).collect();
    let mut next = 0;
    while let Some(&index) = order.get(next) {
        next += 1;
        for &fed in &feeds[index] {
            waits[fed] -= 1;
            if waits[fed] == 0 {
                order.push(fed);
            }
        }
    }
    order
}

fn take_next(next: &mut u64) -> u64 {
    *next += 1;
    *next
}
