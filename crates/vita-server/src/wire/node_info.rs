//! What `/object_info` says of a node, and the `input_config` of errors, both from its [`Spec`].

use std::collections::HashMap;

use serde_json::{Map, Number, Value as Json, json};
use vita_graph::{Field, Group, Hidden, Host, Kind, Options, Spec, Style};

/// Descriptions of nodes as of one moment: each folder is listed once.
pub(crate) struct NodeInfo<'a> {
    host: &'a dyn Host,
    files: HashMap<&'static str, Vec<String>>,
}

impl<'a> NodeInfo<'a> {
    /// Descriptions with the files that the host sees now.
    pub(crate) fn new(host: &'a dyn Host) -> Self {
        Self { host, files: HashMap::new() }
    }

    /// A node's entry in `/object_info`.
    pub(crate) fn of(&mut self, spec: &Spec) -> Json {
        let groups = self.groups(&spec.inputs, spec.style, &spec.hidden);
        let order: Map<_, _> = groups
            .iter()
            .map(|(group, inputs)| {
                (group.clone(), inputs.as_object().map(|inputs| inputs.keys().cloned().collect()).unwrap_or_default())
            })
            .collect();
        let mut info = Map::new();
        info.insert("input".into(), groups.into());
        info.insert("input_order".into(), order.into());
        info.insert("output".into(), spec.outputs.iter().map(|slot| slot.kind).collect());
        info.insert("output_is_list".into(), spec.outputs.iter().map(|slot| slot.is_list).collect());
        info.insert("output_name".into(), spec.outputs.iter().map(|slot| slot.name).collect());
        output_tooltips(spec, &mut info);
        if spec.style == Style::V3 {
            let templates = spec.outputs.iter().any(|slot| slot.template.is_some());
            let templates = templates.then(|| spec.outputs.iter().map(|slot| slot.template).collect::<Vec<_>>());
            info.insert("output_matchtypes".into(), json!(templates));
        }
        info.insert("name".into(), spec.class.into());
        let display_name = match spec.style {
            Style::V1 => Some(spec.display_name.unwrap_or(spec.class)),
            Style::V3 => spec.display_name,
        };
        info.insert("display_name".into(), display_name.into());
        info.insert("description".into(), spec.description.into());
        info.insert("python_module".into(), spec.module.into());
        info.insert("category".into(), spec.category.into());
        info.insert("output_node".into(), spec.output_node.into());
        for (key, holds) in [("deprecated", spec.deprecated), ("experimental", spec.experimental)] {
            if holds || spec.style == Style::V3 {
                info.insert(key.into(), holds.into());
            }
        }
        if spec.style == Style::V3 {
            info.insert("api_node".into(), false.into());
        }
        info.into()
    }

    /// An input as `[type]` or `[type, options]`.
    pub(crate) fn field(&mut self, field: &Field, style: Style) -> Json {
        let (kind, options) = self.kind_and_options(field, style);
        if options.is_empty() && style == Style::V1 { json!([kind]) } else { json!([kind, options]) }
    }

    /// The same in an error, where the options are never left out.
    pub(crate) fn input_config(&mut self, field: &Field, style: Style) -> Json {
        let (kind, options) = self.kind_and_options(field, style);
        json!([kind, options])
    }

    fn kind_and_options(&mut self, field: &Field, style: Style) -> (Json, Map<String, Json>) {
        let mut options = Map::new();
        let kind = self.kind(field, style, &mut options);
        if !field.tooltip.is_empty() {
            options.insert("tooltip".into(), field.tooltip.into());
        }
        for (key, holds) in [("lazy", field.lazy), ("forceInput", field.force_input), ("advanced", field.advanced)] {
            if holds {
                options.insert(key.into(), true.into());
            }
        }
        for (key, value) in &field.extra {
            options.insert((*key).into(), value.clone());
        }
        (kind, options)
    }

    /// `{"required": {...}, "optional": {...}, "hidden": {...}}`; the last two where there are any.
    fn groups(&mut self, fields: &[Field], style: Style, hidden: &[Hidden]) -> Map<String, Json> {
        let mut groups = Map::new();
        groups.insert("required".into(), json!({}));
        for (key, group) in [("required", Group::Required), ("optional", Group::Optional)] {
            let members: Map<_, _> = fields
                .iter()
                .filter(|field| field.group == group)
                .map(|field| (field.name.clone(), self.field(field, style)))
                .collect();
            if !members.is_empty() {
                groups.insert(key.into(), members.into());
            }
        }
        if !hidden.is_empty() {
            groups.insert("hidden".into(), hidden.iter().map(|hidden| hidden_entry(*hidden, style)).collect());
        }
        groups
    }

