//! What stands before the tensors' bytes: safetensors' JSON, or GGUF's pairs and list.

use std::collections::BTreeMap;

use serde_json::json;

use super::Entry;
use crate::gguf::type_number;
use crate::safetensors::DTYPE_NAMES;
use crate::vocabulary::Tables;

/// What tensors of GGUF files are aligned to.
pub const GGUF_ALIGNMENT: usize = 32;

/// A safetensors header, padded so that the data after it are aligned.
pub fn safetensors(entries: &[Entry], metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut list = serde_json::Map::new();
    if !metadata.is_empty() {
        list.insert("__metadata__".to_owned(), json!(metadata));
    }
    let mut end = 0;
    for entry in entries {
        let start = end;
        end += entry.size_bytes();
        let dtype = DTYPE_NAMES.iter().find(|(_, dtype)| *dtype == entry.dtype).map(|(text, _)| *text);
        list.insert(entry.name.clone(), json!({ "dtype": dtype, "shape": &*entry.dims, "data_offsets": [start, end] }));
    }
    let mut json = serde_json::Value::Object(list).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    [&(json.len() as u64).to_le_bytes()[..], &json].concat()
}

/// A GGUF header of version 3, padded likewise.
pub fn gguf(
    entries: &[Entry],
    architecture: &str,
    metadata: &BTreeMap<String, String>,
    tables: Option<&Tables>,
) -> Vec<u8> {
    let mut pairs = Pairs { count: 0, bytes: Vec::new() };
    pairs.text("general.architecture", architecture);
    pairs.number("general.quantization_version", 2);
    // "Mostly Q8_0".
    pairs.number("general.file_type", 7);
    for (key, value) in metadata {
        pairs.text(key, value);
    }
    if let Some(tables) = tables {
        pairs.vocabulary(tables);
    }
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((entries.len() as u64).to_le_bytes());
    out.extend(pairs.count.to_le_bytes());
    out.extend(pairs.bytes);
    let mut offset = 0;
    for entry in entries {
        text(&mut out, &entry.name);
        out.extend((entry.dims.len() as u32).to_le_bytes());
        // Innermost first.
        entry.dims.iter().rev().for_each(|&size| out.extend((size as u64).to_le_bytes()));
        out.extend(type_number(entry.dtype).unwrap_or_default().to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        offset += entry.size_bytes().next_multiple_of(GGUF_ALIGNMENT);
    }
    out.resize(out.len().next_multiple_of(GGUF_ALIGNMENT), 0);
    out
}

/// GGUF's numbers of the types of values.
mod kind {
    pub const U8: u32 = 0;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const TEXT: u32 = 8;
    pub const ARRAY: u32 = 9;
}

struct Pairs {
    count: u64,
    bytes: Vec<u8>,
}

impl Pairs {
    fn key(&mut self, key: &str, kind: u32) {
        self.count += 1;
        text(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key, kind::TEXT);
        text(&mut self.bytes, value);
    }

    fn number(&mut self, key: &str, value: u32) {
        self.key(key, kind::U32);
        self.bytes.extend(value.to_le_bytes());
    }

    fn truth(&mut self, key: &str, value: bool) {
        self.key(key, kind::BOOL);
        self.bytes.push(value.into());
    }

    fn array(&mut self, key: &str, kind: u32, count: usize) {
        self.key(key, self::kind::ARRAY);
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend((count as u64).to_le_bytes());
    }

    /// By the keys that llama.cpp gives a unigram vocabulary.
    fn vocabulary(&mut self, tables: &Tables) {
        self.text("tokenizer.ggml.model", "t5");
        self.array("tokenizer.ggml.tokens", kind::TEXT, tables.pieces.len());
        tables.pieces.iter().for_each(|piece| text(&mut self.bytes, piece));
        self.array("tokenizer.ggml.scores", kind::F32, tables.scores.len());
        tables.scores.iter().for_each(|score| self.bytes.extend(score.to_le_bytes()));
        self.array("tokenizer.ggml.token_type", kind::I32, tables.kinds.len());
        tables.kinds.iter().for_each(|&kind| self.bytes.extend((kind as i32).to_le_bytes()));
        self.array("tokenizer.ggml.precompiled_charsmap", kind::U8, tables.rules.charsmap.len());
        self.bytes.extend(&tables.rules.charsmap);
        self.truth("tokenizer.ggml.add_space_prefix", tables.rules.add_dummy_prefix);
        self.truth("tokenizer.ggml.remove_extra_whitespaces", tables.rules.remove_extra_whitespaces);
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use vita_tensor::DType;

    use super::*;

    #[test]
    fn types_that_are_written_are_known_to_their_format() {
        for dtype in [DType::F32, DType::F16, DType::BF16, DType::Q8_0] {
            assert!(type_number(dtype).is_some(), "{dtype}");
        }
        for dtype in [DType::F32, DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2, DType::U8] {
            assert!(DTYPE_NAMES.iter().any(|(_, known)| *known == dtype), "{dtype}");
        }
    }
}
