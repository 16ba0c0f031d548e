//! Says what a checkpoint is: network, system, sizes, types, problems.

use std::collections::BTreeMap;

use serde::Serialize;
use vita_tensor::Dims;

use crate::networks::Layout;
use crate::{Checkpoint, ClipVisionFacts, DitFacts, Role, Umt5Facts, VaeFacts, Weights, fp8};

/// What a checkpoint is. Serialises for `inspect --json`.
#[derive(Clone, Debug, Serialize)]
pub struct Identity {
    /// In a few words, without an article.
    pub system: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// Tensors of any kind.
    pub tensor_count: usize,
    /// Elements of floating-point tensors.
    pub parameter_count: u64,
    /// Element types, the one with the most bytes first.
    pub types: Vec<TypeCount>,
    /// Networks in the file: one, or several in an all-in-one file, or none that is known.
    pub parts: Vec<Part>,
}

/// How much of a file is of one element type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeCount {
    /// The type's name.
    pub dtype: String,
    /// Tensors of it.
    pub tensor_count: usize,
    /// Bytes of them.
    pub size_bytes: u64,
}

/// One network in a file.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// Which network, and its sizes.
    #[serde(flatten)]
    pub kind: Kind,
    /// In a few words.
    pub system: String,
    /// How its tensors are named.
    pub naming: String,
    /// How its linear weights are stored: "bf16", "fp8_e4m3fn, scaled (ComfyUI, old mark)".
    pub storage: String,
    /// Worth knowing.
    pub notes: Vec<String>,
    /// Reasons why it will not run, or not well.
    pub problems: Vec<String>,
}

/// Which network, and the sizes found from its shapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "sizes", rename_all = "snake_case")]
pub enum Kind {
    /// A Wan transformer; no sizes if the tensors that tell them are missing.
    DiffusionModel(Option<DitFacts>),
    /// A UMT5 encoder, likewise.
    TextEncoder(Option<Umt5Facts>),
    /// A Wan autoencoder, likewise.
    Vae(Option<VaeFacts>),
    /// A CLIP vision encoder, likewise.
    ClipVision(Option<ClipVisionFacts>),
    /// Low-rank changes to another network.
    Lora,
}

/// Puts the article before a system: "it seems to be ...".
pub fn with_article(system: &str) -> String {
    let article = match system {
        _ if ["Wan2.", "part of ", "no "].iter().any(|start| system.starts_with(start)) => "",
        _ if system.starts_with("Wan 2.") && !system.contains("-shaped") || system.contains("-XXL") => "the ",
        _ => "a ",
    };
    format!("{article}{system}")
}

impl Part {
    /// The place where this network belongs.
    pub fn role(&self) -> Option<Role> {
        match self.kind {
            Kind::DiffusionModel(_) => Some(Role::DiffusionModel),
            Kind::TextEncoder(_) => Some(Role::TextEncoder),
            Kind::Vae(_) => Some(Role::Vae),
            Kind::ClipVision(_) => Some(Role::ClipVision),
            Kind::Lora => None,
        }
    }
}

/// Looks at names and shapes, and at a few bytes of quantisation marks; reads no weights.
pub fn identify(checkpoint: &Checkpoint) -> Identity {
    let mut parts: Vec<Part> =
        Role::ALL.iter().filter_map(|&role| Some(part(&Weights::find(checkpoint, role)?))).collect();
    parts.extend(other_part(checkpoint));
    let system = match &parts[..] {
        [] => foreign(checkpoint).to_owned(),
        parts => parts.iter().map(|part| part.system.as_str()).collect::<Vec<_>>().join(" + "),
    };
    Identity {
        system,
        size_bytes: checkpoint.size_bytes(),
        tensor_count: checkpoint.tensors().len(),
        parameter_count: parameter_count(checkpoint),
        types: types(checkpoint),
        parts,
    }
}

