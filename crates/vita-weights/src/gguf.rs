//! Reads a GGUF header: counts, key-value pairs, tensors; then aligned data.
//!
//! The layout is that of ggml's `gguf.md`, versions 2 and 3. As with safetensors, nothing of it is believed: strings,
//! arrays and ranges are bounded by the file before anything is made of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use vita_tensor::{DType, Dims};

use crate::error::{ErrorKind, HeaderProblem};
use crate::safetensors::Content;
use crate::{ElementType, Stored, vocabulary};

/// Bytes that data and each tensor are aligned to, unless the file says otherwise.
const ALIGNMENT: u64 = 32;

/// Where ComfyUI's converter keeps the shape of a tensor that GGUF could not hold as it is.
const ORIGINAL_SHAPE: &str = "comfy.gguf.orig_shape.";

/// Reads the header; the tensors' bytes are not touched.
pub fn parse(file: &Bytes) -> Result<Content, ErrorKind> {
    // The file's kind was told by its first four bytes.
    let mut reader = Reader { bytes: file, at: 4 };
    let version = reader.u32()?;
    if !(2..=3).contains(&version) {
        return Err(problem(format!("version {version} of GGUF is not 2 or 3")));
    }
    let (tensor_count, pair_count) = (reader.u64()?, reader.u64()?);
    let mut pairs = BTreeMap::new();
    for _ in 0..pair_count {
        let key = reader.string()?;
        let value = reader.typed_value()?;
        if pairs.insert(key.clone(), value).is_some() {
            return Err(ErrorKind::Header(HeaderProblem::Duplicate(key)));
        }
    }
    let mut entries = Vec::new();
    for _ in 0..tensor_count {
        entries.push(reader.entry()?);
    }
    let alignment = match pairs.get("general.alignment") {
        None => ALIGNMENT,
        Some(Value::Int(value)) if *value > 0 && value.is_power_of_two() => *value,
        Some(_) => return Err(problem("the alignment is no power of two".into())),
    };
    let start = (reader.at as u64).next_multiple_of(alignment);
    let mut tensors = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let stored = stored(file, entry, start, next_start(&entries, index), &pairs)?;
        if tensors.insert(entry.name.clone(), stored).is_some() {
            return Err(ErrorKind::Header(HeaderProblem::Duplicate(entry.name.clone())));
        }
    }
    if let Some(bytes) = sentencepiece(&pairs) {
        let dims = Dims::from([bytes.len()]);
        let spiece = Stored { element_type: ElementType::Known(DType::U8), dims, bytes: bytes.into() };
        tensors.entry("spiece_model".into()).or_insert(spiece);
    }
    let metadata = pairs.into_iter().filter_map(|(key, value)| Some((key, value.text()?))).collect();
    Ok(Content { metadata, tensors })
}

/// A tensor of the header.
struct Entry {
    name: String,
    /// Innermost first.
    sizes: Vec<u64>,
    kind: u32,
    /// From the start of the data.
    offset: u64,
}

/// Where the data of the tensor that lies after another begins, for types whose size is not known.
fn next_start(entries: &[Entry], index: usize) -> Option<u64> {
    let offset = entries[index].offset;
    entries.iter().map(|entry| entry.offset).filter(|&other| other > offset).min()
}

fn stored(
    file: &Bytes,
    entry: &Entry,
    start: u64,
    next: Option<u64>,
    pairs: &BTreeMap<String, Value>,
) -> Result<Stored, ErrorKind> {
    let shape_problem = || ErrorKind::Header(HeaderProblem::Shape(entry.name.clone()));
    let mut sizes: Vec<usize> = Vec::new();
    for &size in entry.sizes.iter().rev() {
        sizes.push(usize::try_from(size).map_err(|_| shape_problem())?);
    }
    let count = |sizes: &[usize]| sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size.max(1)));
    let elements = count(&sizes).filter(|&count| count < usize::MAX / 64).ok_or_else(shape_problem)?;
    if let Some(Value::Ints(original)) = pairs.get(&format!("{ORIGINAL_SHAPE}{}", entry.name)) {
        let original: Option<Vec<usize>> = original.iter().map(|&size| usize::try_from(size).ok()).collect();
        sizes = original.filter(|original| count(original) == Some(elements)).ok_or_else(shape_problem)?;
    }
    let dims = Dims::try_new(&sizes).ok_or_else(shape_problem)?;
    let begin = start.checked_add(entry.offset).ok_or_else(shape_problem)?;
    let element_type = element_type(entry.kind);
    let length = match element_type.dtype() {
        Some(dtype) => {
            let block = dtype.block().map_or(1, |block| block.len);
            if sizes.last().is_some_and(|row| row % block != 0) {
                return Err(shape_problem());
            }
            dtype.bytes_of(dims.element_count()).ok_or_else(shape_problem)? as u64
        }
        None => next.map_or(file.len() as u64, |next| start.saturating_add(next)).saturating_sub(begin),
    };
    let end = begin.checked_add(length).ok_or_else(shape_problem)?;
    if end > file.len() as u64 {
        return Err(ErrorKind::Truncated { expected_bytes: end, found_bytes: file.len() as u64 });
    }
    Ok(Stored { element_type, dims, bytes: file.slice(begin as usize..end as usize) })
}

