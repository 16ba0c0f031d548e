//! Reads a safetensors header: eight bytes of length, JSON, then the tensors' bytes without gaps.
//!
//! Files come from strangers, so every number is checked before it is used: names are unique, each
//! range is inside the file and exactly as long as its shape, and the ranges tile the data.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use vita_tensor::{DType, Dims};

use crate::error::{ErrorKind, HeaderProblem};
use crate::{ElementType, Looks, Stored};

/// The most a header may take. Real ones are below 1 MB; the reference reader has the same limit.
const HEADER_BYTES_MAX: u64 = 100_000_000;

/// Bytes before the header.
const LENGTH_BYTES: u64 = 8;

/// What a file holds, tensors as ranges of `file`.
pub struct Content {
    pub metadata: BTreeMap<String, String>,
    pub tensors: BTreeMap<String, Stored>,
}

/// Reads the header; the tensors' bytes are not touched.
pub fn parse(file: &Bytes) -> Result<Content, ErrorKind> {
    let header = header_bytes(file)?;
    let data_start = LENGTH_BYTES as usize + header.len();
    let Header { metadata, tensors } = serde_json::from_slice(header).map_err(|error| {
        let text = error.to_string();
        ErrorKind::Header(match text.strip_prefix(DUPLICATE).and_then(|rest| rest.split_once('\u{0}')) {
            Some((name, _)) => HeaderProblem::Duplicate(name.to_owned()),
            None => HeaderProblem::Json(text),
        })
    })?;
    let shapes = check_sizes(&tensors)?;
    check_ranges(&tensors, file.len() as u64, data_start as u64)?;
    let tensors = tensors.into_iter().zip(shapes).map(|((name, entry), dims)| {
        // Inside the file, as `check_ranges` has found.
        let bytes = file.slice(data_start + entry.range.0 as usize..data_start + entry.range.1 as usize);
        (name, Stored { element_type: entry.dtype, dims, bytes })
    });
    Ok(Content { metadata, tensors: tensors.collect() })
}

/// The JSON part, or what the file is instead.
fn header_bytes(file: &[u8]) -> Result<&[u8], ErrorKind> {
    let not_safetensors = || ErrorKind::NotSafetensors(Looks::of(file));
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Err(not_safetensors());
    };
    let header_len = u64::from_le_bytes(*length);
    // The header is an object, so its first byte tells apart other formats and broken headers.
    if header_len < 2 || rest.first() != Some(&b'{') {
        return Err(not_safetensors());
    }
    if header_len > HEADER_BYTES_MAX {
        return Err(match Looks::of(file) {
            Looks::Unknown => ErrorKind::Header(HeaderProblem::TooLong(header_len)),
            looks => ErrorKind::NotSafetensors(looks),
        });
    }
    rest.get(..header_len as usize)
        .ok_or(ErrorKind::Truncated { expected_bytes: LENGTH_BYTES + header_len, found_bytes: file.len() as u64 })
}

/// Shapes that can be tensors, and ranges as long as they say.
fn check_sizes(tensors: &BTreeMap<String, Entry>) -> Result<Vec<Dims>, ErrorKind> {
    let one = |(name, entry): (&String, &Entry)| {
        let shape_problem = || HeaderProblem::Shape(name.clone());
        let sizes: Vec<usize> = entry
            .shape
            .iter()
            .map(|&size| usize::try_from(size))
            .collect::<Result<_, _>>()
            .map_err(|_| shape_problem())?;
        let dims = Dims::try_new(&sizes).ok_or_else(shape_problem)?;
        // Axes of size 0 must not hide an overflow of the others: strides are products too.
        let span = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size.max(1)));
        span.and_then(|span| span.checked_mul(64)).ok_or_else(shape_problem)?;
        let range_bytes =
            entry.range.1.checked_sub(entry.range.0).ok_or_else(|| HeaderProblem::Backwards(name.clone()))?;
        if let Some(bits) = entry.dtype.size_bits() {
            let shape_bytes = (dims.element_count() as u64 * u64::from(bits)).div_ceil(8);
            if shape_bytes != range_bytes {
                return Err(HeaderProblem::Size { tensor: name.clone(), range_bytes, shape_bytes });
            }
        }
        Ok(dims)
    };
    tensors.iter().map(one).collect::<Result<_, _>>().map_err(ErrorKind::Header)
}

