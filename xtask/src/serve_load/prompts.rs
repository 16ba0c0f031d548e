//! The prompts of the measurements.

use serde_json::{Value as Json, json};

/// A picture of 16x16 as a preview; no two colours are cached for each other.
pub fn small(color: usize, client_id: Option<&str>) -> String {
    let mut body = json!({ "prompt": nodes(16, color) });
    if let Some(id) = client_id {
        body["client_id"] = id.into();
    }
    body.to_string()
}

/// The same with a width that is refused.
pub fn rejected() -> String {
    json!({ "prompt": nodes(0, 0) }).to_string()
}

fn nodes(width: u32, color: usize) -> Json {
    json!({
        "1": { "class_type": "EmptyImage", "inputs": {
            "width": width, "height": 16, "batch_size": 1, "color": color % (1 << 24),
        } },
        "2": { "class_type": "PreviewImage", "inputs": { "images": ["1", 0] } },
    })
}
