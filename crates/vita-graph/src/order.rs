//! Which node is next: outputs as soon as they can run, then what feeds outputs, otherwise first come, first served.

use std::collections::{BTreeSet, HashMap};

use crate::graph::{Graph, Source};

/// The nodes that are still to run, and what each waits for.
pub(crate) struct Schedule<'a> {
    graph: &'a Graph,
    pending: HashMap<usize, Pending>,
    /// (tier, rank, node) of those that wait for nothing.
    ready: BTreeSet<(u8, usize, usize)>,
    rank_next: usize,
}

#[derive(Default)]
struct Pending {
    rank: usize,
    waits: usize,
    feeds: Vec<usize>,
    /// As it stands in `ready`.
    tier: Option<u8>,
}

impl<'a> Schedule<'a> {
    pub fn new(graph: &'a Graph) -> Self {
        Self { graph, pending: HashMap::new(), ready: BTreeSet::new(), rank_next: 0 }
    }

    /// Adds a node and all that it needs for sure; what is cached need not run.
    pub fn add(&mut self, node: usize, cached: impl Fn(usize) -> bool) {
        let mut found = vec![node];
        let mut links = Vec::new();
        let mut touched = Vec::new();
        while let Some(node) = found.pop() {
            if self.pending.contains_key(&node) {
                continue;
            }
            self.pending.insert(node, Pending { rank: self.rank_next, ..Pending::default() });
            self.rank_next += 1;
            touched.push(node);
            for (_, source) in &self.graph.nodes[node].inputs {
                if let Source::Link { from, lazy: false, .. } = source
                    && !cached(*from)
                {
                    found.push(*from);
                    links.push((*from, node));
                }
            }
        }
        for (from, to) in links {
            self.wait(from, to);
            touched.push(from);
        }
        for node in touched {
            self.settle(node);
        }
    }

    /// Makes a node that was picked wait for another that it asked for.
    pub fn ask(&mut self, node: usize, from: usize, cached: impl Fn(usize) -> bool) {
        if !cached(from) {
            self.add(from, cached);
            self.wait(from, node);
            self.settle(from);
        }
    }

    /// Takes the next node; it stays pending until it is done or postponed.
    pub fn pick(&mut self) -> Option<usize> {
        let (_, _, node) = self.ready.pop_first()?;
        if let Some(pending) = self.pending.get_mut(&node) {
            pending.tier = None;
        }
        Some(node)
    }

    /// Puts back a node that was picked and now waits for what it asked for.
    pub fn postpone(&mut self, node: usize) {
        self.settle(node);
    }

    /// A node is done: those that waited for it alone are ready.
    pub fn done(&mut self, node: usize) {
        let Some(pending) = self.pending.remove(&node) else {
            return;
        };
        for fed in pending.feeds {
            if let Some(waiting) = self.pending.get_mut(&fed) {
                waiting.waits -= 1;
                self.settle(fed);
            }
        }
    }

    /// Nodes that wait for each other; empty when all are done.
    pub fn left(&self) -> impl Iterator<Item = usize> {
        self.pending.keys().copied()
    }

    fn wait(&mut self, from: usize, to: usize) {
        let Some(source) = self.pending.get_mut(&from) else {
            return;
        };
        if !source.feeds.contains(&to) {
            source.feeds.push(to);
            if let Some(waiting) = self.pending.get_mut(&to) {
                waiting.waits += 1;
            }
        }
    }

    /// Puts a node where it belongs in `ready`, or takes it out.
    fn settle(&mut self, node: usize) {
        let tier = self.tier(node);
        let Some(pending) = self.pending.get_mut(&node) else {
            return;
        };
        if let Some(tier) = pending.tier.take() {
            self.ready.remove(&(tier, pending.rank, node));
        }
        if pending.waits == 0 {
            pending.tier = Some(tier);
            self.ready.insert((tier, pending.rank, node));
        }
    }

    /// 0 for an output, 1 for what feeds one (decode before save), 2 for what feeds that, 3 for the rest.
    fn tier(&self, node: usize) -> u8 {
        let is_output = |node: usize| self.graph.nodes[node].spec.output_node;
        let feeds = |node: usize| self.pending.get(&node).map_or(&[][..], |pending| &pending.feeds);
        if is_output(node) {
            0
        } else if feeds(node).iter().any(|fed| is_output(*fed)) {
            1
        } else if feeds(node).iter().flat_map(|fed| feeds(*fed)).any(|fed| is_output(*fed)) {
            2
        } else {
            3
        }
    }
}
