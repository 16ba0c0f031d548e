//! Whether a prompt can run: ComfyUI's checks, in its order, with its conversions.

use std::collections::HashSet;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use crate::call::caught;
use crate::{
    Host, InputFault, Inputs, Live, Node, NodeFaults, Registry, Rejection, RejectionKind, Spec, Style, Value, literal,
    python,
};

/// A prompt that can run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The prompt in API format with its literals converted: what is queued and shown.
    pub prompt: Json,
    /// Ids of the output nodes to run, in the order of the prompt.
    pub outputs: Vec<String>,
    /// Faults of outputs that are left out while these run.
    pub faults: IndexMap<String, NodeFaults>,
}

/// Checks a prompt in API format. With `targets` only these outputs count.
///
/// Literals are converted as Python does (`4.7` to 4 where a whole number is wanted), lists wrapped as
/// `{"__value__": [...]}` are unwrapped; only nodes that outputs depend on are looked at beyond their class.
///
/// # Errors
/// If nothing in it can run. If only some outputs can, those that cannot are in [`Plan::faults`].
pub fn validate(
    registry: &Registry,
    host: &dyn Host,
    prompt: &Json,
    targets: Option<&[String]>,
) -> Result<Plan, Rejection> {
    let Json::Object(nodes) = prompt else {
        return Err(whole(RejectionKind::NoPrompt));
    };
    let wanted = find_outputs(registry, nodes, targets)?;
    let mut check = Check { registry, host, prompt: nodes.clone(), verdicts: IndexMap::new() };
    for output in &wanted {
        check.visit(output)?;
    }

    let (outputs, failed): (Vec<String>, Vec<String>) =
        wanted.into_iter().partition(|output| check.verdicts[output.as_str()].valid);
    let faults = check.faults(&failed);
    if outputs.is_empty() {
        let details = check.details(&failed);
        return Err(Rejection { kind: RejectionKind::OutputsFailed { details }, nodes: Box::new(faults) });
    }
    Ok(Plan { prompt: Json::Object(check.prompt), outputs, faults })
}

fn whole(kind: RejectionKind) -> Rejection {
    Rejection { kind, nodes: Box::default() }
}

/// Every node must be of a known class, connected or not.
fn find_outputs(
    registry: &Registry,
    nodes: &Map<String, Json>,
    targets: Option<&[String]>,
) -> Result<Vec<String>, Rejection> {
    let mut outputs = Vec::new();
    for (id, node) in nodes {
        let class = node.get("class_type");
        let Some(spec) = class.and_then(Json::as_str).and_then(|class| registry.spec(class)) else {
            let title = node.pointer("/_meta/title").and_then(Json::as_str).map(String::from);
            return Err(whole(RejectionKind::MissingNodeType {
                node: id.clone(),
                class: class.map(|class| class.as_str().map_or_else(|| python::repr(class), String::from)),
                title,
            }));
        };
        if spec.output_node && targets.is_none_or(|targets| targets.contains(id)) {
            outputs.push(id.clone());
        }
    }
    if outputs.is_empty() { Err(whole(RejectionKind::NoOutputs)) } else { Ok(outputs) }
}

struct Check<'a> {
    registry: &'a Registry,
    host: &'a dyn Host,
    prompt: Map<String, Json>,
    /// In the order in which nodes were finished: what a node depends on comes before it.
    verdicts: IndexMap<String, Verdict>,
}

struct Verdict {
    /// Whether it and all that it depends on can run.
    valid: bool,
    /// Its own faults.
    faults: Vec<InputFault>,
}

/// A node whose inputs are being looked at. Frames stand on a stack of ours: a prompt may be deeper than the thread's.
struct Frame<'a> {
    id: String,
    node: &'a dyn Node,
    spec: &'a Spec,
    fields: Vec<Live<'a>>,
    next: usize,
    faults: Vec<InputFault>,
    valid: bool,
    /// The input and link through which it was reached.
    via: Option<(Live<'a>, Json)>,
}

