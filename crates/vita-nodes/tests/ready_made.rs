//! The ready-made workflows of `web/workflows`: they convert, they are valid, and they say what the guides say.
//!
//! `data/guides/` holds the prompts that the guides' clients send, without their seeds: every value in them must
//! come out of the workflow of the same system.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use vita_folders::{Folders, LocalTime, Options};
use vita_graph::{Host, from_page, validate};
use vita_nodes::{Settings, Studio, registry};
use vita_pipeline::Residency;

/// Category and name of each model file that the workflows choose.
const MODELS: &[(&str, &str)] = &[
    ("diffusion_models", "Wan2_1-T2V-14B_fp8_e4m3fn.safetensors"),
    ("diffusion_models", "Wan2_1-I2V-14B-480P_fp8_e4m3fn.safetensors"),
    ("diffusion_models", "wan2.2_ti2v_5B_fp16.safetensors"),
    ("diffusion_models", "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors"),
    ("diffusion_models", "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors"),
    ("text_encoders", "wan2.1/umt5-xxl-enc-bf16.safetensors"),
    ("text_encoders", "umt5_xxl_fp8_e4m3fn_scaled.safetensors"),
    ("vae", "wan2.1/Wan2_1_VAE_bf16.safetensors"),
    ("vae", "wan_2.1_vae.safetensors"),
    ("vae", "wan2.2_vae.safetensors"),
    ("clip_vision", "wan2.1/open-clip-xlm-roberta-large-vit-huge-14_visual_fp16.safetensors"),
];

#[test]
fn wanx_21_makes_videos_from_text() {
    check("wanx-21.json", "Text to video", "wan21_t2v_14b.json", &["8"]);
}

#[test]
fn wanx_21_makes_videos_from_pictures() {
    check("wanx-21.json", "Image to video", "wan21_i2v_14b.json", &["54"]);
}

#[test]
fn ti2v_5b() {
    check("wan2.2-ti2v-5b.json", "", "wan22_ti2v_5b.json", &["58"]);
}

#[test]
fn ti2v_5b_from_a_picture() {
    let mut workflow = read("wan2.2-ti2v-5b.json");
    node(&mut workflow, 56)["mode"] = json!(0);
    let prompt = from_page(&registry(), &workflow).unwrap();
    assert_eq!(prompt["55"]["inputs"]["start_image"], json!(["56", 0]));
    assert_eq!(outputs(&prompt), ["58"]);
}

#[test]
fn i2v_a14b() {
    check("wan2.2-i2v-a14b.json", "", "wan22_i2v_a14b.json", &["61"]);
}

#[test]
fn every_file_is_one_of_these() {
    let mut names: Vec<String> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["wan2.2-i2v-a14b.json", "wan2.2-ti2v-5b.json", "wanx-21.json"]);
}

/// A link is told three times in a file, by hand or by a program; and as the files lie there, one thing runs.
#[test]
fn links_and_order_are_those_of_the_nodes() {
    for name in ["wan2.2-i2v-a14b.json", "wan2.2-ti2v-5b.json", "wanx-21.json"] {
        let workflow = read(name);
        let links = workflow["links"].as_array().unwrap();
        let nodes = workflow["nodes"].as_array().unwrap();
        let find = |id: &Value| nodes.iter().find(|node| node["id"] == *id).unwrap();
        for link in links {
            let [id, from, slot, to, input, kind] = link.as_array().unwrap().as_slice() else {
                panic!("{name}: {link}")
            };
            let output = &find(from)["outputs"][slot.as_u64().unwrap() as usize];
            assert!(output["links"].as_array().unwrap().contains(id) && output["type"] == *kind, "{name}: {link}");
            let input = &find(to)["inputs"][input.as_u64().unwrap() as usize];
            assert!(input["link"] == *id && input["type"] == *kind, "{name}: {link}");
            assert!(find(from)["order"].as_u64() < find(to)["order"].as_u64(), "{name}: {link}");
        }
        let last = nodes.iter().map(|node| node["id"].as_u64().unwrap()).max();
        assert_eq!(workflow["last_node_id"].as_u64(), last, "{name}");
        assert_eq!(workflow["last_link_id"].as_u64(), Some(links.len() as u64), "{name}");
        let prompt = from_page(&registry(), &workflow).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(outputs(&prompt).len(), 1, "{name}: one thing runs at a press of the button");
    }
}

