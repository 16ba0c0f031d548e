//! Running a plan: node after node on the caller's thread, reusing what the prompt before left.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value as Json;
use vita_base::Cancel;

use crate::cache::{Cache, Stamp};
use crate::call::{self, Lists};
use crate::graph::{Graph, GraphNode, Source};
use crate::order::Schedule;
use crate::{Context, End, Event, Failure, Host, Inputs, NodeError, Observer, Outcome, Plan, Registry, Value};

/// Runs plans one after another and keeps the results of the last one's nodes.
pub struct Executor {
    registry: Registry,
    host: Arc<dyn Host>,
    cache: Cache,
}

impl Executor {
    /// An executor without results.
    pub fn new(registry: Registry, host: Arc<dyn Host>) -> Self {
        Self { registry, host, cache: Cache::default() }
    }

    /// Runs a plan. Nodes whose inputs and ancestors are as in the plan before are not run again; whatever
    /// the end, finished nodes keep their results for the next plan. `extra_pnginfo` is handed to nodes as
    /// it is. The plan need not be validated in this process: what cannot be run is a failure.
    pub fn run(&mut self, plan: &Plan, extra_pnginfo: &Json, cancel: &Cancel, observer: &mut dyn Observer) -> Outcome {
        let Some(nodes) = plan.prompt.as_object() else {
            return failed_outright("", "", "the prompt is no object");
        };
        let graph = match Graph::new(&self.registry, nodes) {
            Ok(graph) => graph,
            Err((id, class)) => return failed_outright(&id, &class, &format!("there is no node of class {class}")),
        };
        let mut prompt = plan.prompt.clone();
        let host = self.host.clone();
        let surroundings = Surroundings { host: &*host, extra_pnginfo, cancel };
        let stamps = surroundings.stamp(&graph, &mut prompt);
        let keys = self.cache.begin(&graph, &stamps);
        Run {
            graph: &graph,
            keys: &keys,
            prompt: &prompt,
            surroundings,
            cache: &mut self.cache,
            observer,
            asked: HashSet::new(),
            executed: Vec::new(),
            outputs: IndexMap::new(),
        }
        .run(&plan.outputs)
    }

    /// Drops all results.
    pub fn forget(&mut self) {
        self.cache = Cache::default();
    }
}

fn failed_outright(node: &str, class: &str, message: &str) -> Outcome {
    let failure = Failure {
        node: node.into(),
        class: class.into(),
        kind: "ValueError".into(),
        message: message.into(),
        hint: Some("validate the prompt again: it was checked by another version of this program".into()),
        trace: Vec::new(),
        current_inputs: IndexMap::new(),
        current_outputs: Vec::new(),
        executed: Vec::new(),
    };
    Outcome { outputs: IndexMap::new(), end: End::Failed(failure) }
}

/// What is the same for all nodes of a run.
struct Surroundings<'a> {
    host: &'a dyn Host,
    extra_pnginfo: &'a Json,
    cancel: &'a Cancel,
}

impl Surroundings<'_> {
    fn context<'b>(&'b self, node: &'b str, prompt: &'b Json, observer: &'b mut dyn Observer) -> Context<'b> {
        Context { node, prompt, extra_pnginfo: self.extra_pnginfo, host: self.host, cancel: self.cancel, observer }
    }

    /// Asks all nodes for their stamps and writes them into the prompt.
    fn stamp(&self, graph: &Graph, prompt: &mut Json) -> Vec<Stamp> {
        let mut stamps = Vec::with_capacity(graph.nodes.len());
        for (id, node) in &graph.nodes {
            let mut inputs = Inputs::default();
            for (name, source) in &node.inputs {
                if let Source::Literal(value) = source {
                    inputs.set(name, call::literal(value));
                }
            }
            let mut unobserved = ();
            let context = self.context(id, prompt, &mut unobserved);
            let stamp = match call::caught(|| node.node.stamp(&inputs, &context)).and_then(|stamp| stamp) {
                Ok(None) => Stamp::None,
                Ok(Some(text)) => Stamp::Text(text),
                Err(_) => Stamp::Unknown,
            };
            if let Stamp::Text(text) = &stamp {
                prompt[id]["is_changed"] = Json::from(vec![text.as_str()]);
            }
            stamps.push(stamp);
        }
        stamps
    }
}

struct Run<'a> {
    graph: &'a Graph,
    keys: &'a [u64],
    prompt: &'a Json,
    surroundings: Surroundings<'a>,
    cache: &'a mut Cache,
    observer: &'a mut dyn Observer,
    /// Lazy inputs that were asked for: node and name.
    asked: HashSet<(usize, String)>,
    executed: Vec<String>,
    outputs: IndexMap<String, Json>,
}

/// What became of a node that was picked.
enum Turn {
    Done,
    /// It waits for what it asked for.
    Later,
}