    /// The type; what belongs to it goes into `options`.
    fn kind(&mut self, field: &Field, style: Style, options: &mut Map<String, Json>) -> Json {
        let mut set = |key: &str, value: Json| options.insert(key.to_owned(), value);
        match &field.kind {
            Kind::Int { default, range, step, control_after_generate } => {
                let whole = |value: i128| Number::from_i128(value).map(Json::from);
                let members = [
                    ("default", *default),
                    ("min", Some(*range.start())),
                    ("max", Some(*range.end())),
                    ("step", *step),
                ];
                for (key, value) in members {
                    if let Some(value) = value.and_then(whole) {
                        set(key, value);
                    }
                }
                if *control_after_generate {
                    set("control_after_generate", true.into());
                }
                "INT".into()
            }
            Kind::Float { default, range, step, round } => {
                let members = [
                    ("default", *default),
                    ("min", Some(*range.start())),
                    ("max", Some(*range.end())),
                    ("step", *step),
                    ("round", *round),
                ];
                for (key, value) in members {
                    if let Some(value) = value.and_then(Number::from_f64) {
                        set(key, value.into());
                    }
                }
                "FLOAT".into()
            }
            Kind::Bool { default } => {
                if let Some(default) = default {
                    set("default", (*default).into());
                }
                "BOOLEAN".into()
            }
            Kind::Text { default, multiline, dynamic_prompts } => {
                if let Some(default) = default {
                    set("default", (*default).into());
                }
                if *multiline || style == Style::V3 {
                    set("multiline", (*multiline).into());
                }
                if *dynamic_prompts {
                    set("dynamicPrompts", true.into());
                }
                "STRING".into()
            }
            Kind::Combo { options: names, default } => {
                if let Some(default) = default {
                    set("default", default.as_str().into());
                }
                let names = Json::from(self.names(names));
                match style {
                    Style::V1 => names,
                    Style::V3 => {
                        set("multiselect", false.into());
                        set("options", names);
                        "COMBO".into()
                    }
                }
            }
            Kind::Link(kind) => (*kind).into(),
            Kind::Autogrow { item, names, prefix, min, max } => {
                let input = self.groups(std::slice::from_ref(&**item), style, &[]);
                let template = if names.is_empty() {
                    json!({ "input": input, "prefix": prefix, "min": min, "max": max })
                } else {
                    json!({ "input": input, "names": names, "min": min })
                };
                set("template", template);
                "COMFY_AUTOGROW_V3".into()
            }
            Kind::DynamicCombo { options: choices } => {
                let choices: Vec<_> = choices
                    .iter()
                    .map(|(key, fields)| json!({ "key": key, "inputs": self.groups(fields, style, &[]) }))
                    .collect();
                set("options", choices.into());
                "COMFY_DYNAMICCOMBO_V3".into()
            }
            Kind::Match { template, allowed } => {
                set("template", json!({ "template_id": template, "allowed_types": allowed }));
                "COMFY_MATCHTYPE_V3".into()
            }
        }
    }

    /// The names of a combo, the files of a folder as they are now.
    fn names(&mut self, options: &Options) -> Vec<String> {
        match options {
            Options::List(names) => names.clone(),
            Options::Files { folder, first } => {
                let files = self.files.entry(folder).or_insert_with(|| self.host.files(folder));
                first.iter().chain(files.iter()).cloned().collect()
            }
        }
    }
}

fn output_tooltips(spec: &Spec, info: &mut Map<String, Json>) {
    let any = spec.outputs.iter().any(|slot| !slot.tooltip.is_empty());
    let tooltips: Vec<Json> = match spec.style {
        Style::V1 if any => spec.outputs.iter().map(|slot| slot.tooltip.into()).collect(),
        Style::V1 => return,
        Style::V3 => {
            spec.outputs.iter().map(|slot| Some(slot.tooltip).filter(|text| !text.is_empty()).into()).collect()
        }
    };
    info.insert("output_tooltips".into(), tooltips.into());
}

fn hidden_entry(hidden: Hidden, style: Style) -> (String, Json) {
    let (name, kind) = match hidden {
        Hidden::Prompt => ("prompt", "PROMPT"),
        Hidden::ExtraPngInfo => ("extra_pnginfo", "EXTRA_PNGINFO"),
        Hidden::UniqueId => ("unique_id", "UNIQUE_ID"),
        Hidden::DynPrompt => ("dynprompt", "DYNPROMPT"),
    };
    let kind = match style {
        Style::V1 => json!(kind),
        Style::V3 => json!([kind]),
    };
    (name.into(), kind)
}