/// The group of this title, or the whole file, is a valid prompt with the values of the guides' client.
#[track_caller]
fn check(name: &str, group: &str, guide: &str, wanted_outputs: &[&str]) {
    let mut workflow = read(name);
    if !group.is_empty() {
        only(&mut workflow, group);
    }
    let prompt = from_page(&registry(), &workflow).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(outputs(&prompt), wanted_outputs, "{name}");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/guides").join(guide);
    let wanted: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let registry = registry();
    for (id, wanted) in wanted.as_object().unwrap() {
        assert_eq!(prompt[id]["class_type"], wanted["class_type"], "{name}, node {id}");
        let spec = registry.spec(wanted["class_type"].as_str().unwrap()).unwrap();
        for (input, value) in wanted["inputs"].as_object().unwrap() {
            // Settings of video formats are not inputs of the class.
            if spec.inputs.iter().any(|field| field.name == *input) {
                let given = &prompt[id]["inputs"][input];
                assert!(same(given, value), "{name}, node {id}, {input}: {given}, the guide says {value}");
            }
        }
    }
    let made = prompt.as_object().unwrap().keys().filter(|id| !wanted.as_object().unwrap().contains_key(*id));
    assert_eq!(made.collect::<Vec<_>>(), Vec::<&String>::new(), "{name}: nodes that the guide does not have");
}

fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Ids of the outputs of a prompt that is valid where all the files are.
#[track_caller]
fn outputs(prompt: &Value) -> Vec<String> {
    let (_directory, studio) = studio();
    let host: &dyn Host = &*studio;
    let plan = validate(&registry(), host, prompt, None).unwrap_or_else(|rejection| panic!("{rejection:?}"));
    assert!(plan.faults.is_empty(), "{:?}", plan.faults);
    plan.outputs
}

/// Turns on the nodes that lie in a group, and the others off: what Ctrl+M does to groups.
fn only(workflow: &mut Value, title: &str) {
    let groups = workflow["groups"].as_array().unwrap();
    let group = groups.iter().find(|group| group["title"].as_str().unwrap().starts_with(title)).unwrap();
    let sides: Vec<f64> = group["bounding"].as_array().unwrap().iter().map(|side| side.as_f64().unwrap()).collect();
    for node in workflow["nodes"].as_array_mut().unwrap() {
        let (x, y) = (node["pos"][0].as_f64().unwrap(), node["pos"][1].as_f64().unwrap());
        let (width, height) = (node["size"][0].as_f64().unwrap(), node["size"][1].as_f64().unwrap());
        let (left, top) = (x - sides[0], y - sides[1]);
        let inside = left >= 0.0 && top >= 0.0 && left + width <= sides[2] && top + height <= sides[3];
        node["mode"] = json!(if inside { 0 } else { 2 });
    }
}

fn node(workflow: &mut Value, id: u64) -> &mut Value {
    workflow["nodes"].as_array_mut().unwrap().iter_mut().find(|node| node["id"] == id).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/workflows")
}

fn read(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

fn studio() -> (TempDir, Arc<Studio>) {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { base: directory.path().into(), ..Options::default() };
    let mut folders = Folders::new(options, &|_| None).unwrap();
    folders.create().unwrap();
    std::fs::write(folders.input().join("example.png"), "only its name is looked at").unwrap();
    let file = directory.path().join("model");
    std::fs::write(&file, "").unwrap();
    for (category, name) in MODELS {
        folders.add_alias(category, name, file.clone());
    }
    let clock = || LocalTime { year: 2031, month: 2, day: 3, hour: 4, minute: 5, second: 6 };
    let settings = Settings { disable_metadata: false, ffmpeg: None };
    (directory, Arc::new(Studio::new(folders, Residency::many(None), settings, Box::new(clock), 7)))
}
