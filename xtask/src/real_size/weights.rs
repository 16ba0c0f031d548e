//! Random weights of given shapes, written as a safetensors file as fast as the disk takes them.
//!
//! Values have about the size that a trained network's have, so that nothing overflows: linear weights are of
//! `1 / sqrt(inputs)`, norms are 1, everything else is small.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::json;
use vita_tensor::Dims;

use super::systems::{self, Dialect};

/// A written file.
pub struct Written {
    pub bytes: u64,
    /// Of these, zeros that take no place on the disk.
    pub hole_bytes: u64,
}

/// A tensor to be written.
struct Entry {
    name: String,
    dims: Vec<usize>,
    fill: Fill,
}

/// What a tensor is filled with.
enum Fill {
    /// 8-bit floats of random sign, 0.5 to 1.875.
    F8,
    /// Random sign and mantissa, of this exponent.
    F16 {
        exponent: i32,
    },
    Ones,
    Scalar(f32),
    Bytes(Vec<u8>),
    /// The mark of Comfy's scaled files.
    Mark,
}

/// Root of the mean square of what [`Fill::F8`] gives, and of mantissas from 1 to 2.
const F8_RMS: f64 = 1.154;
const MANTISSA_RMS: f64 = 1.5275;

/// How much is made at once.
const CHUNK_BYTES: usize = 8 << 20;

/// Writes a file, unless one of its size is there already. vocabulary: a sentencepiece model to be put beside the
/// weights of a text encoder; bytes_max: where holes begin.
///
/// # Errors
/// If the disk refuses.
pub fn write(
    path: &Path,
    file: &systems::File,
    vocabulary: &[u8],
    seed: u64,
    bytes_max: Option<u64>,
) -> io::Result<Written> {
    let entries = entries(file, vocabulary);
    let header = header(&entries);
    let bytes = 8 + header.len() as u64 + entries.iter().map(|entry| entry.bytes() as u64).sum::<u64>();
    if let Ok(there) = fs::metadata(path)
        && there.len() == bytes
    {
        return Ok(Written { bytes, hole_bytes: bytes.saturating_sub(on_disk(&there)) });
    }
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let part = path.with_extension("part");
    let mut out = File::create(&part)?;
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    let mut random = seed;
    let mut at = 8 + header.len() as u64;
    for entry in &entries {
        let end = at + entry.bytes() as u64;
        if bytes_max.is_none_or(|max| end <= max) {
            entry.write(&mut out, &mut random)?;
        } else {
            out.seek(SeekFrom::Start(end))?;
        }
        at = end;
    }
    out.set_len(at)?;
    // Pages that are not on the disk yet could not be dropped from memory later.
    out.sync_all()?;
    let hole_bytes = bytes.saturating_sub(on_disk(&out.metadata()?));
    fs::rename(&part, path)?;
    Ok(Written { bytes, hole_bytes })
}

#[cfg(unix)]
fn on_disk(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    metadata.blocks() * 512
}

#[cfg(not(unix))]
fn on_disk(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}

/// Larger elements first, then by name, as the reference writer has it.
fn entries(file: &systems::File, vocabulary: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, dims) in &file.layout {
        let fill = fill(name, dims, file.dialect);
        if matches!(fill, Fill::F8) {
            let scale = 1.0 / (F8_RMS * (dims[1] as f64).sqrt());
            let name = format!("{}.scale_weight", name.trim_end_matches(".weight"));
            entries.push(Entry { name, dims: vec![1], fill: Fill::Scalar(scale as f32) });
        }
        entries.push(Entry { name: name.clone(), dims: dims.to_vec(), fill });
    }
    if file.dialect == Dialect::Fp8Scaled {
        entries.push(Entry { name: "scaled_fp8".into(), dims: vec![2], fill: Fill::Mark });
    }
    if file.path.starts_with("text_encoders") {
        let fill = Fill::Bytes(vocabulary.to_vec());
        entries.push(Entry { name: "spiece_model".into(), dims: vec![vocabulary.len()], fill });
    }
    entries.sort_by(|a, b| (b.fill.size(), &a.name).cmp(&(a.fill.size(), &b.name)));
    entries
}

fn fill(name: &str, dims: &Dims, dialect: Dialect) -> Fill {
    let inputs: usize = dims.iter().skip(1).product();
    let is_vector = inputs == 1;
    let in_block = name.contains("blocks.") || name.contains("encoder.block.");
    let is_table = name.contains("relative_attention_bias");
    match name.ends_with("weight") {
        true if is_vector => Fill::Ones,
        true if dialect == Dialect::Fp8Scaled && in_block && dims.len() == 2 && !is_table => Fill::F8,
        true if !name.contains("position_embedding") => {
            let size = 1.0 / (MANTISSA_RMS * (inputs as f64).sqrt());
            Fill::F16 { exponent: size.log2().round() as i32 }
        }
        _ if name.ends_with("gamma") => Fill::Ones,
        _ => Fill::F16 { exponent: -6 },
    }
}

