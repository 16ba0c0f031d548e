//! What a run has made: the files that its nodes name, and texts.

use std::env;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use vita_folders::{Folders, Place};
use vita_graph::Outcome;

/// Lines for stdout: a file or a text each, in the order in which they were made.
pub fn lines(outcome: &Outcome, folders: &Folders) -> Vec<String> {
    let here = env::current_dir().unwrap_or_default();
    let mut lines = Vec::new();
    for ui in outcome.outputs.values() {
        for (key, items) in ui.as_object().into_iter().flatten() {
            for item in items.as_array().into_iter().flatten() {
                match item {
                    Json::String(text) if key == "text" => lines.push(text.clone()),
                    item => lines.extend(files(item, folders).map(|path| shown(&path, &here))),
                }
            }
        }
    }
    lines
}

/// The file of `{"filename", "subfolder", "type"}`, and the picture that VHS_VideoCombine puts beside its video.
fn files(item: &Json, folders: &Folders) -> impl Iterator<Item = PathBuf> {
    let place = item["type"].as_str().and_then(Place::parse).unwrap_or(Place::Output);
    let folder = folders.place(place).join(item["subfolder"].as_str().unwrap_or(""));
    let names = ["filename", "workflow"].into_iter().filter_map(|key| item[key].as_str());
    names.map(move |name| folder.join(name)).collect::<Vec<_>>().into_iter()
}

/// Relative to the current folder where it lies below it.
fn shown(path: &Path, here: &Path) -> String {
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vita_folders::Options;
    use vita_graph::End;

    use super::*;

    #[test]
    fn files_and_texts_of_all_nodes_in_order() {
        let options = Options { base: "/base".into(), ..Options::default() };
        let folders = Folders::new(options, &|_| None).unwrap();
        let outputs = [
            (
                "1",
                json!({"images": [{"filename": "a_00001_.mp4", "subfolder": "video", "type": "output"}], "animated": [true]}),
            ),
            ("2", json!({"text": ["so"]})),
            (
                "3",
                json!({"gifs": [{"filename": "b.mp4", "subfolder": "", "type": "temp", "format": "video/h264-mp4", "workflow": "b.png"}]}),
            ),
            ("4", json!(null)),
        ];
        let outputs = outputs.into_iter().map(|(id, ui)| (id.to_owned(), ui)).collect();
        let lines = lines(&Outcome { outputs, end: End::Success }, &folders);
        assert_eq!(lines, ["/base/output/video/a_00001_.mp4", "so", "/base/temp/b.mp4", "/base/temp/b.png"]);
    }
}