fn part(weights: &Weights) -> Part {
    let mut notes = Vec::new();
    let mut problems = Vec::new();
    let found = match weights.role() {
        Role::DiffusionModel => weights.dit_facts().map(|facts| {
            notes.extend(facts.also().map(str::to_owned));
            problems.extend(facts.unsupported());
            (facts.system(), facts.layout(), Kind::DiffusionModel(Some(facts)))
        }),
        Role::TextEncoder => weights.umt5_facts().map(|facts| {
            problems.extend(facts.unsupported());
            (facts.system(), facts.layout(), Kind::TextEncoder(Some(facts)))
        }),
        Role::Vae => weights.vae_facts().map(|facts| (facts.system(), facts.layout(), Kind::Vae(Some(facts)))),
        Role::ClipVision => weights.clip_vision_facts().map(|facts| {
            problems.extend(facts.unsupported());
            (facts.system(), facts.layout(), Kind::ClipVision(Some(facts)))
        }),
    };
    let (system, layout, kind) = found.unwrap_or_else(|error| {
        problems.push(error.to_string());
        let kind = match weights.role() {
            Role::DiffusionModel => Kind::DiffusionModel(None),
            Role::TextEncoder => Kind::TextEncoder(None),
            Role::Vae => Kind::Vae(None),
            Role::ClipVision => Kind::ClipVision(None),
        };
        (format!("part of {}", weights.role().with_article()), Layout::new(), kind)
    });
    if weights.role() == Role::TextEncoder && weights.embedded("spiece_model").is_some() {
        notes.push("the tokenizer's model is inside".to_owned());
    }
    let formats = weights.declared_formats().unwrap_or_else(|problem| {
        problems.push(format!("it is quantised as {problem}"));
        BTreeMap::new()
    });
    problems.extend(formats_problem(&formats));
    if !layout.is_empty() {
        compare(weights, &layout, &formats, &mut notes, &mut problems);
    }
    Part { kind, system, naming: weights.names().text(), storage: storage(weights, &formats), notes, problems }
}

/// Holds the tensors against those that the sizes ask for.
fn compare(
    weights: &Weights,
    layout: &Layout,
    formats: &BTreeMap<String, String>,
    notes: &mut Vec<String>,
    problems: &mut Vec<String>,
) {
    let expected: BTreeMap<&str, Dims> = layout.iter().map(|(name, dims)| (name.as_str(), *dims)).collect();
    let missing = expected.keys().filter(|name| !weights.contains(name)).map(|name| (*name).to_owned());
    problems.extend(listed("missing", missing.collect()));

    let (mut misshapen, mut unusable, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (name, stored) in weights.all() {
        let Some(dims) = expected.get(name) else {
            if !is_side_tensor(name) {
                unknown.push(name.to_owned());
            }
            continue;
        };
        // What its format packs has another shape and type; the format itself is the problem then.
        let layer = name.strip_suffix(".weight").unwrap_or(name);
        if formats.get(layer).is_some_and(|format| !fp8::is_supported(format)) {
            continue;
        }
        if stored.dims != *dims {
            misshapen.push(format!("{name} is {}, expected {dims}", stored.dims));
        }
        if !stored.element_type.dtype().is_some_and(|dtype| dtype.is_float()) {
            unusable.push(format!("{name} is {}", stored.element_type));
        }
    }
    problems.extend(listed("of another shape", misshapen));
    problems.extend(listed("not floating-point", unusable));
    notes.extend(listed("not part of this network and ignored", unknown));
}

/// "3 tensors are missing: `a`, `b`, `c`".
fn listed(what: &str, names: Vec<String>) -> Option<String> {
    const SHOWN: usize = 4;
    let verb = match names.len() {
        0 => return None,
        1 => "1 tensor is".to_owned(),
        count => format!("{count} tensors are"),
    };
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    Some(format!("{verb} {what}: {}{more}", shown.join(", ")))
}

fn is_side_tensor(name: &str) -> bool {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    fp8::SCALE_SUFFIXES.contains(&leaf)
        || fp8::SIDE_SUFFIXES.contains(&leaf)
        || leaf == fp8::OLD_MARK
        || leaf == "spiece_model"
}

fn formats_problem(formats: &BTreeMap<String, String>) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for format in formats.values().filter(|format| !fp8::is_supported(format)) {
        *counts.entry(format).or_default() += 1;
    }
    let texts: Vec<String> = counts.iter().map(|(format, count)| format!("{count} as {format}")).collect();
    (!texts.is_empty()).then(|| format!("layers are quantised in ways that are not supported: {}", texts.join(", ")))
}

