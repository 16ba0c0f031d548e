//! Calling a node: once, or once per element of its longest list; panics become failures.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use crate::cache::Made;
use crate::graph::GraphNode;
use crate::{Context, Inputs, NodeError, Outputs, Value};

/// A node's inputs as lists; each is at least one long, or the node takes lists.
pub(crate) type Lists = IndexMap<String, Vec<Value>>;

/// Runs a node over its lists and puts the results together.
pub(crate) fn run(node: &GraphNode, lists: &Lists, context: &mut Context<'_>) -> Result<Made, NodeError> {
    let mut slots: Vec<Vec<Value>> = vec![Vec::new(); node.spec.outputs.len()];
    let mut uis = Vec::new();
    for inputs in calls(node, lists)? {
        context.check()?;
        if let Some(block) = blocked(&inputs) {
            if let Value::Blocked(Some(words)) = &block {
                context.say(words);
            }
            // Told once: what comes after is skipped in silence.
            slots.iter_mut().for_each(|slot| slot.push(Value::Blocked(None)));
            continue;
        }
        let outputs = caught(|| node.node.run(&inputs, context))??;
        add(node, outputs, &mut slots, &mut uis)?;
    }
    Ok(Made { slots, ui: join(uis) })
}

/// The lazy inputs that a node asks for, over all its calls.
pub(crate) fn needs(node: &GraphNode, lists: &Lists) -> Result<Vec<String>, NodeError> {
    let mut needed = Vec::new();
    for inputs in calls(node, lists)? {
        if blocked(&inputs).is_none() {
            needed.extend(caught(|| node.node.needs(&inputs))?);
        }
    }
    Ok(needed)
}

/// Turns a panic into a failure of the node.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, NodeError> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| NodeError::Failed {
        kind: "RuntimeError",
        message: format!("internal error: {}", panic_text(&*panic)),
        hint: Some("this is a bug; please report it with the workflow".into()),
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "a panic without words",
    }
}

/// The inputs of each call; shorter lists repeat their last element.
fn calls(node: &GraphNode, lists: &Lists) -> Result<Vec<Inputs>, NodeError> {
    if node.spec.input_is_list {
        let mut inputs = Inputs::default();
        lists.iter().for_each(|(name, values)| inputs.set(name, values.clone()));
        return Ok(vec![inputs]);
    }
    let count = lists.values().map(Vec::len).max().unwrap_or(1);
    let call = |index: usize| {
        let mut inputs = Inputs::default();
        for (name, values) in lists {
            let value = values.get(index).or(values.last());
            let value = value.ok_or_else(|| NodeError::value(format!("input `{name}` is an empty list")))?;
            inputs.set(name, vec![value.clone()]);
        }
        Ok(inputs)
    };
    // An empty list among the inputs fails the first call.
    (0..count.max(1)).map(call).collect()
}

fn blocked(inputs: &Inputs) -> Option<Value> {
    let mut values = inputs.names().flat_map(|name| inputs.list(name));
    values.find(|value| matches!(value, Value::Blocked(_))).cloned()
}

fn add(node: &GraphNode, outputs: Outputs, slots: &mut [Vec<Value>], uis: &mut Vec<Json>) -> Result<(), NodeError> {
    // A node that only tells the page something may leave out its outputs.
    let given = outputs.slots.len();
    if given != slots.len() && !(given == 0 && outputs.ui.is_some()) {
        let wanted = slots.len();
        let message = format!("internal error: {} gave {given} outputs instead of {wanted}", node.class);
        return Err(NodeError::Failed { kind: "RuntimeError", message, hint: None });
    }
    for (slot, values) in slots.iter_mut().zip(outputs.slots) {
        slot.extend(values);
    }
    uis.extend(outputs.ui);
    Ok(())
}

/// Lists of several calls are appended key by key; of what is no list the last one counts.
fn join(uis: Vec<Json>) -> Option<Json> {
    uis.into_iter().reduce(|joined, ui| match (joined, ui) {
        (Json::Object(mut joined), Json::Object(ui)) => {
            append(&mut joined, ui);
            Json::Object(joined)
        }
        (_, ui) => ui,
    })
}

fn append(joined: &mut Map<String, Json>, ui: Map<String, Json>) {
    for (key, value) in ui {
        match (joined.get_mut(&key), value) {
            (Some(Json::Array(items)), Json::Array(more)) => items.extend(more),
            (_, value) => {
                joined.insert(key, value);
            }
        }
    }
}

/// Words for a value that is passed to a node, for messages.
pub(crate) fn in_words(lists: &Lists) -> IndexMap<String, Vec<Json>> {
    let words = |values: &Vec<Value>| values.iter().map(Value::to_json).collect();
    lists.iter().map(|(name, values)| (name.clone(), words(values))).collect()
}

/// A literal as a list of one.
pub(crate) fn literal(value: &Json) -> Vec<Value> {
    vec![Value::of_json(value)]
}
