//! What a node says of itself: inputs, outputs, names. Validation, `/object_info` and the pages derive from it.

use std::ops::RangeInclusive;

/// A node's description, built once per node.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Name in workflows, `KSampler`.
    pub class: &'static str,
    /// Name on the page; where there is none the class stands for it.
    pub display_name: Option<&'static str>,
    /// Place in the page's menu, folders separated by `/`.
    pub category: &'static str,
    /// What it does, in a sentence or two of ours.
    pub description: &'static str,
    /// Where ComfyUI has it (`nodes`, `comfy_extras.nodes_wan`, `custom_nodes.ComfyUI-WanVideoWrapper`).
    pub module: &'static str,
    /// Which of ComfyUI's two forms of node it is; they differ in `/object_info`.
    pub style: Style,
    /// In the order of the page's widgets: required first, then optional.
    pub inputs: Vec<Field>,
    /// What is passed besides.
    pub hidden: Vec<Hidden>,
    /// In the order of slots.
    pub outputs: Vec<OutputSlot>,
    /// Whether it is a goal of a workflow.
    pub output_node: bool,
    /// Whether it takes whole lists rather than being run once per item.
    pub input_is_list: bool,
    /// Whether another node has taken its place.
    pub deprecated: bool,
    /// Whether it may still change.
    pub experimental: bool,
}

/// ComfyUI's two forms of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A class with `INPUT_TYPES`.
    V1,
    /// A schema of `io.Schema`.
    V3,
}

/// Where an input stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// A workflow without it is refused.
    Required,
    /// May be absent.
    Optional,
}

/// What a node may ask for besides its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// The prompt it is part of.
    Prompt,
    /// What the client wants embedded in files.
    ExtraPngInfo,
    /// Its own id, which then is part of its cache key.
    UniqueId,
    /// The part of the prompt that may be rewritten while it runs.
    DynPrompt,
}

/// An input.
#[derive(Clone, Debug)]
pub struct Field {
    /// Key in the workflow.
    pub name: String,
    /// Required or optional.
    pub group: Group,
    /// Type, default, range.
    pub kind: Kind,
    /// What it means, in our words.
    pub tooltip: &'static str,
    /// Evaluated only when the node asks for it.
    pub lazy: bool,
    /// Shown as a slot rather than as a widget.
    pub force_input: bool,
    /// Folded away on the page.
    pub advanced: bool,
    /// Further options of `/object_info`, as they are.
    pub extra: Vec<(&'static str, serde_json::Value)>,
}

/// The type of an input.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A whole number.
    Int {
        /// Where the workflow says nothing.
        default: Option<i128>,
        /// Least and greatest.
        range: RangeInclusive<i128>,
        /// Of the widget's arrows; not checked.
        step: Option<i128>,
        /// Whether the page draws a new one after each run.
        control_after_generate: bool,
    },
    /// A number.
    Float {
        /// Where the workflow says nothing.
        default: Option<f64>,
        /// Least and greatest; infinite where there is no bound.
        range: RangeInclusive<f64>,
        /// Of the widget's arrows; not checked.
        step: Option<f64>,
        /// The page rounds to multiples of this.
        round: Option<f64>,
    },
    /// A truth value.
    Bool {
        /// Where the workflow says nothing.
        default: Option<bool>,
    },
    /// Text.
    Text {
        /// Where the workflow says nothing.
        default: Option<&'static str>,
        /// A box of several lines.
        multiline: bool,
        /// `{a|b}` is chosen by the page.
        dynamic_prompts: bool,
    },
    /// One of several names.
    Combo {
        /// The names.
        options: Options,
        /// Where the workflow says nothing and the first is not it.
        default: Option<String>,
    },
    /// What another node makes: `MODEL`, `*`, or several, `FLOAT,INT`.
    Link(&'static str),
    /// As many inputs as there are links: `prefix0`, `prefix1`, ..., or `names`, as dotted keys `field.name`.
    Autogrow {
        /// The type of each.
        item: Box<Field>,
        /// Names in order; empty if they are counted.
        names: Vec<String>,
        /// Of the counted names.
        prefix: &'static str,
        /// Least number of them.
        min: usize,
        /// Greatest number of them.
        max: usize,
    },
    /// A choice that brings further inputs, as dotted keys `field.name`.
    DynamicCombo {
        /// Each choice and its inputs.
        options: Vec<(String, Vec<Field>)>,
    },
    /// Any type, the same for all inputs and outputs of one template.
    Match {
        /// The template's name.
        template: &'static str,
        /// Types that may be, `*` for any.
        allowed: &'static str,
    },
}

/// Names of a combo.
#[derive(Clone, Debug)]
pub enum Options {
    /// Fixed ones.
    List(Vec<String>),
    /// The files of a folder as the host sees them at the moment (`diffusion_models`, `vae`, `input`), after some fixed names.
    Files {
        /// The folders' key.
        folder: &'static str,
        /// Fixed names, and whether they come before or after is the host's files' business: these come first.
        first: Vec<String>,
    },
}

/// An output.
#[derive(Clone, Debug)]
pub struct OutputSlot {
    /// `LATENT`, `IMAGE`, ...
    pub kind: &'static str,
    /// Label; the type where it has none of its own.
    pub name: &'static str,
    /// Whether the slot holds a list, over which the next nodes are run one by one.
    pub is_list: bool,
    /// The template of [`Kind::Match`] that decides its type.
    pub template: Option<&'static str>,
    /// What it is, in our words.
    pub tooltip: &'static str,
}

impl Spec {
    /// A node without inputs or outputs.
    pub fn new(class: &'static str, category: &'static str) -> Self {
        Self {
            class,
            display_name: None,
            category,
            description: "",
            module: "nodes",
            style: Style::V1,
            inputs: Vec::new(),
            hidden: Vec::new(),
            outputs: Vec::new(),
            output_node: false,
            input_is_list: false,
            deprecated: false,
            experimental: false,
        }
    }

