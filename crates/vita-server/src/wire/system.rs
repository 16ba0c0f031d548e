//! `/features` and `/system_stats`: what the server can do and what it runs on.

use serde_json::{Map, Value as Json, json};

use crate::App;
use crate::surroundings::Device;

/// What is not there is left out, so that pages do not offer it.
pub(crate) fn features(app: &App) -> Json {
    json!({
        "supports_preview_metadata": true,
        "supports_progress_text_metadata": true,
        "max_upload_size": app.config.max_upload_bytes,
        "assets": false,
    })
}

/// Memory, devices, versions. Clients insist on the versions of Python and PyTorch, which are not part of this.
pub(crate) fn stats(app: &App) -> Json {
    let memory = app.surroundings.memory();
    let versions = &app.config.versions;
    let mut system = Map::new();
    system.insert("os".into(), std::env::consts::OS.into());
    system.insert("ram_total".into(), memory.total_bytes.into());
    system.insert("ram_free".into(), memory.free_bytes.into());
    system.insert("comfyui_version".into(), versions.comfyui.as_str().into());
    if let Some(frontend) = &versions.frontend {
        system.insert("required_frontend_version".into(), frontend.as_str().into());
    }
    if let Some(templates) = &versions.templates {
        system.insert("installed_templates_version".into(), templates.as_str().into());
        system.insert("required_templates_version".into(), templates.as_str().into());
    }
    system.insert("python_version".into(), "none (native program)".into());
    system.insert("pytorch_version".into(), "none (native program)".into());
    system.insert("embedded_python".into(), false.into());
    system.insert("argv".into(), json!(app.config.argv));
    system.insert("vitascope_version".into(), versions.vitascope.as_str().into());
    let devices: Vec<_> = app.surroundings.devices().iter().map(device).collect();
    let mut stats = json!({ "system": system, "devices": devices });
    if let Some(cuda) = app.surroundings.cuda() {
        stats["cuda"] = cuda;
    }
    stats
}

fn device(device: &Device) -> Json {
    json!({
        "name": device.name,
        "type": device.kind,
        "index": device.index,
        "vram_total": device.total_bytes,
        "vram_free": device.free_bytes,
        "torch_vram_total": device.total_bytes,
        "torch_vram_free": device.free_bytes,
    })
}