/// How matrices are stored, those of most bytes first.
fn storage(weights: &Weights, formats: &BTreeMap<String, String>) -> String {
    let mut bytes: BTreeMap<String, usize> = BTreeMap::new();
    for (name, stored) in weights.all() {
        if name.ends_with(".weight") && stored.dims.len() > 1 {
            *bytes.entry(stored.element_type.to_string()).or_default() += stored.bytes.len();
        }
    }
    let mut bytes: Vec<(String, usize)> = bytes.into_iter().collect();
    bytes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let types = bytes.into_iter().map(|(dtype, _)| dtype).collect::<Vec<_>>().join(" and ");

    let has_leaf = |leaves: &[&str]| {
        weights.all().any(|(name, _)| name.rsplit('.').next().is_some_and(|leaf| leaves.contains(&leaf)))
    };
    let mark = match () {
        () if !formats.is_empty() => "ComfyUI, new mark",
        () if has_leaf(&[fp8::OLD_MARK]) => "ComfyUI, old mark",
        () if has_leaf(&fp8::SCALE_SUFFIXES) => "no mark",
        () => return types,
    };
    format!("{types}, scaled ({mark})")
}

fn other_part(checkpoint: &Checkpoint) -> Option<Part> {
    let any = |test: fn(&str) -> bool| checkpoint.tensors().any(|(key, _)| test(key));
    let is_lora = any(|key| {
        [".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", "lora.down.", "lora.up.", ".hada_w1_a", ".lokr_w"]
            .iter()
            .any(|mark| key.contains(mark))
    });
    let storage = types(checkpoint).first().map_or_else(String::new, |first| first.dtype.clone());
    is_lora.then(|| Part {
        kind: Kind::Lora,
        system: "LoRA".to_owned(),
        naming: String::new(),
        storage,
        notes: Vec::new(),
        problems: Vec::new(),
    })
}

/// Models of other families that people have in the same folders, by the end or middle of a key.
const FOREIGN: [(&str, &str); 9] = [
    ("input_blocks.0.0.weight", "Stable Diffusion model"),
    ("double_blocks.0.img_attn.", "Flux or HunyuanVideo diffusion model"),
    ("joint_blocks.0.", "Stable Diffusion 3 model"),
    ("transformer_blocks.0.", "diffusion model of another family"),
    ("decoder.mid.block_1.", "VAE of another family"),
    ("decoder.mid_block.", "VAE of another family"),
    ("decoder.22.", "small preview autoencoder (TAEHV)"),
    ("text_model.encoder.layers.0.", "CLIP text encoder"),
    ("model.layers.0.self_attn.", "language model"),
];

fn foreign(checkpoint: &Checkpoint) -> &'static str {
    let found = FOREIGN.iter().find(|(mark, _)| checkpoint.tensors().any(|(key, _)| key.contains(mark)));
    match found {
        Some((_, text)) => text,
        None if checkpoint.tensors().len() == 0 => "file without tensors",
        None => "no model that is known here",
    }
}

fn parameter_count(checkpoint: &Checkpoint) -> u64 {
    let floats =
        checkpoint.tensors().filter(|(_, stored)| stored.element_type.dtype().is_some_and(|dtype| dtype.is_float()));
    floats.map(|(_, stored)| stored.dims.element_count() as u64).sum()
}

fn types(checkpoint: &Checkpoint) -> Vec<TypeCount> {
    let mut types: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for (_, stored) in checkpoint.tensors() {
        let (tensor_count, size_bytes) = types.entry(stored.element_type.to_string()).or_default();
        *tensor_count += 1;
        *size_bytes += stored.bytes.len() as u64;
    }
    let mut types: Vec<TypeCount> = types
        .into_iter()
        .map(|(dtype, (tensor_count, size_bytes))| TypeCount { dtype, tensor_count, size_bytes })
        .collect();
    types.sort_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then_with(|| a.dtype.cmp(&b.dtype)));
    types
}