/// What to do after looking at one input.
enum Step<'a> {
    /// Look at the next.
    Next,
    /// Look at another node first, then at this input again.
    Into { id: String, via: (Live<'a>, Json) },
}

/// A prompt that is put together wrongly; Python would have raised this.
struct Broken {
    exception: &'static str,
    message: String,
}

impl<'a> Check<'a> {
    fn visit(&mut self, output: &str) -> Result<(), Rejection> {
        let mut stack: Vec<Frame<'a>> = Vec::new();
        let mut open: HashSet<String> = HashSet::new();
        let mut entering = Some((output.to_owned(), None));
        loop {
            if let Some((id, via)) = entering.take()
                && !self.verdicts.contains_key(&id)
            {
                if !open.insert(id.clone()) {
                    let start = stack.iter().position(|frame| frame.id == id).unwrap_or(0);
                    let mut nodes: Vec<_> = stack[start..].iter().map(|frame| frame.id.clone()).collect();
                    nodes.push(id);
                    return Err(whole(RejectionKind::Cycle { nodes }));
                }
                match self.enter(&id, via.clone()) {
                    Ok(frame) => stack.push(frame),
                    Err(broken) => self.break_off(id, via, broken),
                }
            }
            let Some(frame) = stack.last_mut() else {
                return Ok(());
            };
            let step = match frame.fields.get(frame.next).cloned() {
                Some(live) => self.look_at(frame, live),
                None => {
                    self.leave(stack.pop().expect("the frame that was looked at"));
                    continue;
                }
            };
            match step {
                Ok(Step::Next) => frame.next += 1,
                Ok(Step::Into { id, via }) => entering = Some((id, Some(via))),
                Err(broken) => {
                    let frame = stack.pop().expect("the frame that was looked at");
                    self.break_off(frame.id, frame.via, broken);
                }
            }
        }
    }

    fn enter(&self, id: &str, via: Option<(Live<'a>, Json)>) -> Result<Frame<'a>, Broken> {
        let class = self.class(id);
        let (Some(node), Some(spec)) = (self.registry.node(class), self.registry.spec(class)) else {
            return Err(Broken { exception: "KeyError", message: python::repr(&class.into()) });
        };
        match self.prompt[id].get("inputs") {
            Some(Json::Object(inputs)) => {
                let fields = spec.live(inputs);
                Ok(Frame { id: id.into(), node, spec, fields, next: 0, faults: Vec::new(), valid: true, via })
            }
            Some(other) => Err(Broken {
                exception: "TypeError",
                message: format!("inputs must be an object, not {}", python::type_name(other)),
            }),
            None => Err(Broken { exception: "KeyError", message: "'inputs'".into() }),
        }
    }

    /// The node's own opinion, after all its inputs were looked at.
    fn leave(&mut self, mut frame: Frame<'a>) {
        if !frame.node.judges().is_empty() {
            let inputs = literals(&self.prompt[&frame.id]);
            let host = self.host;
            match caught(|| frame.node.refuse(&inputs, host)) {
                Ok(refusals) => frame.faults.extend(
                    refusals
                        .into_iter()
                        .map(|refusal| InputFault::Refused { input: refusal.input, reason: refusal.reason }),
                ),
                Err(error) => {
                    let broken = Broken { exception: "RuntimeError", message: error.to_string() };
                    return self.break_off(frame.id, frame.via, broken);
                }
            }
        }
        let valid = frame.valid && frame.faults.is_empty();
        self.verdicts.insert(frame.id, Verdict { valid, faults: frame.faults });
    }

    /// A broken node has this one fault, whatever was found before.
    fn break_off(&mut self, id: String, via: Option<(Live<'a>, Json)>, broken: Broken) {
        let inner = via.is_some();
        let (field, link) = via.map_or((None, None), |(live, link)| (Some(live.to_field()), Some(link)));
        let fault = InputFault::Broken { field, link, exception: broken.exception, message: broken.message, inner };
        self.verdicts.insert(id, Verdict { valid: false, faults: vec![fault] });
    }

    fn look_at(&mut self, frame: &mut Frame<'a>, live: Live<'a>) -> Result<Step<'a>, Broken> {
        let value = self.prompt[&frame.id]["inputs"].get(&*live.key);
        match value {
            None => {
                if live.group == crate::Group::Required {
                    frame.faults.push(InputFault::Missing { input: live.key.into_owned() });
                }
                Ok(Step::Next)
            }
            Some(Json::Array(link)) if link.len() != 2 => {
                let received = Json::Array(link.clone());
                frame.faults.push(InputFault::BadLink { field: live.to_field(), received });
                Ok(Step::Next)
            }
            Some(Json::Array(_)) => self.look_at_link(frame, live),
            Some(_) => {
                frame.faults.extend(self.look_at_literal(frame.node, &frame.id, &live));
                Ok(Step::Next)
            }
        }
    }

    fn look_at_link(&mut self, frame: &mut Frame<'a>, live: Live<'a>) -> Result<Step<'a>, Broken> {
        let link = &self.prompt[&frame.id]["inputs"][&*live.key];
        let id = match &link[0] {
            Json::String(id) if self.prompt.contains_key(id) => id,
            Json::Array(_) | Json::Object(_) => {
                let message = format!("unhashable type: '{}'", python::type_name(&link[0]));
                return Err(Broken { exception: "TypeError", message });
            }
            missing => return Err(Broken { exception: "KeyError", message: python::repr(missing) }),
        };
        let spec = self.registry.spec(self.class(id)).expect("the classes of all nodes were looked up");
        let received = spec.outputs[slot(&link[1], spec)?].kind;
        if !live.field.kind.accepts(received) {
            frame.faults.push(InputFault::TypeMismatch {
                field: live.to_field(),
                received_type: received.into(),
                input_type: live.field.kind.type_text(frame.spec.style, self.host),
                link: link.clone(),
            });
            return Ok(Step::Next);
        }
        match self.verdicts.get(id) {
            None => Ok(Step::Into { id: id.clone(), via: (live, link.clone()) }),
            Some(verdict) => {
                frame.valid &= verdict.valid;
                Ok(Step::Next)
            }
        }
    }

    /// Converts a literal where it stands, then checks its range and choice.
    fn look_at_literal(&mut self, node: &dyn Node, id: &str, live: &Live<'_>) -> Option<InputFault> {
        let place = &mut self.prompt[id]["inputs"][&*live.key];
        if let Some(wrapped) = place.get_mut("__value__") {
            *place = wrapped.take();
        }
        match literal::convert(&live.field.kind, place) {
            Ok(None) => {}
            Ok(Some(converted)) => *place = converted,
            Err(reason) => {
                return Some(InputFault::Conversion { field: live.to_field(), received: place.clone(), reason });
            }
        }
        if node.judges().contains(&&*live.key) {
            return None;
        }
        literal::out_of_range(live, place).or_else(|| literal::not_in_list(live, place, self.host))
    }

    fn class(&self, id: &str) -> &str {
        self.prompt[id]["class_type"].as_str().unwrap_or_default()
    }

    fn style(&self, id: &str) -> Style {
        self.registry.spec(self.class(id)).map_or(Style::V1, |spec| spec.style)
    }

    fn faults(&self, failed: &[String]) -> IndexMap<String, NodeFaults> {
        let ancestors: Vec<HashSet<&str>> = failed.iter().map(|output| self.ancestors(output)).collect();
        let faulty = self.verdicts.iter().filter(|(_, verdict)| !verdict.faults.is_empty());
        faulty
            .map(|(id, verdict)| {
                let dependent = failed.iter().zip(&ancestors).filter(|(_, ancestors)| ancestors.contains(id.as_str()));
                let faults = NodeFaults {
                    class: self.class(id).into(),
                    faults: verdict.faults.clone(),
                    dependent_outputs: dependent.map(|(output, _)| output.clone()).collect(),
                };
                (id.clone(), faults)
            })
            .collect()
    }

    /// An output and all nodes that it depends on.
    fn ancestors(&self, output: &str) -> HashSet<&str> {
        let Some((output, _)) = self.prompt.get_key_value(output) else {
            return HashSet::new();
        };
        let mut found = HashSet::from([output.as_str()]);
        let mut pending = vec![output.as_str()];
        while let Some(id) = pending.pop() {
            let inputs = self.prompt[id].get("inputs").and_then(Json::as_object);
            for value in inputs.into_iter().flat_map(Map::values) {
                if let Json::Array(link) = value
                    && let [Json::String(id), _] = link.as_slice()
                    && self.verdicts.contains_key(id)
                    && found.insert(id)
                {
                    pending.push(id);
                }
            }
        }
        found
    }

    fn details(&self, failed: &[String]) -> String {
        let faults = failed.iter().flat_map(|output| {
            let style = self.style(output);
            self.verdicts[output.as_str()].faults.iter().map(move |fault| (fault, style))
        });
        let lines: Vec<_> =
            faults.map(|(fault, style)| format!("{}: {}", fault.message(), fault.details(style))).collect();
        lines.join("\n")
    }
}

/// The index of an output; as in Python, negative ones count from the end.
fn slot(index: &Json, spec: &Spec) -> Result<usize, Broken> {
    let sequence = if spec.style == Style::V3 { "list" } else { "tuple" };
    let index = match index {
        Json::Bool(value) => i128::from(*value),
        Json::Number(number) if !number.is_f64() => number.as_i128().unwrap_or(i128::MAX),
        other => {
            let message = format!("{sequence} indices must be integers or slices, not {}", python::type_name(other));
            return Err(Broken { exception: "TypeError", message });
        }
    };
    resolve_slot(index, spec.outputs.len())
        .ok_or_else(|| Broken { exception: "IndexError", message: format!("{sequence} index out of range") })
}

/// An index from the front or, if negative, from the end.
pub(crate) fn resolve_slot(index: i128, count: usize) -> Option<usize> {
    let index = if index < 0 { index + count as i128 } else { index };
    usize::try_from(index).ok().filter(|index| *index < count)
}

/// A node's inputs that are no links.
fn literals(node: &Json) -> Inputs {
    let mut inputs = Inputs::default();
    for (name, value) in node["inputs"].as_object().into_iter().flatten() {
        if !value.is_array() {
            inputs.set(name, vec![Value::of_json(value)]);
        }
    }
    inputs
}