/// Ranges that tile the data from its start to the end of the file.
fn check_ranges(tensors: &BTreeMap<String, Entry>, file_bytes: u64, data_start: u64) -> Result<(), ErrorKind> {
    let mut by_start: Vec<(&String, (u64, u64))> = tensors.iter().map(|(name, entry)| (name, entry.range)).collect();
    by_start.sort_by_key(|&(_, range)| range);
    let mut end = 0;
    let mut before = "";
    for (name, range) in by_start {
        if range.0 < end {
            return Err(ErrorKind::Header(HeaderProblem::Overlap(before.to_owned(), name.clone())));
        }
        if range.0 > end {
            let gap = HeaderProblem::Gap { bytes: range.0 - end, before: Some(name.clone()) };
            return Err(ErrorKind::Header(gap));
        }
        (end, before) = (range.1, name);
    }
    let expected_bytes = data_start.saturating_add(end);
    match expected_bytes {
        _ if expected_bytes > file_bytes => Err(ErrorKind::Truncated { expected_bytes, found_bytes: file_bytes }),
        _ if expected_bytes < file_bytes => {
            Err(ErrorKind::Header(HeaderProblem::Gap { bytes: file_bytes - expected_bytes, before: None }))
        }
        _ => Ok(()),
    }
}

struct Header {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, Entry>,
}

struct Entry {
    dtype: ElementType,
    shape: Vec<u64>,
    range: (u64, u64),
}

/// Marks the one problem that serde's own error cannot carry as a value.
const DUPLICATE: &str = "\u{0}duplicate ";

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header { metadata: BTreeMap::new(), tensors: BTreeMap::new() };
        let mut metadata_seen = false;
        while let Some(name) = map.next_key::<String>()? {
            let duplicate = if name == "__metadata__" {
                header.metadata = map.next_value::<BTreeMap<String, String>>()?;
                std::mem::replace(&mut metadata_seen, true)
            } else {
                header.tensors.insert(name.clone(), map.next_value()?).is_some()
            };
            if duplicate {
                return Err(A::Error::custom(format_args!("{DUPLICATE}{name}\u{0}")));
            }
        }
        Ok(header)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tensor's dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let (mut dtype, mut shape, mut range) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            let again = match &*key {
                "dtype" => dtype.replace(ElementType::from_safetensors(&map.next_value::<String>()?)).is_some(),
                "shape" => shape.replace(map.next_value::<Shape>()?.0).is_some(),
                "data_offsets" => range.replace(map.next_value::<(u64, u64)>()?).is_some(),
                _ => map.next_value::<IgnoredAny>().map(|_| false)?,
            };
            if again {
                return Err(A::Error::custom(format_args!("{DUPLICATE}{key}\u{0}")));
            }
        }
        Ok(Entry {
            dtype: dtype.ok_or_else(|| A::Error::missing_field("dtype"))?,
            shape: shape.ok_or_else(|| A::Error::missing_field("shape"))?,
            range: range.ok_or_else(|| A::Error::missing_field("data_offsets"))?,
        })
    }
}

/// Sizes of axes; a few more than a tensor may have are kept, so that the error can name the tensor.
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShapeVisitor;
        impl<'de> Visitor<'de> for ShapeVisitor {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let mut sizes = Vec::new();
                while let Some(size) = seq.next_element()? {
                    if sizes.len() <= Dims::MAX {
                        sizes.push(size);
                    }
                }
                Ok(Shape(sizes))
            }
        }
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

/// The format's names of the types that tensors know.
pub const DTYPE_NAMES: [(&str, DType); 9] = [
    ("F32", DType::F32),
    ("F16", DType::F16),
    ("BF16", DType::BF16),
    ("F8_E4M3", DType::F8E4M3),
    ("F8_E5M2", DType::F8E5M2),
    ("F64", DType::F64),
    ("U8", DType::U8),
    ("I32", DType::I32),
    ("I64", DType::I64),
];

/// Bits of the format's other types. One that is not here either has no size to check.
pub const OTHER_BITS: [(&str, u8); 13] = [
    ("BOOL", 8),
    ("I8", 8),
    ("I16", 16),
    ("U16", 16),
    ("U32", 32),
    ("U64", 64),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2FNUZ", 8),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("F4", 4),
    ("C64", 64),
];
