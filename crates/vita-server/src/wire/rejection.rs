//! A refused prompt in ComfyUI's JSON: `{"error": ..., "node_errors": ...}`. The words are those of ComfyUI 0.8.0,
//! since clients show and compare them.

use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};
use vita_graph::{Field, Host, InputFault, NodeFaults, Registry, Rejection, RejectionKind, Style};

use super::node_info::NodeInfo;

/// Combos with more names than this are not printed.
const NAMES_PRINTED_MAX: usize = 20;

/// The body of the 400.
pub(crate) fn rejection(rejection: &Rejection, registry: &Registry, host: &dyn Host) -> Json {
    let (kind, message, details) = match &rejection.kind {
        RejectionKind::NoPrompt => ("no_prompt", "No prompt provided".into(), "No prompt provided".into()),
        RejectionKind::MissingNodeType { node, class, .. } => {
            let message = match class {
                None => "Cannot execute because a node is missing the class_type property.".into(),
                Some(class) => format!("Cannot execute because node {class} does not exist."),
            };
            ("invalid_prompt", message, format!("Node ID '#{node}'"))
        }
        RejectionKind::NoOutputs => ("prompt_no_outputs", "Prompt has no outputs".into(), String::new()),
        RejectionKind::OutputsFailed { details } => {
            ("prompt_outputs_failed_validation", "Prompt outputs failed validation".into(), details.clone())
        }
        // ComfyUI says the same with empty details, which helps nobody.
        RejectionKind::Cycle { nodes } => {
            let details = format!("The links go round in a circle: {}", nodes.join(" -> "));
            ("prompt_outputs_failed_validation", "Prompt outputs failed validation".into(), details)
        }
    };
    json!({
        "error": { "type": kind, "message": message, "details": details, "extra_info": {} },
        "node_errors": node_errors(&rejection.nodes, registry, host),
    })
}

/// `node_errors`, of a refused prompt or of the outputs that an accepted one leaves out.
pub(crate) fn node_errors(nodes: &IndexMap<String, NodeFaults>, registry: &Registry, host: &dyn Host) -> Json {
    let mut info = NodeInfo::new(host);
    let nodes: Map<_, _> = nodes
        .iter()
        .map(|(id, node)| {
            let style = registry.spec(&node.class).map_or(Style::V1, |spec| spec.style);
            let errors: Vec<_> = node.faults.iter().map(|fault| input_error(fault, style, &mut info)).collect();
            let node = json!({
                "errors": errors,
                "dependent_outputs": node.dependent_outputs,
                "class_type": node.class,
            });
            (id.clone(), node)
        })
        .collect();
    nodes.into()
}

/// One error. Its words are the graph's, which prints them in `details` of the whole as well.
fn input_error(fault: &InputFault, style: Style, info: &mut NodeInfo<'_>) -> Json {
    let (kind, extra_info) = kind_and_extra(fault, style, info);
    json!({ "type": kind, "message": fault.message(), "details": fault.details(style), "extra_info": extra_info })
}

fn kind_and_extra(fault: &InputFault, style: Style, info: &mut NodeInfo<'_>) -> (&'static str, Json) {
    let mut received = |field: &Field, received: &Json| json!({ "input_name": field.name, "input_config": info.input_config(field, style), "received_value": received });
    match fault {
        InputFault::Missing { input } => ("required_input_missing", json!({ "input_name": input })),
        InputFault::BadLink { field, received: value } => ("bad_linked_input", received(field, value)),
        InputFault::TooSmall { field, received: value, .. } => ("value_smaller_than_min", received(field, value)),
        InputFault::TooBig { field, received: value, .. } => ("value_bigger_than_max", received(field, value)),
        InputFault::NotInList { field, received: value, options } => {
            let mut extra = received(field, value);
            if options.len() > NAMES_PRINTED_MAX {
                extra["input_config"] = Json::Null;
            }
            ("value_not_in_list", extra)
        }
        InputFault::Conversion { field, received: value, reason } => {
            let mut extra = received(field, value);
            extra["exception_message"] = reason.as_str().into();
            ("invalid_input_type", extra)
        }
        InputFault::TypeMismatch { field, received_type, link, .. } => {
            let extra = json!({
                "input_name": field.name,
                "input_config": info.input_config(field, style),
                "received_type": received_type,
                "linked_node": link,
            });
            ("return_type_mismatch", extra)
        }
        InputFault::Refused { input, .. } => ("custom_validation_failed", json!({ "input_name": input })),
        InputFault::Broken { field: Some(field), link, exception, message, inner: true } => {
            let extra = json!({
                "input_name": field.name,
                "input_config": info.input_config(field, style),
                "exception_message": message,
                "exception_type": exception,
                "traceback": [],
                "linked_node": link,
            });
            ("exception_during_inner_validation", extra)
        }
        InputFault::Broken { exception, .. } => {
            ("exception_during_validation", json!({ "exception_type": exception, "traceback": [] }))
        }
    }
}
