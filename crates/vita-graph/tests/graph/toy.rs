//! Small nodes that show one feature each, a host that records what ran, and prompts in one line.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value as Json, json};
use vita_base::Cancel;
use vita_graph::{
    Context, Event, Executor, Field, Hidden, Host, Inputs, Kind, Node, NodeError, Observer, Outcome, Outputs, Plan,
    Refusal, Registry, Spec, Style, Value, combo, field, files, float, int, link, switch, text, validate,
};

/// What the toys record and are told.
#[derive(Default)]
pub struct Toys {
    pub ran: Mutex<Vec<String>>,
    pub stamps: Mutex<HashMap<String, String>>,
}

impl Host for Toys {
    fn files(&self, folder: &str) -> Vec<String> {
        vec![format!("{folder}/a.bin"), "b.bin".into()]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Toys {
    /// The nodes that ran since the last call, in order.
    pub fn take_ran(&self) -> String {
        std::mem::take(&mut *self.ran.lock().unwrap()).join(" ")
    }
}

type Work = fn(&Inputs, &mut Context<'_>) -> Result<Outputs, NodeError>;

/// A node made of a description and a function.
struct Toy {
    spec: fn() -> Spec,
    work: Work,
    needs: fn(&Inputs) -> Vec<String>,
    stamped: bool,
    judges: &'static [&'static str],
}

impl Node for Toy {
    fn spec(&self) -> Spec {
        (self.spec)()
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        context.host::<Toys>().ran.lock().unwrap().push(context.node.to_owned());
        (self.work)(inputs, context)
    }

    fn stamp(&self, inputs: &Inputs, context: &Context<'_>) -> Result<Option<String>, NodeError> {
        if !self.stamped {
            return Ok(None);
        }
        let file = inputs.text("file")?;
        let stamp = context.host::<Toys>().stamps.lock().unwrap().get(file).cloned();
        stamp.map(Some).ok_or_else(|| NodeError::value(format!("no file {file}")))
    }

    fn judges(&self) -> &'static [&'static str] {
        self.judges
    }

    fn refuse(&self, inputs: &Inputs, _: &dyn Host) -> Vec<Refusal> {
        let refusal = |reason: Option<&str>| Refusal { input: "file".into(), reason: reason.map(String::from) };
        match inputs.text("file") {
            Ok("no") => vec![refusal(None)],
            Ok("bad") => vec![refusal(Some("Invalid file: bad"))],
            Ok("panic") => panic!("toy"),
            _ => Vec::new(),
        }
    }

    fn needs(&self, inputs: &Inputs) -> Vec<String> {
        (self.needs)(inputs)
    }
}

const PLAIN: Toy =
    Toy { spec: || Spec::new("Plain", "toy"), work: nothing, needs: |_| Vec::new(), stamped: false, judges: &[] };

/// In the order of their classes.
static TOYS: &[&Toy] = &[
    &Toy { spec: all, work: nothing, ..PLAIN },
    &Toy { spec: || v3("Block").input("words", text("")).output("*"), work: block, ..PLAIN },
    &Toy { spec: || Spec::new("Cancel", "toy").input("a", wide()).output("INT"), work: cancel, ..PLAIN },
    &Toy { spec: choose, work: names, ..PLAIN },
    &Toy { spec: || Spec::new("Fail", "toy").input("a", wide()).output("INT"), work: fail, ..PLAIN },
    &Toy {
        spec: || Spec::new("File", "toy").input("file", text("")).output("STRING"),
        work: file,
        stamped: true,
        ..PLAIN
    },
    &Toy { spec: grow, work: grown, ..PLAIN },
    &Toy { spec: || Spec::new("Int", "toy").input("value", int(0, 0..=100, 1)).output("INT"), work: pass_int, ..PLAIN },
    &Toy { spec: judge, work: nothing, judges: &["file"], ..PLAIN },
    &Toy { spec: list, work: count_up, ..PLAIN },
    &Toy { spec: many, work: nothing, ..PLAIN },
    &Toy {
        spec: || Spec::new("Own", "toy").input("a", wide()).output("INT").hidden(Hidden::UniqueId),
        work: own,
        ..PLAIN
    },
    &Toy { spec: || Spec::new("Panic", "toy").input("a", wide()).output("INT"), work: |_, _| panic!("oh no"), ..PLAIN },
    &Toy { spec: || Spec::new("Pair", "toy").output("INT").output_named("FLOAT", "half"), work: pair, ..PLAIN },
    &Toy { spec: show, work: print, ..PLAIN },
    &Toy { spec: || Spec::new("Steps", "toy").input("a", wide()).output("INT"), work: steps, ..PLAIN },
    &Toy { spec: sum, work: sum_up, ..PLAIN },
    &Toy { spec: choice, work: pass_choice, needs: choice_needs, ..PLAIN },
    &Toy { spec: || Spec::new("Text", "toy").input("text", text("")).output("STRING"), work: pass_text, ..PLAIN },
    &Toy { spec: two, work: add, ..PLAIN },
    &Toy { spec: upload, work: nothing, ..PLAIN },
];

pub fn registry() -> Registry {
    Registry::new(TOYS.iter().map(|toy| *toy as &dyn Node))
}

fn v3(class: &'static str) -> Spec {
    Spec::new(class, "toy").module("toy", Style::V3)
}

fn wide() -> Field {
    int(0, -1_000_000..=1_000_000, 1)
}

fn all() -> Spec {
    Spec::new("All", "toy")
        .output_node()
        .optional("int", int(1, 0..=10, 1))
        .optional("seed", vita_graph::seed())
        .optional("float", float(0.5, 0.0..=1.0, 0.1))
        .optional("free", float(0.0, f64::NEG_INFINITY..=f64::INFINITY, 0.1))
        .optional("text", text(""))
        .optional("bool", switch(false))
        .optional("combo", combo(["a", "b"]))
        .optional("file", files("vae"))
        .optional("latent", link("LATENT"))
        .optional("number", link("FLOAT,INT"))
        .optional("any", link("*"))
        .optional("same", field(Kind::Match { template: "t", allowed: "*" }))
}

fn choose() -> Spec {
    let size = vec![int(0, 0..=10, 1), combo(["x", "y"])];
    let size = size.into_iter().zip(["width", "how"]).map(|(field, name)| Field { name: name.into(), ..field });
    let options = vec![("size".to_owned(), size.collect()), ("none".to_owned(), Vec::new())];
    v3("Choose").output_node().input("mode", field(Kind::DynamicCombo { options })).output("STRING")
}

fn grow() -> Spec {
    let counted = Kind::Autogrow { item: Box::new(wide()), names: Vec::new(), prefix: "n", min: 1, max: 3 };
    let names = vec!["x".to_owned(), "y".to_owned()];
    let named = Kind::Autogrow { item: Box::new(link("INT")), names, prefix: "", min: 0, max: 2 };
    v3("Grow").input("counted", field(counted)).input("named", field(named)).output("INT")
}

fn judge() -> Spec {
    Spec::new("Judge", "toy").output_node().input("file", files("input")).optional("other", combo(["a"]))
}

fn list() -> Spec {
    let mut spec = Spec::new("List", "toy").input("start", wide()).input("count", wide()).output("INT");
    spec.outputs[0].is_list = true;
    spec
}

fn many() -> Spec {
    Spec::new("Many", "toy").output_node().input("one", combo((0..25).map(|index| format!("o{index}"))))
}

fn show() -> Spec {
    Spec::new("Show", "toy").output_node().input("source", link("*"))
}

fn sum() -> Spec {
    let mut spec = Spec::new("Sum", "toy").input("a", wide()).optional("b", wide()).output("INT");
    spec.input_is_list = true;
    spec
}

fn choice() -> Spec {
    let same = || field(Kind::Match { template: "t", allowed: "*" }).lazy();
    let mut spec = v3("Switch")
        .input("on", switch(false))
        .input("on_false", same())
        .input("on_true", same())
        .output_named("COMFY_MATCHTYPE_V3", "output");
    spec.outputs[0].template = Some("t");
    spec
}

fn two() -> Spec {
    Spec::new("Add", "toy").input("a", wide()).input("b", wide()).output("INT")
}

fn upload() -> Spec {
    Spec::new("Upload", "toy")
        .input("image", files("input").extra("image_upload", true))
        .optional("size", int(1, 0..=9, 1))
}

fn nothing(_: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    Ok(Outputs::default())
}

fn one(value: Value) -> Result<Outputs, NodeError> {
    Ok(Outputs::values([value]))
}

fn pass_int(inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    one(Value::Int(inputs.int("value")?))
}

fn pass_text(inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    one(Value::text(inputs.text("text")?))
}

fn add(inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    one(Value::Int(inputs.int("a")? + inputs.int("b")?))
}

fn own(inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
    one(Value::Int(inputs.int("a")? + context.node.len() as i128))
}

fn pair(_: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    Ok(Outputs::values([Value::Int(1), Value::Float(0.5)]))
}

fn count_up(inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    let start = inputs.int("start")?;
    let values = (0..inputs.int("count")?).map(|index| Value::Int(start + index)).collect();
    Ok(Outputs { slots: vec![values], ui: None })
}

fn sum_up(inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    let values = inputs.list("a").iter().chain(inputs.list("b"));
    one(Value::Int(values.map(|value| if let Value::Int(value) = value { *value } else { 0 }).sum()))
}

fn pass_choice(inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    let name = if inputs.bool("on")? { "on_true" } else { "on_false" };
    one(inputs.get(name).cloned().unwrap_or(Value::Null))
}

fn choice_needs(inputs: &Inputs) -> Vec<String> {
    vec![if inputs.bool("on").unwrap_or(false) { "on_true" } else { "on_false" }.to_owned()]
}

fn grown(inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    one(Value::Int(inputs.names().filter_map(|name| inputs.int(name).ok()).sum()))
}

fn names(inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    one(Value::text(inputs.names().collect::<Vec<_>>().join(",")))
}

fn file(inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
    let stamp = context.prompt.pointer(&format!("/{}/is_changed/0", context.node));
    one(Value::text(format!("{} {}", inputs.text("file")?, stamp.unwrap_or(&Json::Null))))
}

fn block(inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    let words = inputs.text("words")?;
    one(Value::Blocked((!words.is_empty()).then(|| words.into())))
}

fn print(inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    let text = match inputs.get("source") {
        Some(Value::Text(text)) => text.to_string(),
        Some(value) => format!("{value:?}"),
        None => "null".to_owned(),
    };
    Ok(Outputs::default().with_ui(json!({ "text": [text] })))
}

fn fail(_: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
    Err(NodeError::Failed { kind: "OutOfMemoryError", message: "too big".into(), hint: Some("make it smaller".into()) })
}

fn cancel(inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
    context.cancel.cancel();
    one(Value::Int(inputs.int("a")?))
}

fn steps(inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
    for step in 1..=3 {
        context.progress(step, 3);
        context.check()?;
    }
    one(Value::Int(inputs.int("a")?))
}

/// `"1 Int value=5; 2 Show source=@1:0"`: nodes apart by `; `, values in JSON without spaces, `@node:slot` a link.
pub fn prompt(line: &str) -> Json {
    let nodes = line.split("; ").map(|node| {
        let mut words = node.split(' ');
        let (id, class) = (words.next().unwrap(), words.next().unwrap());
        let inputs: Map<String, Json> = words
            .map(|word| {
                let (name, value) = word.split_once('=').unwrap();
                (name.to_owned(), literal(value))
            })
            .collect();
        (id.to_owned(), json!({"class_type": class, "inputs": inputs}))
    });
    Json::Object(nodes.collect())
}

fn literal(value: &str) -> Json {
    match value.strip_prefix('@').and_then(|link| link.rsplit_once(':')) {
        Some((id, slot)) => json!([id, slot.parse::<i64>().unwrap()]),
        None => serde_json::from_str(value).unwrap_or_else(|_| panic!("{value} is no JSON")),
    }
}

/// An executor over the toys with its host.
pub struct Bench {
    pub toys: Arc<Toys>,
    pub executor: Executor,
    pub events: Events,
}

/// Events as words.
#[derive(Default)]
pub struct Events {
    pub lines: Vec<String>,
    /// Cancels when this line comes.
    pub cancel_at: Option<(String, Cancel)>,
}

impl Bench {
    pub fn new() -> Self {
        let toys = Arc::new(Toys::default());
        Self { executor: Executor::new(registry(), toys.clone()), toys, events: Events::default() }
    }

