//! Scales and format marks that files keep beside 8-bit float weights.
//!
//! | dialect | mark | scale |
//! |---|---|---|
//! | plain | none | none |
//! | ComfyUI, old | tensor `scaled_fp8` | `LAYER.scale_weight` |
//! | ComfyUI, new | metadata `_quantization_metadata`, or bytes `LAYER.comfy_quant` | `LAYER.weight_scale` |
//! | kijai | none | either name |
//!
//! A weight is its stored number times the scale. Scales of activations (`scale_input`,
//! `input_scale`) only serve 8-bit matrix products and are not used.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::naming::Names;

/// Leaves of a layer's scale.
pub const SCALE_SUFFIXES: [&str; 2] = ["scale_weight", "weight_scale"];

/// Leaves, besides the scale, that a quantised layer may have.
pub const SIDE_SUFFIXES: [&str; 4] = ["scale_input", "input_scale", "comfy_quant", "weight_scale_2"];

/// Name of the old mark.
pub const OLD_MARK: &str = "scaled_fp8";

/// Name of the new mark in the metadata.
pub const NEW_MARK: &str = "_quantization_metadata";

/// Whether layers of this format are 8-bit floats with one scale.
pub fn is_supported(format: &str) -> bool {
    matches!(format, "float8_e4m3fn" | "float8_e5m2")
}

/// Format by canonical layer name, from the file's metadata; or what is wrong with it.
pub fn metadata_formats(
    metadata: &BTreeMap<String, String>,
    names: &Names,
) -> Result<BTreeMap<String, String>, String> {
    #[derive(Deserialize)]
    struct Table {
        layers: BTreeMap<String, Layer>,
    }
    let Some(text) = metadata.get(NEW_MARK) else { return Ok(BTreeMap::new()) };
    let table: Table =
        serde_json::from_str(text).map_err(|error| format!("something unreadable ({NEW_MARK}: {error})"))?;
    let canonical = |layer: &str| {
        let name = names.canonical(&format!("{layer}.weight"))?;
        Some(name.strip_suffix(".weight")?.to_owned())
    };
    Ok(table.layers.into_iter().filter_map(|(name, layer)| Some((canonical(&name)?, layer.format))).collect())
}

/// Format in a layer's `comfy_quant` tensor; or what is wrong with it.
pub fn tensor_format(bytes: &[u8]) -> Result<String, String> {
    let layer: Layer =
        serde_json::from_slice(bytes).map_err(|error| format!("something unreadable (comfy_quant: {error})"))?;
    Ok(layer.format)
}

#[derive(Deserialize)]
struct Layer {
    format: String,
}
