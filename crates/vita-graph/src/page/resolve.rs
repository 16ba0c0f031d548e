//! Where a link really comes from.

use serde_json::Value as Json;

use super::PageError;
use super::scope::Scopes;
use super::workflow::{Link, Mode, Origin, PageNode, Part};

/// The far end of a link.
#[derive(Debug)]
pub(super) enum Resolved {
    /// An output of a node that runs.
    Output { node: String, slot: usize },
    /// A value.
    Value(Json),
    /// It ends at a muted node, at a note, or in the air.
    Nothing,
}

/// Where to look next.
enum Next {
    End(Resolved),
    /// A link of a scope.
    Follow(usize, Option<u64>),
}

impl Scopes<'_> {
    /// Follows a link that ends at an input of type `kind`.
    pub fn resolve(&self, scope: usize, link: u64, kind: &str) -> Result<Resolved, PageError> {
        let (mut scope, mut link_id) = (scope, link);
        // What the widget on the way says, should the links beyond it lead to nothing; the outermost counts.
        let mut on_the_way = None;
        // A path that meets no link twice is not longer than there are links.
        for _ in 0..=self.link_count {
            let Some(link) = self.all[scope].graph.links.get(&link_id) else {
                return Ok(on_the_way.map_or(Resolved::Nothing, Resolved::Value));
            };
            if link.origin == Origin::Inputs {
                on_the_way = self.all[scope].value(link.slot).cloned().or(on_the_way);
            }
            match self.step(scope, link, kind) {
                Next::Follow(next, Some(link)) => (scope, link_id) = (next, link),
                Next::End(Resolved::Nothing) | Next::Follow(_, None) => {
                    return Ok(on_the_way.map_or(Resolved::Nothing, Resolved::Value));
                }
                Next::End(resolved) => return Ok(resolved),
            }
        }
        let node = match self.all[scope].graph.links.get(&link_id).map(|link| &link.origin) {
            Some(Origin::Node(id)) => format!("{}{id}", self.all[scope].prefix),
            _ => self.all[scope].prefix.clone(),
        };
        Err(PageError::Circle { node })
    }

    fn step(&self, index: usize, link: &Link, kind: &str) -> Next {
        let scope = &self.all[index];
        let id = match &link.origin {
            Origin::Inputs => return self.out_of_subgraph(index, link.slot),
            Origin::Node(id) => id,
        };
        let Some(node) = scope.graph.nodes.get(id) else {
            return Next::End(Resolved::Nothing);
        };
        let input = |slot: usize| Next::Follow(index, node.inputs.get(slot).and_then(|input| input.link));
        match (node.part(self.workflow), node.mode) {
            // A primitive gives its value whatever its mode.
            (Part::Primitive, _) => {
                Next::End(node.value().map_or(Resolved::Nothing, |value| Resolved::Value(value.clone())))
            }
            (_, Mode::Bypassed) => bypass(node, link.slot, kind).map_or(Next::End(Resolved::Nothing), input),
            (_, Mode::Muted) | (Part::Note, _) => Next::End(Resolved::Nothing),
            (Part::Reroute, _) => input(link.slot),
            (Part::Set, _) => input(0),
            (Part::Get, _) => self.named_wire(index, node),
            (Part::Subgraph, _) => match self.inside.get(&(index, id.as_str())) {
                Some(inner) => Next::Follow(*inner, self.all[*inner].graph.outputs.get(&link.slot).copied()),
                None => Next::End(Resolved::Nothing),
            },
            (Part::Class, _) => Next::End(Resolved::Output { node: format!("{}{id}", scope.prefix), slot: link.slot }),
        }
    }

    /// From an input of a subgraph to what is linked to its node.
    fn out_of_subgraph(&self, index: usize, slot: usize) -> Next {
        let scope = &self.all[index];
        let (Some((outer, host)), Some(name)) = (scope.host, scope.graph.inputs.get(slot)) else {
            return Next::End(Resolved::Nothing);
        };
        // The page leaves out inputs that are mere widgets, so that names count, not positions.
        Next::Follow(outer, host.input(name).and_then(|input| input.link))
    }

    /// The other end of a wire with the same name, here or further out.
    fn named_wire(&self, index: usize, get: &PageNode<'_>) -> Next {
        let mut next = Some(index);
        while let Some(index) = next {
            let scope = &self.all[index];
            let same = |node: &&PageNode<'_>| node.part(self.workflow) == Part::Set && node.value() == get.value();
            if let Some(set) = scope.graph.nodes.values().find(same) {
                return match set.mode {
                    Mode::Muted => Next::End(Resolved::Nothing),
                    _ => Next::Follow(index, set.inputs.first().and_then(|input| input.link)),
                };
            }
            next = scope.host.map(|(outer, _)| outer);
        }
        Next::End(Resolved::Nothing)
    }
}

/// The input that a bypassed node passes on at an output: one of the same place if it fits, otherwise the first
/// of exactly the wanted type, otherwise the first that fits both the output and what is wanted.
fn bypass(node: &PageNode<'_>, slot: usize, wanted: &str) -> Option<usize> {
    if wanted.is_empty() || wanted == "*" {
        return (!node.inputs.is_empty()).then_some(if slot < node.inputs.len() { slot } else { 0 });
    }
    let output = node.outputs.get(slot).copied().unwrap_or("*");
    let fits = |kind: &str| connects(kind, output) && connects(kind, wanted);
    if node.inputs.get(slot).is_some_and(|input| fits(input.kind)) {
        return Some(slot);
    }
    let exact = node.inputs.iter().position(|input| input.kind == wanted);
    exact.or_else(|| node.inputs.iter().position(|input| fits(input.kind)))
}

/// Whether the page lets two types be linked.
fn connects(left: &str, right: &str) -> bool {
    let any = |kind: &str| kind.is_empty() || kind == "*";
    any(left)
        || any(right)
        || left.split(',').any(|left| right.split(',').any(|right| left.trim().eq_ignore_ascii_case(right.trim())))
}