/// ggml's numbers of types.
const TYPES: [(u32, DType); 16] = [
    (0, DType::F32),
    (1, DType::F16),
    (2, DType::Q4_0),
    (3, DType::Q4_1),
    (6, DType::Q5_0),
    (7, DType::Q5_1),
    (8, DType::Q8_0),
    (10, DType::Q2K),
    (11, DType::Q3K),
    (12, DType::Q4K),
    (13, DType::Q5K),
    (14, DType::Q6K),
    (26, DType::I32),
    (27, DType::I64),
    (28, DType::F64),
    (30, DType::BF16),
];

/// The number of a type that GGUF files hold.
pub fn type_number(dtype: DType) -> Option<u32> {
    TYPES.iter().find(|(_, known)| *known == dtype).map(|(number, _)| *number)
}

fn element_type(kind: u32) -> ElementType {
    if let Some((_, dtype)) = TYPES.iter().find(|(number, _)| *number == kind) {
        return ElementType::Known(*dtype);
    }
    let other = OTHER_TYPES.iter().find(|(number, _)| *number == kind);
    ElementType::Other(other.map_or_else(|| format!("GGUF type {kind}"), |(_, name)| (*name).into()))
}

/// Types that are not read, by name.
const OTHER_TYPES: [(u32, &str); 17] = [
    (9, "q8_1"),
    (15, "q8_k"),
    (16, "iq2_xxs"),
    (17, "iq2_xs"),
    (18, "iq3_xxs"),
    (19, "iq1_s"),
    (20, "iq4_nl"),
    (21, "iq3_s"),
    (22, "iq2_s"),
    (23, "iq4_xs"),
    (24, "i8"),
    (25, "i16"),
    (29, "iq1_m"),
    (34, "tq1_0"),
    (35, "tq2_0"),
    (39, "mxfp4"),
    (40, "nvfp4"),
];

/// A value of the header.
#[derive(Debug, Clone)]
enum Value {
    Int(u64),
    /// Below zero, or not a whole number, or a truth value: only for people.
    Other(String),
    Text(String),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<String>),
    /// An array of something else.
    Skipped,
}

impl Value {
    /// As metadata; arrays are left out.
    fn text(self) -> Option<String> {
        match self {
            Self::Int(value) => Some(value.to_string()),
            Self::Other(text) | Self::Text(text) => Some(text),
            Self::Ints(_) | Self::Floats(_) | Self::Texts(_) | Self::Skipped => None,
        }
    }
}