    /// Runs a prompt that is valid; afterwards the bench holds its events only.
    pub fn run(&mut self, line: &str) -> Outcome {
        self.run_plan(&plan(line))
    }

    pub fn run_plan(&mut self, plan: &Plan) -> Outcome {
        let cancel = Cancel::default();
        self.events.lines.clear();
        if let Some((_, at)) = &mut self.events.cancel_at {
            *at = cancel.clone();
        }
        self.toys.take_ran();
        self.executor.run(plan, &Json::Null, &cancel, &mut self.events)
    }

    /// Runs a prompt and says what ran.
    pub fn ran(&mut self, line: &str) -> String {
        self.run(line);
        self.toys.take_ran()
    }
}

pub fn plan(line: &str) -> Plan {
    validate(&registry(), &Toys::default(), &prompt(line), None).unwrap_or_else(|error| panic!("{line}: {error:?}"))
}

impl Observer for Events {
    fn observe(&mut self, event: Event<'_>) {
        let line = match event {
            Event::Cached(nodes) => format!("cached [{}]", nodes.join(" ")),
            Event::Started { node } => format!("start {node}"),
            Event::Progress { node, value, total } => format!("progress {node} {value}/{total}"),
            Event::Text { node, text } => format!("text {node} {text}"),
            Event::Executed { node, ui, cached } => {
                let cached = if cached { " cached" } else { "" };
                format!("executed {node} {}{cached}", ui.map_or("-".to_owned(), Json::to_string))
            }
            Event::Finished { node } => format!("finish {node}"),
            Event::Preview { node, .. } => format!("preview {node}"),
        };
        if let Some((at, cancel)) = &self.cancel_at
            && *at == line
        {
            cancel.cancel();
        }
        self.lines.push(line);
    }
}
