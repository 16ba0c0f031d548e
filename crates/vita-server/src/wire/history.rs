//! `/history`: what became of prompts.

use serde_json::{Map, Value as Json, json};
use vita_queue::HistoryEntry;

use super::object::{Object, text};
use super::{queue, run};

/// For whom outputs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The editor, which shows every list as results: outputs as they are.
    Page,
    /// A script: videos are also listed as `videos`, where published clients look for them.
    Script,
}

/// `{id: entry}` of all entries.
pub(crate) fn history<'a>(entries: impl IntoIterator<Item = &'a HistoryEntry>, reader: Reader) -> String {
    let mut body = Object::new();
    for entry in entries {
        body.raw(&entry.job.id, &of_entry(entry, reader));
    }
    body.end()
}

fn of_entry(entry: &HistoryEntry, reader: Reader) -> String {
    let mut body = Object::new();
    body.raw("prompt", &queue::item(&entry.job))
        .member("outputs", &outputs(entry, reader))
        .member("status", &status(entry))
        .member("meta", &meta(entry));
    body.end()
}

/// `{"status_str", "completed", "messages"}`
pub(crate) fn status(entry: &HistoryEntry) -> Json {
    let messages: Vec<_> = entry.messages.iter().map(|message| run::message(message, &entry.job.id)).collect();
    json!({ "status_str": entry.status_text(), "completed": entry.completed(), "messages": messages })
}

/// What nodes have for the page, by node.
pub(crate) fn outputs(entry: &HistoryEntry, reader: Reader) -> Map<String, Json> {
    let output = |ui: &Json| match reader {
        Reader::Page => ui.clone(),
        Reader::Script => with_videos(ui),
    };
    entry.outputs.iter().map(|(node, ui)| (node.clone(), output(ui))).collect()
}

fn meta(entry: &HistoryEntry) -> Map<String, Json> {
    entry
        .meta()
        .map(|meta| {
            let value = json!({
                "node_id": meta.node_id,
                "display_node": meta.display_node,
                "parent_node": meta.parent_node,
                "real_node_id": meta.real_node_id,
            });
            (meta.node_id.to_owned(), value)
        })
        .collect()
}

/// ComfyUI lists videos under `images` (with `animated`); the published Wan 2.2 clients look for `videos`.
/// Both are there, and nothing is taken away.
fn with_videos(ui: &Json) -> Json {
    const EXTENSIONS: [&str; 4] = [".mp4", ".webm", ".mkv", ".mov"];
    let mut ui = ui.clone();
    let is_video = |item: &&Json| {
        let name = item["filename"].as_str().unwrap_or_default().to_ascii_lowercase();
        EXTENSIONS.iter().any(|extension| name.ends_with(extension))
    };
    let videos: Vec<Json> = ui["images"].as_array().into_iter().flatten().filter(is_video).cloned().collect();
    if let Some(members) = ui.as_object_mut()
        && !videos.is_empty()
        && !members.contains_key("videos")
    {
        members.insert("videos".into(), videos.into());
    }
    ui
}

/// JSON text of [`outputs`].
pub(crate) fn outputs_text(entry: &HistoryEntry, reader: Reader) -> String {
    text(&outputs(entry, reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn videos_stand_beside_images() {
        let video = json!({ "filename": "ComfyUI_00001_.mp4", "subfolder": "video", "type": "output" });
        let image = json!({ "filename": "a.png", "subfolder": "", "type": "output" });
        for (ui, expected) in [
            (
                json!({ "images": [video], "animated": [true] }),
                json!({ "images": [video], "animated": [true], "videos": [video] }),
            ),
            (json!({ "images": [image] }), json!({ "images": [image] })),
            (json!({ "gifs": [video] }), json!({ "gifs": [video] })),
            (json!({ "images": [video], "videos": [] }), json!({ "images": [video], "videos": [] })),
            (json!({ "text": ["a"] }), json!({ "text": ["a"] })),
            (json!(null), json!(null)),
        ] {
            assert_eq!(with_videos(&ui), expected);
        }
    }
}
