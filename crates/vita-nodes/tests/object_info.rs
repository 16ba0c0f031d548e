//! Names, types, defaults, ranges, choices and order of all nodes, against what ComfyUI says of its own.

use vita_graph::{Field, Group, Hidden, Kind, Options, Spec, Style};

const CAPTURED: &str = include_str!("data/object_info.txt");

#[test]
fn nodes_say_what_comfyui_says() {
    let lines: Vec<&str> = CAPTURED.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 58, "captured lines");
    let specs: Vec<Spec> = vita_nodes::nodes().map(|node| node.spec()).collect();
    let mut wrong = String::new();
    for want in lines {
        let class = want.split(' ').next().unwrap();
        let found = specs.iter().find(|spec| spec.class == class).map_or_else(|| "nothing".into(), line);
        if found != want {
            wrong += &format!("captured {want}\nfound    {found}\n\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// All of them, in this order: a page offers them as they come.
#[test]
fn solvers_and_text_encoder_types_are_comfyuis() {
    let names = |class: &str, input: &str| {
        let node = vita_nodes::nodes().find(|node| node.spec().class == class).unwrap();
        match &node.spec().field(input).unwrap().kind {
            Kind::Combo { options: Options::List(names), .. } => names.join(", "),
            kind => panic!("{kind:?}"),
        }
    };
    for (class, input, want) in [
        ("KSampler", "sampler_name", SAMPLERS),
        ("KSamplerAdvanced", "sampler_name", SAMPLERS),
        ("KSamplerSelect", "sampler_name", SAMPLERS),
        ("CLIPLoader", "type", TYPES),
    ] {
        assert_eq!(names(class, input), want, "{class}");
    }
}

const SAMPLERS: &str = "euler, euler_cfg_pp, euler_ancestral, euler_ancestral_cfg_pp, heun, heunpp2, exp_heun_2_x0, \
    exp_heun_2_x0_sde, dpm_2, dpm_2_ancestral, lms, dpm_fast, dpm_adaptive, dpmpp_2s_ancestral, \
    dpmpp_2s_ancestral_cfg_pp, dpmpp_sde, dpmpp_sde_gpu, dpmpp_2m, dpmpp_2m_cfg_pp, dpmpp_2m_sde, \
    dpmpp_2m_sde_gpu, dpmpp_2m_sde_heun, dpmpp_2m_sde_heun_gpu, dpmpp_3m_sde, dpmpp_3m_sde_gpu, \
    ddpm, lcm, ipndm, ipndm_v, deis, res_multistep, res_multistep_cfg_pp, res_multistep_ancestral, \
    res_multistep_ancestral_cfg_pp, gradient_estimation, gradient_estimation_cfg_pp, er_sde, \
    seeds_2, seeds_3, sa_solver, sa_solver_pece, ddim, uni_pc, uni_pc_bh2";
const TYPES: &str = "stable_diffusion, stable_cascade, sd3, stable_audio, mochi, ltxv, pixart, cosmos, lumina2, wan, \
    hidream, chroma, ace, omnigen2, qwen_image, hunyuan_image, flux2, ovis";

/// The names that pages show; `None` is shown as the class.
#[test]
fn pages_show_comfyuis_names() {
    let specs: Vec<Spec> = vita_nodes::nodes().map(|node| node.spec()).collect();
    for (class, want) in [
        ("UNETLoader", Some("Load Diffusion Model")),
        ("CLIPLoader", Some("Load CLIP")),
        ("VAELoader", Some("Load VAE")),
        ("CLIPTextEncode", Some("CLIP Text Encode (Prompt)")),
        ("KSamplerAdvanced", Some("KSampler (Advanced)")),
        ("VAEDecodeTiled", Some("VAE Decode (Tiled)")),
        ("LoadImage", Some("Load Image")),
        ("ImageScale", Some("Upscale Image")),
        ("SaveVideo", Some("Save Video")),
        ("PrimitiveInt", Some("Int")),
        ("ComfySwitchNode", Some("Switch")),
        ("PreviewAny", Some("Preview Any")),
        ("LoraLoaderModelOnly", None),
        ("ModelSamplingSD3", None),
        ("WanImageToVideo", None),
        ("SaveWEBM", None),
        ("ImageFromBatch", None),
    ] {
        let found = specs.iter().find(|spec| spec.class == class).unwrap().display_name;
        assert_eq!(found, want, "{class}");
    }
}

#[test]
fn every_node_says_what_it_does_in_words_of_its_own() {
    for spec in vita_nodes::nodes().map(|node| node.spec()) {
        assert!(spec.description.len() > 10, "{}: {:?}", spec.class, spec.description);
        assert!(!spec.module.is_empty() && !spec.category.is_empty(), "{}", spec.class);
    }
}

fn line(spec: &Spec) -> String {
    let goal = if spec.output_node { " OUT" } else { "" };
    let style = if spec.style == Style::V3 { "v3" } else { "v1" };
    let mut text = format!("{}{goal} [{}; {style}]", spec.class, spec.category);
    let group = |group| spec.inputs.iter().filter(move |field| field.group == group);
    for (name, fields) in [("req", group(Group::Required)), ("opt", group(Group::Optional))] {
        let fields: Vec<String> = fields.map(|field| input(field, spec.style)).collect();
        if !fields.is_empty() {
            text += &format!(" {name}{{ {} }}", fields.join("; "));
        }
    }
    if !spec.hidden.is_empty() {
        let names = spec.hidden.iter().map(|hidden| match hidden {
            Hidden::Prompt => "prompt",
            Hidden::ExtraPngInfo => "extra_pnginfo",
            Hidden::UniqueId => "unique_id",
            Hidden::DynPrompt => "dynprompt",
        });
        text += &format!(" hidden{{{}}}", names.collect::<Vec<_>>().join(","));
    }
    let outputs = spec.outputs.iter().map(|output| match output.name == output.kind {
        true => output.kind.to_owned(),
        false => format!("{}:{}", output.name, output.kind),
    });
    text + &format!(" -> ({})", outputs.collect::<Vec<_>>().join(", "))
}

fn input(field: &Field, style: Style) -> String {
    let mut notes = Vec::new();
    let mut note = |name: &str, value: Option<String>| notes.extend(value.map(|value| format!("{name}={value}")));
    let kind = match &field.kind {
        Kind::Int { default, range, step, .. } => {
            note("def", default.map(whole));
            note("min", Some(whole(*range.start())));
            note("max", Some(whole(*range.end())));
            note("ste", step.map(whole));
            "INT".to_owned()
        }
        Kind::Float { default, range, step, round } => {
            note("def", default.map(float));
            note("min", Some(float(*range.start())));
            note("max", Some(float(*range.end())));
            note("ste", step.map(float));
            note("rou", round.map(float));
            "FLOAT".to_owned()
        }
        Kind::Bool { default } => {
            note("def", default.map(|default| default.to_string()));
            "BOOLEAN".to_owned()
        }
        Kind::Text { default, .. } => {
            note("def", default.filter(|text| !text.is_empty()).map(|text| format!("{text:?}")));
            "STRING".to_owned()
        }
        Kind::Combo { options, default } => {
            note("def", default.as_ref().map(|text| format!("{text:?}")));
            let form = if style == Style::V3 { "COMBO3" } else { "COMBO1" };
            match options {
                Options::Files { .. } => format!("{form}[files]"),
                Options::List(names) if names.len() > 10 => format!("{form}[...{}]", names.len()),
                Options::List(names) => format!("{form}[{}]", names.join("|")),
            }
        }
        kind => kind.type_name().to_owned(),
    };
    match &field.kind {
        Kind::Int { control_after_generate: true, .. } => notes.push("control_after_generate".into()),
        Kind::Text { multiline, dynamic_prompts, .. } => {
            notes.extend(multiline.then(|| "multiline".to_owned()));
            notes.extend(dynamic_prompts.then(|| "dynamicPrompts".to_owned()));
        }
        _ => {}
    }
    notes.extend(field.lazy.then(|| "lazy".to_owned()));
    notes.extend(field.advanced.then(|| "advanced".to_owned()));
    notes.extend(field.extra.iter().filter(|(key, _)| key.ends_with("_upload")).map(|(key, _)| (*key).to_owned()));
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    format!("{}: {kind}{notes}", field.name)
}

fn whole(value: i128) -> String {
    match value {
        _ if value == i128::from(u64::MAX) => "2^64-1".into(),
        _ if value == i128::from(i64::MAX) => "2^63-1".into(),
        _ if value == -i128::from(i64::MAX) => "-(2^63-1)".into(),
        _ => value.to_string(),
    }
}

fn float(value: f64) -> String {
    if value.abs() == i64::MAX as f64 {
        whole(value.signum() as i128 * i128::from(i64::MAX))
    } else {
        value.to_string()
    }
}