    /// Adds a required input.
    #[must_use]
    pub fn input(mut self, name: &str, field: Field) -> Self {
        self.inputs.push(Field { name: name.into(), group: Group::Required, ..field });
        self
    }

    /// Adds an optional input.
    #[must_use]
    pub fn optional(mut self, name: &str, field: Field) -> Self {
        self.inputs.push(Field { name: name.into(), group: Group::Optional, ..field });
        self
    }

    /// Adds an output whose label is its type.
    #[must_use]
    pub fn output(self, kind: &'static str) -> Self {
        self.output_named(kind, kind)
    }

    /// Adds an output.
    #[must_use]
    pub fn output_named(mut self, kind: &'static str, name: &'static str) -> Self {
        self.outputs.push(OutputSlot { kind, name, is_list: false, template: None, tooltip: "" });
        self
    }

    /// Asks for something besides the inputs.
    #[must_use]
    pub fn hidden(mut self, hidden: Hidden) -> Self {
        self.hidden.push(hidden);
        self
    }

    /// Makes it a goal of workflows.
    #[must_use]
    pub fn output_node(mut self) -> Self {
        self.output_node = true;
        self
    }

    /// Names ComfyUI's module and form.
    #[must_use]
    pub fn module(mut self, module: &'static str, style: Style) -> Self {
        self.module = module;
        self.style = style;
        self
    }

    /// The name on the page.
    #[must_use]
    pub fn display(mut self, name: &'static str) -> Self {
        self.display_name = Some(name);
        self
    }

    /// What it does.
    #[must_use]
    pub fn describe(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// The input of a name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.inputs.iter().find(|field| field.name == name)
    }
}

impl Field {
    /// What it means.
    #[must_use]
    pub fn tooltip(mut self, tooltip: &'static str) -> Self {
        self.tooltip = tooltip;
        self
    }

    /// Evaluated only when asked for.
    #[must_use]
    pub fn lazy(mut self) -> Self {
        self.lazy = true;
        self
    }

    /// A slot rather than a widget.
    #[must_use]
    pub fn force_input(mut self) -> Self {
        self.force_input = true;
        self
    }

    /// Folded away on the page.
    #[must_use]
    pub fn advanced(mut self) -> Self {
        self.advanced = true;
        self
    }

    /// A further option of `/object_info`.
    #[must_use]
    pub fn extra(mut self, key: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.extra.push((key, value.into()));
        self
    }

    /// The name of the default of a combo.
    #[must_use]
    pub fn default_choice(mut self, choice: &str) -> Self {
        if let Kind::Combo { default, .. } = &mut self.kind {
            *default = Some(choice.into());
        }
        self
    }
}

/// An input of a kind.
pub fn field(kind: Kind) -> Field {
    Field {
        name: String::new(),
        group: Group::Required,
        kind,
        tooltip: "",
        lazy: false,
        force_input: false,
        advanced: false,
        extra: Vec::new(),
    }
}

/// A whole number.
pub fn int(default: i128, range: RangeInclusive<i128>, step: i128) -> Field {
    field(Kind::Int { default: Some(default), range, step: Some(step), control_after_generate: false })
}

/// A seed: 0 to 2^64 - 1, drawn anew by the page after each run.
pub fn seed() -> Field {
    field(Kind::Int { default: Some(0), range: 0..=u64::MAX.into(), step: None, control_after_generate: true })
}

/// A number.
pub fn float(default: f64, range: RangeInclusive<f64>, step: f64) -> Field {
    field(Kind::Float { default: Some(default), range, step: Some(step), round: None })
}

/// A truth value.
pub fn switch(default: bool) -> Field {
    field(Kind::Bool { default: Some(default) })
}

/// A line of text.
pub fn text(default: &'static str) -> Field {
    field(Kind::Text { default: Some(default), multiline: false, dynamic_prompts: false })
}

/// One of several names; the first is the default.
pub fn combo<S: AsRef<str>>(options: impl IntoIterator<Item = S>) -> Field {
    let options = options.into_iter().map(|option| option.as_ref().to_owned()).collect();
    field(Kind::Combo { options: Options::List(options), default: None })
}

/// One of a folder's files.
pub fn files(folder: &'static str) -> Field {
    field(Kind::Combo { options: Options::Files { folder, first: Vec::new() }, default: None })
}

/// What another node makes.
pub fn link(kind: &'static str) -> Field {
    field(Kind::Link(kind))
}
