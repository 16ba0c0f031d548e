//! A node's inputs as one workflow has them: dynamic ones are taken apart into dotted keys.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use crate::{Field, Group, Host, Kind, Options, Spec, Style, python};

/// An input that a workflow has or must have. Of a dynamic input these are its parts: `values.a`, `resize.width`.
#[derive(Clone, Debug)]
pub struct Live<'a> {
    /// Key in the workflow.
    pub key: Cow<'a, str>,
    /// What is expected there.
    pub field: &'a Field,
    /// Whether it may be absent; of a part this is not its field's group.
    pub group: Group,
}

impl Spec {
    /// The inputs for a node's `inputs`: all that are fixed or required, and the optional parts that are there.
    pub fn live<'a>(&'a self, inputs: &Map<String, Json>) -> Vec<Live<'a>> {
        let mut live = Vec::with_capacity(self.inputs.len());
        for field in &self.inputs {
            expand(Live { key: Cow::Borrowed(&field.name), field, group: field.group }, inputs, &mut live);
        }
        live
    }
}

impl Live<'_> {
    /// The field under its key in the workflow.
    pub fn to_field(&self) -> Field {
        Field { name: self.key.clone().into_owned(), group: self.group, ..self.field.clone() }
    }
}

impl Kind {
    /// ComfyUI's name of the type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Int { .. } => "INT",
            Self::Float { .. } => "FLOAT",
            Self::Bool { .. } => "BOOLEAN",
            Self::Text { .. } => "STRING",
            Self::Combo { .. } => "COMBO",
            Self::Link(kind) => kind,
            Self::Autogrow { .. } => "COMFY_AUTOGROW_V3",
            Self::DynamicCombo { .. } => "COMFY_DYNAMICCOMBO_V3",
            Self::Match { .. } => MATCH_TYPE,
        }
    }

    /// The type as ComfyUI's messages print it: a combo of the first form is the list of its choices.
    pub fn type_text(&self, style: Style, host: &dyn Host) -> String {
        match (self, style) {
            (Self::Combo { options, .. }, Style::V1) => python::repr_list(&options.names(host)),
            _ => self.type_name().into(),
        }
    }

    /// Whether an output of a type may be linked to this.
    pub fn accepts(&self, received: &str) -> bool {
        let wanted = self.type_name();
        let any = |kind: &str| kind == "*" || kind == MATCH_TYPE;
        received == wanted
            || received.split(',').map(str::trim).any(|received| {
                any(received) || wanted.split(',').map(str::trim).any(|wanted| any(wanted) || wanted == received)
            })
    }
}

impl Options {
    /// Whether a name is among them.
    pub fn has(&self, name: &str, host: &dyn Host) -> bool {
        let (known, folder) = match self {
            Self::List(names) => (names, None),
            Self::Files { folder, first } => (first, Some(folder)),
        };
        known.iter().any(|known| known == name)
            || folder.is_some_and(|folder| host.files(folder).iter().any(|file| file == name))
    }

    /// The names at the moment.
    pub fn names(&self, host: &dyn Host) -> Vec<String> {
        match self {
            Self::List(names) => names.clone(),
            Self::Files { folder, first } => first.iter().cloned().chain(host.files(folder)).collect(),
        }
    }
}

const MATCH_TYPE: &str = "COMFY_MATCHTYPE_V3";

fn expand<'a>(live: Live<'a>, inputs: &Map<String, Json>, out: &mut Vec<Live<'a>>) {
    match &live.field.kind {
        // What is not there is not asked for, also below the least number that a page shows: so ComfyUI has it.
        Kind::Autogrow { item, names, prefix, min, max } => {
            let count = if names.is_empty() { *max } else { names.len() };
            for index in 0..count {
                let key = match names.get(index) {
                    Some(name) => format!("{}.{name}", live.key),
                    None => format!("{}.{prefix}{index}", live.key),
                };
                if inputs.contains_key(&key) {
                    let group = if index < *min { item.group } else { Group::Optional };
                    expand(Live { key: key.into(), field: item, group }, inputs, out);
                }
            }
        }
        Kind::DynamicCombo { options } => {
            let chosen = inputs.get(&*live.key).and_then(Json::as_str);
            let parts = options.iter().find(|(key, _)| Some(key.as_str()) == chosen);
            let key = live.key.clone();
            out.push(live);
            for field in parts.iter().flat_map(|(_, fields)| fields) {
                let key = format!("{key}.{}", field.name).into();
                expand(Live { key, field, group: field.group }, inputs, out);
            }
        }
        _ => out.push(live),
    }
}
