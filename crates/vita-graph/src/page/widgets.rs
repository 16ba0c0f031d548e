//! Which widget value belongs to which input: the page saves them by position.

use std::iter::Peekable;
use std::slice::Iter;

use serde_json::{Map, Value as Json};

use crate::{Field, Group, Kind, Options, Spec};

/// What the widget beside a seed may say; it stands after the seed's value and is no input.
const CONTROLS: [&str; 4] = ["fixed", "increment", "decrement", "randomize"];

/// Buttons that take a file: they have a value too, after those of the required inputs.
const UPLOADS: [&str; 5] = ["image_upload", "video_upload", "audio_upload", "animated_image_upload", "file_upload"];

/// A node's widget values by input name; where the workflow has none, the defaults.
pub(super) fn values(spec: &Spec, saved: &Json) -> Map<String, Json> {
    let mut inputs = Map::new();
    if let Json::Object(named) = saved {
        // Some nodes save theirs by name; what is an object is the state of the page, not of the node.
        inputs.extend(
            named.iter().filter(|(_, value)| !value.is_object()).map(|(name, value)| (name.clone(), value.clone())),
        );
        for field in &spec.inputs {
            if is_widget(field) && !inputs.contains_key(&field.name) {
                inputs.extend(default(field).map(|value| (field.name.clone(), value)));
            }
        }
        return inputs;
    }
    let mut saved = saved.as_array().map_or(&[][..], Vec::as_slice).iter().peekable();
    for group in [Group::Required, Group::Optional] {
        for field in spec.inputs.iter().filter(|field| field.group == group) {
            take(field, &field.name, &mut saved, &mut inputs);
        }
        let uploads = spec.inputs.iter().filter(|field| field.group == group && has_button(field)).count();
        for _ in 0..uploads {
            saved.next();
        }
    }
    inputs
}

fn take(field: &Field, key: &str, saved: &mut Peekable<Iter<'_, Json>>, inputs: &mut Map<String, Json>) {
    if !is_widget(field) {
        return;
    }
    let value = saved.next().filter(|value| !value.is_null()).cloned().or_else(|| default(field));
    if is_controlled(field)
        && saved.peek().and_then(|value| value.as_str()).is_some_and(|word| CONTROLS.contains(&word))
    {
        saved.next();
    }
    let Some(value) = value else {
        return;
    };
    let chosen = value.as_str().map(String::from);
    inputs.insert(key.to_owned(), value);
    if let Kind::DynamicCombo { options } = &field.kind {
        let parts = options.iter().find(|(name, _)| Some(name) == chosen.as_ref());
        for part in parts.iter().flat_map(|(_, fields)| fields) {
            take(part, &format!("{key}.{}", part.name), saved, inputs);
        }
    }
}

fn is_widget(field: &Field) -> bool {
    let kind = match &field.kind {
        Kind::Int { .. } | Kind::Float { .. } | Kind::Bool { .. } | Kind::Text { .. } => true,
        Kind::Combo { .. } | Kind::DynamicCombo { .. } => true,
        Kind::Link(_) | Kind::Autogrow { .. } | Kind::Match { .. } => false,
    };
    kind && !field.force_input
}

/// The page adds a control to every number called a seed, asked or not.
fn is_controlled(field: &Field) -> bool {
    let asked = field.extra.iter().any(|(key, value)| *key == "control_after_generate" && *value != false);
    match field.kind {
        Kind::Int { control_after_generate, .. } => {
            asked || control_after_generate || matches!(field.name.as_str(), "seed" | "noise_seed")
        }
        _ => asked,
    }
}

fn has_button(field: &Field) -> bool {
    field.extra.iter().any(|(key, value)| UPLOADS.contains(key) && *value == true)
}

fn default(field: &Field) -> Option<Json> {
    match &field.kind {
        Kind::Int { default, .. } => serde_json::Number::from_i128((*default)?).map(Json::from),
        Kind::Float { default, .. } => default.map(Json::from),
        Kind::Bool { default } => default.map(Json::from),
        Kind::Text { default, .. } => default.map(Json::from),
        Kind::Combo { default: Some(name), .. } => Some(name.as_str().into()),
        Kind::Combo { options: Options::List(names), .. } => names.first().map(|name| name.as_str().into()),
        Kind::Combo { options: Options::Files { first, .. }, .. } => first.first().map(|name| name.as_str().into()),
        Kind::DynamicCombo { options } => options.first().map(|(name, _)| name.as_str().into()),
        Kind::Link(_) | Kind::Autogrow { .. } | Kind::Match { .. } => None,
    }
}
