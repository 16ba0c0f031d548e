//! Builds small checkpoints, byte by byte, without the code under test.

#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::BTreeMap;

use vita_weights::{Checkpoint, Role, Weights};

/// A tensor to be put into a file.
#[derive(Clone)]
pub struct Put {
    pub name: String,
    pub dtype: &'static str,
    pub dims: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Zeros of a type.
pub fn zeros(name: impl Into<String>, dtype: &'static str, dims: &[usize]) -> Put {
    let element_bytes = match dtype {
        "F32" | "I32" => 4,
        "F16" | "BF16" => 2,
        "F64" | "I64" => 8,
        _ => 1,
    };
    Put {
        name: name.into(),
        dtype,
        dims: dims.to_vec(),
        bytes: vec![0; dims.iter().product::<usize>() * element_bytes],
    }
}

/// Single-precision values.
pub fn f32s(name: impl Into<String>, dims: &[usize], values: &[f32]) -> Put {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Put { name: name.into(), dtype: "F32", dims: dims.to_vec(), bytes }
}

/// A tensor of bytes.
pub fn text(name: impl Into<String>, text: &str) -> Put {
    Put { name: name.into(), dtype: "U8", dims: vec![text.len()], bytes: text.as_bytes().to_vec() }
}

/// A safetensors file.
pub fn file(puts: &[Put], metadata: &[(&str, &str)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), serde_json::json!(metadata.iter().copied().collect::<BTreeMap<_, _>>()));
    }
    let mut data = Vec::new();
    for put in puts {
        let start = data.len();
        data.extend_from_slice(&put.bytes);
        let entry = serde_json::json!({"dtype": put.dtype, "shape": put.dims, "data_offsets": [start, data.len()]});
        assert!(header.insert(put.name.clone(), entry).is_none(), "{} put twice", put.name);
    }
    with_header(&serde_json::to_string(&header).unwrap(), &data)
}

/// A file of any header, honest or not.
pub fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// An opened checkpoint.
pub fn checkpoint(puts: &[Put]) -> Checkpoint {
    Checkpoint::from_bytes(file(puts, &[]), "model.safetensors").unwrap()
}

/// Reads `NAME SIZE SIZE ...` lines.
pub fn names_and_shapes(list: &str) -> Vec<(String, Vec<usize>)> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap().to_owned();
        (name, words.map(|size| size.parse().unwrap()).collect())
    };
    list.lines().map(line).collect()
}

/// Small networks of every kind, as their canonical names and shapes.
pub mod small {
    use vita_tensor::Dims;
    use vita_weights::{ClipVisionFacts, DitFacts, DitVariant, Umt5Facts, VaeFacts, VaeGeneration};

    pub fn dit() -> DitFacts {
        DitFacts {
            dim: 128,
            ffn_dim: 192,
            head_count: 1,
            layer_count: 2,
            in_channels: 16,
            out_channels: 16,
            text_dim: 24,
            freq_dim: 256,
            image_branch: false,
            image_dim: None,
            first_last_frame: false,
            variant: DitVariant::Plain,
        }
    }

    pub fn umt5() -> Umt5Facts {
        Umt5Facts {
            vocab_size: 50,
            dim: 24,
            ffn_dim: 40,
            head_count: 2,
            head_dim: 8,
            layer_count: 2,
            bucket_count: 32,
            table_in_every_layer: true,
        }
    }

    pub fn clip_vision() -> ClipVisionFacts {
        ClipVisionFacts {
            dim: 80,
            ffn_dim: 96,
            head_count: 1,
            layer_count: 3,
            patch_size: 4,
            image_size: 8,
            position_count: 5,
            fused_qkv: false,
            image_channels: 3,
            embedding_dims: [Dims::from([80]), Dims::from([5, 80])],
            unused: vec![("visual_projection.weight".to_owned(), Dims::from([64, 80]))],
        }
    }

    pub fn vae() -> VaeFacts {
        VaeFacts {
            generation: VaeGeneration::Wan21,
            encoder_dim: 4,
            decoder_dim: 4,
            latent_channels: 16,
            image_channels: 3,
        }
    }
}

/// Tensors of a layout, of one type, each under a prefix.
pub fn of_layout(layout: &vita_weights::Layout, dtype: &'static str, prefix: &str) -> Vec<Put> {
    layout.iter().map(|(name, dims)| zeros(format!("{prefix}{name}"), dtype, dims)).collect()
}

/// What a failed load says, and its hint.
pub fn failure<T>(result: vita_weights::Result<T>) -> (String, String) {
    let error = result.err().expect("an error");
    (error.to_string(), vita_base::Hint::hint(&error).unwrap_or_default())
}

/// The weights of a network that is there.
pub fn weights(puts: &[Put], role: Role) -> Weights {
    checkpoint(puts).weights(role).unwrap()
}