impl Run<'_> {
    fn run(mut self, outputs: &[String]) -> Outcome {
        let cached: Vec<String> = self.with_results().collect();
        self.observer.observe(Event::Cached(&cached));

        let mut schedule = Schedule::new(self.graph);
        for output in outputs {
            match self.graph.nodes.get_index_of(output) {
                Some(index) => schedule.add(index, |node| self.cache.has(self.keys[node])),
                None => return failed_outright(output, "", "this output is not in the prompt"),
            }
        }
        while let Some(index) = schedule.pick() {
            let mut lists = Lists::new();
            match self.turn(index, &mut lists, &mut schedule) {
                Ok(Turn::Done) => schedule.done(index),
                Ok(Turn::Later) => schedule.postpone(index),
                Err(error) => {
                    let end = self.end(index, error, &lists);
                    return Outcome { outputs: self.outputs, end };
                }
            }
        }
        if let Some(index) = schedule.left().min() {
            let end = self.end(index, NodeError::value("the nodes of this prompt wait for each other"), &Lists::new());
            return Outcome { outputs: self.outputs, end };
        }
        Outcome { outputs: self.outputs, end: End::Success }
    }

    fn turn(&mut self, index: usize, lists: &mut Lists, schedule: &mut Schedule<'_>) -> Result<Turn, NodeError> {
        let (id, node) = self.graph.nodes.get_index(index).expect("the schedule holds nodes of the graph");
        if let Some(made) = self.cache.get(self.keys[index]) {
            let ui = made.ui.clone();
            self.observer.observe(Event::Executed { node: id, ui: ui.as_ref(), cached: true });
            self.observer.observe(Event::Finished { node: id });
            self.outputs.extend(ui.map(|ui| (id.clone(), ui)));
            return Ok(Turn::Done);
        }
        if self.surroundings.cancel.is_cancelled() {
            return Err(NodeError::Interrupted);
        }
        if let Some(reason) = &node.broken {
            return Err(NodeError::value(format!("node {id} {reason}")));
        }
        self.gather(index, node, lists)?;
        let wanted = self.wanted(index, node, lists)?;
        if !wanted.is_empty() {
            for (name, from) in wanted {
                self.asked.insert((index, name));
                schedule.ask(index, from, |node| self.cache.has(self.keys[node]));
            }
            return Ok(Turn::Later);
        }

        self.observer.observe(Event::Started { node: id });
        let mut context = self.surroundings.context(id, self.prompt, self.observer);
        let made = call::run(node, lists, &mut context)?;
        if let Some(ui) = &made.ui {
            self.observer.observe(Event::Executed { node: id, ui: Some(ui), cached: false });
            self.outputs.insert(id.clone(), ui.clone());
        }
        self.observer.observe(Event::Finished { node: id });
        self.cache.put(self.keys[index], made);
        self.executed.push(id.clone());
        Ok(Turn::Done)
    }

    fn gather(&self, index: usize, node: &GraphNode, lists: &mut Lists) -> Result<(), NodeError> {
        for (name, source) in &node.inputs {
            let values = match source {
                Source::Literal(value) => call::literal(value),
                Source::Link { lazy: true, .. } if !self.asked.contains(&(index, name.clone())) => vec![Value::Null],
                Source::Link { from, slot, .. } => {
                    let made = self.cache.get(self.keys[*from]);
                    let values = made.and_then(|made| made.slots.get(*slot));
                    let missing = || {
                        let source = self.graph.id(*from);
                        NodeError::value(format!("input `{name}`: node {source} gave no output {slot}"))
                    };
                    values.ok_or_else(missing)?.clone()
                }
            };
            lists.insert(name.clone(), values);
        }
        Ok(())
    }

    /// Lazy inputs that the node asks for and does not have, with the nodes behind them.
    fn wanted(&self, index: usize, node: &GraphNode, lists: &Lists) -> Result<Vec<(String, usize)>, NodeError> {
        let waiting: Vec<(&str, usize)> = node
            .inputs
            .iter()
            .filter_map(|(name, source)| match source {
                Source::Link { from, lazy: true, .. } if !self.asked.contains(&(index, name.clone())) => {
                    Some((name.as_str(), *from))
                }
                _ => None,
            })
            .collect();
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let needs = call::needs(node, lists)?;
        let wanted = waiting.into_iter().filter(|(name, _)| needs.iter().any(|need| need == name));
        Ok(wanted.map(|(name, from)| (name.to_owned(), from)).collect())
    }

    fn with_results(&self) -> impl Iterator<Item = String> {
        let nodes = self.graph.nodes.keys().zip(self.keys);
        nodes.filter(|(_, key)| self.cache.has(**key)).map(|(id, _)| id.clone())
    }

    fn end(&self, index: usize, error: NodeError, lists: &Lists) -> End {
        let node = self.graph.id(index).to_owned();
        let class = self.graph.nodes[index].class.clone();
        let executed = self.executed.clone();
        let (kind, message, hint) = match error {
            NodeError::Interrupted => return End::Interrupted { node, class, executed },
            NodeError::Input(error) => ("TypeError", error.to_string(), None),
            NodeError::Failed { kind, message, hint } => (kind, message, hint),
        };
        End::Failed(Failure {
            kind: kind.into(),
            message,
            hint,
            trace: vec![format!("in node {node} ({class})")],
            current_inputs: call::in_words(lists),
            current_outputs: self.with_results().collect(),
            executed,
            node,
            class,
        })
    }
}
