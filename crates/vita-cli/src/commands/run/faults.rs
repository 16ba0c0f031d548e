//! What is wrong with a workflow, node by node, and what to do about it.

use vita_base::Report;
use vita_folders::Folders;
use vita_graph::{InputFault, Kind, NodeFaults, Options, Registry, Rejection, RejectionKind, Style};

/// Why a workflow is refused.
pub fn of(name: &str, rejection: &Rejection, registry: &Registry, folders: &Folders) -> Report {
    if !rejection.nodes.is_empty() {
        return of_nodes(name, rejection.nodes.iter(), registry, folders);
    }
    let report = Report::new(format!("`{name}` cannot run: {}", first_lower(&rejection.to_string())));
    match &rejection.kind {
        RejectionKind::MissingNodeType { node, class: Some(class), .. } => {
            Report::new(format!("`{name}` cannot run: node {node} is of the unknown class `{class}`"))
                .with_hint("delete or bypass the node if the result does not need it")
        }
        RejectionKind::NoOutputs => report.with_hint("a workflow ends in a node that saves or shows something"),
        RejectionKind::MissingNodeType { .. } | RejectionKind::NoPrompt => {
            report.with_hint("give a workflow that the page has saved, or one exported in API format")
        }
        RejectionKind::Cycle { nodes } => report.with_hint(format!("its nodes are {}", nodes.join(" -> "))),
        RejectionKind::OutputsFailed { .. } => report,
    }
}

/// What is wrong with these nodes.
pub fn of_nodes<'a>(
    name: &str,
    nodes: impl IntoIterator<Item = (&'a String, &'a NodeFaults)>,
    registry: &Registry,
    folders: &Folders,
) -> Report {
    let mut message = format!("`{name}` cannot run");
    let mut hints: Vec<String> = Vec::new();
    for (id, node) in nodes {
        let style = registry.spec(&node.class).map_or(Style::V1, |spec| spec.style);
        for fault in &node.faults {
            let what = first_lower(&fault.message());
            message.push_str(&format!("\n  node {id} ({}): {what}: {}", node.class, fault.details(style)));
            let hint = hint(id, fault, folders);
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
    }
    let report = Report::new(message);
    if hints.is_empty() { report } else { report.with_hint(hints.join("\n      ")) }
}

fn hint(id: &str, fault: &InputFault, folders: &Folders) -> String {
    let set = |input: &str, value: &str| format!("--set {id}.{input}={value}");
    match fault {
        InputFault::Missing { input } => format!("give it with {}, or connect it in the page", set(input, "VALUE")),
        InputFault::NotInList { field, .. } => match &field.kind {
            Kind::Combo { options: Options::Files { folder, .. }, .. } => {
                let place = place(folder, folders);
                format!("put the file into {place}, or choose another with {}", set(&field.name, "NAME"))
            }
            _ => format!("choose another with {}", set(&field.name, "NAME")),
        },
        InputFault::Conversion { field, .. }
        | InputFault::TooSmall { field, .. }
        | InputFault::TooBig { field, .. } => {
            format!("give another value with {}", set(&field.name, "VALUE"))
        }
        InputFault::Refused { input, .. } => format!("give another value with {}", set(input, "VALUE")),
        InputFault::BadLink { .. } | InputFault::TypeMismatch { .. } | InputFault::Broken { .. } => {
            format!("connect node {id} again in the page")
        }
    }
}

/// Where the files of a file picker lie.
fn place(folder: &str, folders: &Folders) -> String {
    let category = folder.split([' ', '/']).next().unwrap_or(folder);
    let path = match folders.category(category) {
        _ if category == "input" => Some(folders.input().to_owned()),
        Ok(category) => category.places.first().cloned(),
        Err(_) => None,
    };
    path.map_or_else(|| format!("the folder `{folder}`"), |path| format!("`{}`", path.display()))
}

fn first_lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
