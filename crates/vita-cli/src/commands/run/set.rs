//! `--set NODE.INPUT=VALUE`: other values for a workflow's inputs.

use std::str::FromStr;

use serde_json::{Map, Value as Json};
use vita_base::Report;
use vita_graph::{Kind, Registry, Spec};

/// One `--set`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    node: String,
    input: String,
    value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(place, value)| Some((place.split_once('.')?, value)));
        match parts {
            Some(((node, input), value)) if !node.is_empty() && !input.is_empty() => {
                Ok(Self { node: node.into(), input: input.into(), value: value.into() })
            }
            _ => Err("expected NODE.INPUT=VALUE, such as 3.seed=7".to_owned()),
        }
    }
}

/// Changes a prompt in API format.
///
/// # Errors
/// If it has no such node, or the node no such input.
pub fn apply(prompt: &mut Json, registry: &Registry, settings: &[Setting]) -> Result<(), Report> {
    let Some(nodes) = prompt.as_object_mut() else {
        return Ok(());
    };
    for setting in settings {
        let id = find(nodes, registry, &setting.node)?;
        let node = &mut nodes[&id];
        let spec = node["class_type"].as_str().and_then(|class| registry.spec(class)).cloned();
        if !node["inputs"].is_object() {
            node["inputs"] = Json::Object(Map::new());
        }
        let inputs = node["inputs"].as_object_mut().expect("made one");
        let value = match &spec {
            Some(spec) => value(setting, spec, inputs, &id)?,
            // Told when the workflow is checked.
            None => setting.value.clone().into(),
        };
        inputs.insert(setting.input.clone(), value);
    }
    Ok(())
}

/// Id of a node by its id, title or class.
fn find(nodes: &Map<String, Json>, registry: &Registry, name: &str) -> Result<String, Report> {
    if nodes.contains_key(name) {
        return Ok(name.to_owned());
    }
    let has_name = |node: &&Json| {
        let class = node["class_type"].as_str().unwrap_or("");
        let shown = registry.spec(class).and_then(|spec| spec.display_name);
        node.pointer("/_meta/title").and_then(Json::as_str) == Some(name) || class == name || shown == Some(name)
    };
    let found: Vec<&String> = nodes.iter().filter(|(_, node)| has_name(node)).map(|(id, _)| id).collect();
    match found.as_slice() {
        [id] => Ok((*id).clone()),
        [] => {
            let all: Vec<String> =
                nodes.iter().map(|(id, node)| format!("{id} {}", node["class_type"].as_str().unwrap_or("?"))).collect();
            Err(Report::new(format!("--set: there is no node `{name}` in this workflow"))
                .with_hint(format!("its nodes are {}", all.join(", "))))
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|id| id.as_str()).collect();
            Err(Report::new(format!("--set: {} nodes are called `{name}`", ids.len()))
                .with_hint(format!("name one by its id: {}", ids.join(", "))))
        }
    }
}

/// The value as the input's type has it. A text that is no number where one is wanted stays a text: the check of the
/// whole workflow says so.
fn value(setting: &Setting, spec: &Spec, inputs: &Map<String, Json>, id: &str) -> Result<Json, Report> {
    let Setting { input, value, .. } = setting;
    let live = spec.live(inputs);
    let text = || Json::from(value.as_str());
    let parsed = || serde_json::from_str(value).ok().filter(|json: &Json| !json.is_object());
    if let Some(known) = live.iter().find(|live| live.key == *input) {
        return Ok(match known.field.kind {
            Kind::Text { .. } | Kind::Combo { .. } | Kind::DynamicCombo { .. } => text(),
            _ => parsed().unwrap_or_else(text),
        });
    }
    // Parts of inputs that grow, and settings that go with a choice, are no inputs of their own.
    let begins = input.split_once('.').is_some_and(|(start, _)| spec.inputs.iter().any(|field| field.name == start));
    if begins || inputs.contains_key(input) || has_further_settings(spec) {
        return Ok(parsed().unwrap_or_else(text));
    }
    let names: Vec<&str> = live.iter().map(|live| &*live.key).collect();
    Err(Report::new(format!("--set: node {id} ({}) has no input `{input}`", spec.class))
        .with_hint(format!("it has {}", names.join(", "))))
}

/// Whether a choice of the node brings settings of its own, as video formats do.
fn has_further_settings(spec: &Spec) -> bool {
    spec.inputs.iter().any(|field| field.extra.iter().any(|(key, _)| *key == "formats"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(prompt: &Json, settings: &[&str]) -> Result<Json, String> {
        let mut prompt = prompt.clone();
        let settings: Vec<Setting> = settings.iter().map(|text| text.parse().unwrap()).collect();
        match apply(&mut prompt, &vita_nodes::registry(), &settings) {
            Ok(()) => Ok(prompt),
            Err(report) => Err(report.to_string()),
        }
    }

    #[test]
    fn values_take_the_type_of_the_input() {
        let prompt = json!({
            "3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": ["9", 0]}},
            "4:1": {"class_type": "CLIPTextEncode", "inputs": {}, "_meta": {"title": "Positive"}},
            "5": {"class_type": "CLIPTextEncode", "_meta": {"title": "Negative"}},
        });
        let text = "a = b. 7";
        let made = set(
            &prompt,
            &[
                "3.seed=18446744073709551615",
                "KSampler.steps=4",
                "3.cfg=2.5",
                "3.sampler_name=euler",
                "3.model=[\"9\", 0]",
                &format!("4:1.text={text}"),
                "Negative.text=12",
                "3.denoise=much",
            ],
        )
        .unwrap();
        assert_eq!(
            made["3"]["inputs"],
            json!({"seed": u64::MAX, "steps": 4, "cfg": 2.5, "sampler_name": "euler", "model": ["9", 0], "denoise": "much"})
        );
        assert_eq!((&made["4:1"]["inputs"]["text"], &made["5"]["inputs"]["text"]), (&json!(text), &json!("12")));
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let prompt = json!({
            "1": {"class_type": "CreateVideo", "inputs": {}},
            "2": {"class_type": "VAELoader", "inputs": {}},
            "3": {"class_type": "VAELoader", "inputs": {}},
        });
        for (setting, want) in [
            ("7.fps=1", "error: --set: there is no node `7` in this workflow\n\nhint: its nodes are 1 CreateVideo, "),
            ("VAELoader.vae_name=a", "error: --set: 2 nodes are called `VAELoader`\n\nhint: name one by its id: 2, 3"),
            ("1.fpss=1", "error: --set: node 1 (CreateVideo) has no input `fpss`\n\nhint: it has images, fps, audio"),
        ] {
            let error = set(&prompt, &[setting]).unwrap_err();
            assert!(error.starts_with(want), "{error}");
        }
        for text in ["", "3", "3.seed", "seed=1", ".seed=1", "3.=1"] {
            assert_eq!(text.parse::<Setting>().unwrap_err(), "expected NODE.INPUT=VALUE, such as 3.seed=7", "{text}");
        }
    }
}