impl Fill {
    /// Bytes of an element.
    fn size(&self) -> usize {
        match self {
            Self::Scalar(_) => 4,
            Self::F16 { .. } | Self::Ones => 2,
            Self::F8 | Self::Mark | Self::Bytes(_) => 1,
        }
    }

    fn dtype(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "F32",
            Self::F16 { .. } | Self::Ones => "F16",
            Self::F8 | Self::Mark => "F8_E4M3",
            Self::Bytes(_) => "U8",
        }
    }

    /// Eight bytes of elements from eight random ones.
    fn word(&self, random: u64) -> u64 {
        const EACH_BYTE: u64 = 0x0101_0101_0101_0101;
        const EACH_HALF: u64 = 0x0001_0001_0001_0001;
        match self {
            // Sign, the lowest bit of the exponent, and the mantissa; two bits of the exponent are set.
            Self::F8 => (random & (0x8f * EACH_BYTE)) | (0x30 * EACH_BYTE),
            Self::F16 { exponent } => {
                let exponent = (exponent + 15).clamp(1, 30) as u64;
                (random & (0x83ff * EACH_HALF)) | ((exponent << 10) * EACH_HALF)
            }
            Self::Ones => 0x3c00 * EACH_HALF,
            Self::Scalar(_) | Self::Bytes(_) | Self::Mark => 0,
        }
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        self.dims.iter().product::<usize>() * self.fill.size()
    }

    fn write(&self, out: &mut File, random: &mut u64) -> io::Result<()> {
        match &self.fill {
            Fill::Scalar(value) => return out.write_all(&value.to_le_bytes()),
            Fill::Bytes(bytes) => return out.write_all(bytes),
            _ => {}
        }
        let mut left = self.bytes();
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        while left > 0 {
            let count = left.min(CHUNK_BYTES);
            chunk.clear();
            chunk.extend((0..count.div_ceil(8)).flat_map(|_| self.fill.word(next(random)).to_le_bytes()));
            out.write_all(&chunk[..count])?;
            left -= count;
        }
        Ok(())
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn header(entries: &[Entry]) -> Vec<u8> {
    let mut end = 0;
    let table: serde_json::Map<String, serde_json::Value> = entries
        .iter()
        .map(|entry| {
            let start = end;
            end += entry.bytes();
            let dtype = entry.fill.dtype();
            (entry.name.clone(), json!({ "dtype": dtype, "shape": entry.dims, "data_offsets": [start, end] }))
        })
        .collect();
    let mut header = serde_json::to_vec(&table).expect("names and numbers are JSON");
    header.resize(header.len().next_multiple_of(8), b' ');
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use vita_weights::Checkpoint;

    #[test]
    fn a_written_file_opens_with_values_of_the_size_of_a_networks() {
        let folder = tempfile::tempdir().unwrap();
        let layout = vec![
            ("blocks.0.ffn.0.weight".to_owned(), Dims::from([512, 256])),
            ("blocks.0.norm3.weight".to_owned(), Dims::from([9])),
            ("blocks.0.ffn.0.bias".to_owned(), Dims::from([512])),
            ("head.head.weight".to_owned(), Dims::from([64, 256])),
        ];
        let path = "diffusion_models/x.safetensors".to_owned();
        let file = systems::File { path, layout, dialect: Dialect::Fp8Scaled, is_second_expert: false };
        let path = folder.path().join(&file.path);
        let written = write(&path, &file, b"", 1, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), written.bytes);
        let checkpoint = Checkpoint::open(&path).unwrap();
        let values = |name: &str| checkpoint.tensor(name).unwrap().to_vec();
        let scale = values("blocks.0.ffn.0.scale_weight")[0];
        for (name, scale) in [("blocks.0.ffn.0.weight", scale), ("head.head.weight", 1.0)] {
            let values = values(name);
            let squares: f32 = values.iter().map(|value| (value * scale).powi(2)).sum();
            let rms = (squares / values.len() as f32).sqrt();
            assert!((0.7..1.42).contains(&(rms * 16.0)), "{name}: {rms}");
        }
        assert_eq!(values("blocks.0.norm3.weight"), [1.0; 9]);
        assert!(values("blocks.0.ffn.0.bias").iter().all(|value| value.abs() < 0.04));
        // The same again is not written again; another size is.
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        write(&path, &file, b"", 2, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    }
}