/// Reads little-endian values, never beyond the file.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ErrorKind> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let bytes = bytes.ok_or(ErrorKind::Truncated {
            expected_bytes: self.at as u64 + N as u64,
            found_bytes: self.bytes.len() as u64,
        })?;
        self.at += N;
        Ok(*bytes)
    }

    fn u32(&mut self) -> Result<u32, ErrorKind> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, ErrorKind> {
        self.take().map(u64::from_le_bytes)
    }

    fn string(&mut self) -> Result<String, ErrorKind> {
        let len = self.u64()?;
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        let bytes = end.and_then(|end| self.bytes.get(self.at..end)).ok_or(ErrorKind::Truncated {
            expected_bytes: (self.at as u64).saturating_add(len),
            found_bytes: self.bytes.len() as u64,
        })?;
        self.at += bytes.len();
        String::from_utf8(bytes.to_vec()).map_err(|_| problem("a string is not UTF-8".into()))
    }

    fn entry(&mut self) -> Result<Entry, ErrorKind> {
        let name = self.string()?;
        let axes = self.u32()?;
        if axes as usize > Dims::MAX {
            return Err(ErrorKind::Header(HeaderProblem::Shape(name)));
        }
        let sizes = (0..axes).map(|_| self.u64()).collect::<Result<_, _>>()?;
        Ok(Entry { name, sizes, kind: self.u32()?, offset: self.u64()? })
    }

    fn typed_value(&mut self) -> Result<Value, ErrorKind> {
        let kind = self.u32()?;
        match kind {
            9 => self.array(),
            _ => self.value(kind),
        }
    }

    fn value(&mut self, kind: u32) -> Result<Value, ErrorKind> {
        let int = |value: i64| match u64::try_from(value) {
            Ok(value) => Value::Int(value),
            Err(_) => Value::Other(value.to_string()),
        };
        Ok(match kind {
            0 => Value::Int(u8::from_le_bytes(self.take()?).into()),
            1 => int(i8::from_le_bytes(self.take()?).into()),
            2 => Value::Int(u16::from_le_bytes(self.take()?).into()),
            3 => int(i16::from_le_bytes(self.take()?).into()),
            4 => Value::Int(self.u32()?.into()),
            5 => int(i32::from_le_bytes(self.take()?).into()),
            6 => Value::Other(f32::from_le_bytes(self.take()?).to_string()),
            7 => Value::Other((u8::from_le_bytes(self.take()?) != 0).to_string()),
            8 => Value::Text(self.string()?),
            10 => Value::Int(self.u64()?),
            11 => int(i64::from_le_bytes(self.take()?)),
            12 => Value::Other(f64::from_le_bytes(self.take()?).to_string()),
            other => return Err(problem(format!("a value of the unknown type {other}"))),
        })
    }

    fn array(&mut self) -> Result<Value, ErrorKind> {
        let (kind, len) = (self.u32()?, self.u64()?);
        // Every element takes a byte at least, so a count beyond the file is caught before it is believed.
        if len > (self.bytes.len() - self.at) as u64 {
            return Err(ErrorKind::Truncated {
                expected_bytes: (self.at as u64).saturating_add(len),
                found_bytes: self.bytes.len() as u64,
            });
        }
        match kind {
            8 => (0..len).map(|_| self.string()).collect::<Result<_, _>>().map(Value::Texts),
            6 => (0..len).map(|_| self.take().map(f32::from_le_bytes)).collect::<Result<_, _>>().map(Value::Floats),
            9 => Err(problem("an array of arrays".into())),
            _ => {
                let mut ints = Vec::new();
                for _ in 0..len {
                    match self.value(kind)? {
                        Value::Int(value) => ints.push(value as i64),
                        Value::Other(text) => ints.extend(text.parse::<i64>()),
                        _ => {}
                    }
                }
                Ok(if ints.len() as u64 == len { Value::Ints(ints) } else { Value::Skipped })
            }
        }
    }
}

/// The vocabulary of a text encoder, as the sentencepiece model that it was made of.
fn sentencepiece(pairs: &BTreeMap<String, Value>) -> Option<Vec<u8>> {
    let Some(Value::Texts(pieces)) = pairs.get("tokenizer.ggml.tokens") else { return None };
    let Some(Value::Floats(scores)) = pairs.get("tokenizer.ggml.scores") else { return None };
    let Some(Value::Ints(kinds)) = pairs.get("tokenizer.ggml.token_type") else { return None };
    let charsmap: Vec<u8> = match pairs.get("tokenizer.ggml.precompiled_charsmap") {
        Some(Value::Ints(bytes)) => bytes.iter().map(|&byte| byte as u8).collect(),
        _ => Vec::new(),
    };
    let flag = |key: &str, default: bool| match pairs.get(key) {
        Some(Value::Other(text)) => text == "true",
        _ => default,
    };
    let rules = vocabulary::Rules {
        charsmap,
        add_dummy_prefix: flag("tokenizer.ggml.add_space_prefix", true),
        remove_extra_whitespaces: flag("tokenizer.ggml.remove_extra_whitespaces", true),
    };
    (pieces.len() == scores.len() && pieces.len() == kinds.len())
        .then(|| vocabulary::sentencepiece_model(pieces, scores, kinds, &rules))
}

fn problem(text: String) -> ErrorKind {
    ErrorKind::Header(HeaderProblem::Gguf(text))
}
