//! `run`: workflows in every form, what they write, and what is said when they cannot.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Folder, ended};

/// A grey picture, saved.
fn grey() -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 24, "height": 16, "batch_size": 1, "color": 8421504}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "grey"}},
    })
}

/// The same, as the page saves it.
fn grey_page() -> Value {
    json!({
        "nodes": [
            {"id": 1, "type": "EmptyImage", "mode": 0, "order": 0, "inputs": [],
             "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}], "widgets_values": [24, 16, 1, 8421504]},
            {"id": 2, "type": "SaveImage", "mode": 0, "order": 1,
             "inputs": [{"name": "images", "type": "IMAGE", "link": 1}], "outputs": [], "widgets_values": ["grey"]},
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"]],
        "version": 0.4,
    })
}

fn ready_made(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/workflows").join(name);
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_form_of_a_workflow_runs() {
    let folder = Folder::new();
    folder.write("prompt.json", grey().to_string());
    folder.write("page.json", format!("\u{feff}\n {}", grey_page()));
    let request =
        json!({"client_id": "x", "prompt": grey(), "extra_data": {"extra_pnginfo": {"workflow": grey_page()}}});
    folder.write("request.json", request.to_string());
    // The last is what the one before has written.
    for (number, file) in ["prompt.json", "page.json", "request.json", "output/grey_00003_.png"].into_iter().enumerate()
    {
        let want = format!("output/grey_{:05}_.png", number + 1);
        assert_eq!(folder.success(&["run", file]), format!("{want}\n"), "{file}");
        let image = vita_media::read_image(folder.path().join(&want)).unwrap();
        assert_eq!((image.width(), image.height()), (24, 16), "{file}");
        let metadata = vita_media::read_metadata(folder.path().join(&want)).unwrap();
        let prompt: Value = serde_json::from_str(&metadata["prompt"]).unwrap();
        assert_eq!(prompt["1"]["inputs"], grey()["1"]["inputs"], "{file}");
        assert_eq!(metadata.contains_key("workflow"), file != "prompt.json", "{file}");
    }
    let mut names = folder.names();
    names.retain(|name| !name.ends_with(".json"));
    assert_eq!(names, ["output"], "nothing else is made");
}

#[test]
fn inputs_are_set_and_results_go_where_they_are_told_to() {
    let folder = Folder::new();
    folder.write("w.json", grey_page().to_string());
    let flags = ["--set", "1.width=40", "--set", "SaveImage.filename_prefix=sub/x", "--output-directory", "there"];
    let out = folder.success(&[&["run", "w.json"], &flags[..]].concat());
    assert_eq!(out, "there/sub/x_00001_.png\n");
    let path = folder.path().join("there/sub/x_00001_.png");
    assert_eq!(vita_media::read_image(&path).unwrap().width(), 40);
    // What the page looked like is no longer what ran.
    assert!(!vita_media::read_metadata(&path).unwrap().contains_key("workflow"));
    folder.success(&["run", "w.json", "--disable-metadata", "--output-directory", "bare"]);
    assert!(vita_media::read_metadata(folder.path().join("bare/grey_00001_.png")).unwrap().is_empty());
}

#[test]
fn a_ready_made_workflow_makes_a_video_and_the_video_makes_it_again() {
    let folder = Folder::new();
    let small = ["--set", "55.width=32", "--set", "55.height=32", "--set", "55.length=5", "--set", "3.steps=2"];
    let workflow = ready_made("wan2.2-ti2v-5b.json");
    let ended = folder.run(&[&["run", &workflow, "--nano-aliases"], &small[..]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, "output/video/ComfyUI_00001_.mp4\n");
    assert!(
        ended.stderr.contains("made by a small model") && ended.stderr.contains("KSampler (3)"),
        "{}",
        ended.stderr
    );
    let again = folder.success(&["run", "output/video/ComfyUI_00001_.mp4", "--nano-aliases"]);
    assert_eq!(again, "output/video/ComfyUI_00002_.mp4\n");
    let video = |number| {
        vita_media::decode_mp4(folder.path().join(format!("output/video/ComfyUI_0000{number}_.mp4"))).unwrap().frames
    };
    assert_eq!((video(1).width(), video(1).height(), video(1).count()), (32, 32, 5));
    assert!(video(1) == video(2), "equal prompts give equal videos");
}

#[test]
fn what_cannot_run_is_told_node_by_node() {
    let folder = Folder::new();
    let write = |name: &str, value: Value| folder.write(name, value.to_string());
    folder.write("broken.json", "{\"1\": ");
    folder.write("list.json", "[1]");
    folder.write("text.txt", "a red ball");
    write(
        "circle.json",
        json!({
            "1": {"class_type": "ImageScaleBy", "inputs": {"image": ["1", 0], "upscale_method": "area", "scale_by": 1.0}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        }),
    );
    write("class.json", json!({"1": {"class_type": "Mystery", "inputs": {}}}));
    write("nothing.json", json!({"1": {"class_type": "EmptyImage", "inputs": {}}}));
    write(
        "two.json",
        json!({
            "1": {"class_type": "EmptyImage", "inputs": {"width": 0, "height": 16, "batch_size": 1, "color": 0}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
            "3": {"class_type": "LoadImage", "inputs": {"image": "girl.png"}},
            "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
        }),
    );
    write(
        "one_of_two.json",
        json!({
            "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
            "4": {"class_type": "PreviewImage", "inputs": {}},
        }),
    );
    write(
        "page.json",
        json!({
            "nodes": [
                {"id": 1, "type": "Mystery", "mode": 0, "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}]},
                {"id": 2, "type": "SaveImage", "mode": 0, "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]},
            ],
            "links": [[1, 1, 0, 2, 0, "IMAGE"]],
        }),
    );
    folder.add_picture("plain.png", 16, 16);
    folder.success(&["generate", "x", "-o", "made.mp4", "--size", "16x16", "--frames", "1", "--steps", "1"]);

    let here = folder.path().display().to_string();
    let cases: &[(&[&str], &[&str])] = &[
        (&["none.json"], &["error: cannot read `none.json`: No such file"]),
        (
            &["broken.json"],
            &["`broken.json` holds no workflow: EOF while parsing", "hint: give a workflow that the page"],
        ),
        (&["list.json"], &["`list.json` holds no workflow: it is no JSON object"]),
        (&["text.txt"], &["this is not an MP4, PNG or WebP file"]),
        (&["plain.png"], &["`plain.png` holds no workflow: it does not say what made it"]),
        (&["made.mp4"], &["it was made by `vitascope generate`", "hint: `vitascope inspect made.mp4` says"]),
        (&["circle.json"], &["`circle.json` cannot run: prompt has a cycle", "hint: its nodes are 1 -> 1"]),
        (
            &["class.json"],
            &["`class.json` cannot run: node 1 is of the unknown class `Mystery`", "hint: delete or bypass"],
        ),
        (&["page.json"], &["node 1 is of the unknown class `Mystery`", "hint: delete or bypass"]),
        (&["nothing.json"], &["`nothing.json` cannot run: prompt has no outputs", "hint: a workflow ends in"]),
        (
            &["two.json"],
            &[
                "error: `two.json` cannot run\n",
                "\n  node 1 (EmptyImage): value 0 smaller than min of 1: width",
                "\n  node 2 (SaveImage): required input is missing: filename_prefix",
                "\n  node 3 (LoadImage): custom validation failed for node: image - Invalid image file: girl.png",
                "hint: give another value with --set 1.width=VALUE",
                "\n      give it with --set 2.filename_prefix=VALUE, or connect it in the page",
            ],
        ),
        (&["one_of_two.json"], &["node 4 (PreviewImage): required input is missing: images"]),
        (&["two.json", "--set", "9.a=1"], &["--set: there is no node `9` in this workflow"]),
        (
            &[&ready_made("wan2.2-ti2v-5b.json")],
            &[
                "node 37 (UNETLoader): value not in list: unet_name: 'wan2.2_ti2v_5B_fp16.safetensors' not in []",
                &format!("put the file into `{here}/models/"),
                "or choose another with --set 37.unet_name=NAME",
            ],
        ),
    ];
    let before = folder.names();
    for (arguments, wanted) in cases {
        let ended = folder.run(&[&["run"], *arguments].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{arguments:?}: {}", ended.stderr);
        for want in *wanted {
            assert!(ended.stderr.contains(want), "{arguments:?}: no `{want}` in {}", ended.stderr);
        }
    }
    assert_eq!(folder.names(), before, "nothing is left by what does not run");
}

#[test]
fn a_node_that_fails_is_named_and_what_came_before_is_told() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path().join("input")).unwrap();
    folder.write("input/damaged.png", "this is no picture");
    let mut workflow = grey();
    workflow["3"] = json!({"class_type": "LoadImage", "inputs": {"image": "damaged.png"}});
    workflow["4"] = json!({"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}});
    folder.write("w.json", workflow.to_string());
    let ended = folder.run(&["run", "w.json"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("\n  in node 3 (LoadImage)"), "{}", ended.stderr);
}

#[test]
#[cfg(unix)]
fn an_interrupt_ends_the_run_with_130_and_leaves_nothing() {
    let folder = Folder::new();
    let long = ["--set", "3.steps=10000", "--set", "55.width=64", "--set", "55.height=64", "--set", "55.length=5"];
    let workflow = ready_made("wan2.2-ti2v-5b.json");
    let mut command = folder.command(&[&["run", &workflow, "--nano-aliases"], &long[..]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    // In the middle of the sampling.
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("KSampler")));
    let interrupted = std::process::Command::new("kill").args(["-INT", &running.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    assert_eq!(lines.last().as_deref(), Some("stopped"));
    let ended = ended(running.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(130), ""));
    assert!(!folder.path().join("output").exists());
}
