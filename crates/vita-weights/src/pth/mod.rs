//! Reads the zip archives that `torch.save` writes (`.pth`, `.pt`, `.bin`, `.ckpt`) without running anything.
//!
//! Such a file is a pickle, a program for a small stack machine, beside the raw storages of its tensors. The machine
//! here knows only what a dictionary of tensors takes; a pickle that names any other function is refused by that name.

mod machine;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use bytes::Bytes;
use vita_tensor::{DType, Dims};

use crate::error::{ErrorKind, HeaderProblem};
use crate::safetensors::Content;
use crate::{ElementType, Stored};
use machine::{TensorView, run};

/// The most that the pickle itself may take: names and shapes of some thousand tensors are below 1 MB.
const PICKLE_BYTES_MAX: u64 = 256 << 20;

/// Reads names and shapes; the tensors' bytes are not touched.
pub fn parse(file: &Bytes) -> Result<Content, ErrorKind> {
    let mut archive = zip::ZipArchive::new(Cursor::new(&file[..])).map_err(|error| problem(error.to_string()))?;
    let pickle_name = archive.file_names().find(|name| name.ends_with("/data.pkl") || *name == "data.pkl");
    let pickle_name = pickle_name.ok_or_else(|| problem("it has no `data.pkl`".into()))?.to_owned();
    let folder = pickle_name.strip_suffix("data.pkl").expect("just found").to_owned();
    let mut entry = archive.by_name(&pickle_name).map_err(|error| problem(error.to_string()))?;
    if entry.size() > PICKLE_BYTES_MAX {
        return Err(problem(format!("its pickle takes {} bytes", entry.size())));
    }
    let mut pickle = Vec::new();
    (&mut entry).take(PICKLE_BYTES_MAX).read_to_end(&mut pickle).map_err(|error| problem(error.to_string()))?;
    drop(entry);
    let mut order = Vec::new();
    if let Ok(mut entry) = archive.by_name(&format!("{folder}byteorder")) {
        let _ = (&mut entry).take(16).read_to_end(&mut order);
    }
    if order.starts_with(b"big") {
        return Err(problem("its numbers are big-endian".into()));
    }
    let mut storages = BTreeMap::new();
    let mut tensors = BTreeMap::new();
    for (name, view) in run(&pickle)? {
        if !storages.contains_key(&view.storage) {
            let bytes = storage(file, &mut archive, &format!("{folder}data/{}", view.storage))?;
            storages.insert(view.storage.clone(), bytes);
        }
        let stored = stored(&name, &view, &storages[&view.storage])?;
        tensors.insert(name, stored);
    }
    Ok(Content { metadata: BTreeMap::new(), tensors })
}

/// The bytes of a storage, where they lie in the file.
fn storage(file: &Bytes, archive: &mut zip::ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<Bytes, ErrorKind> {
    let entry = archive.by_name(name).map_err(|_| problem(format!("its storage `{name}` is missing")))?;
    if entry.compression() != zip::CompressionMethod::Stored {
        return Err(problem(format!("its storage `{name}` is compressed, which torch does not do")));
    }
    let start = entry.data_start();
    let end = start.saturating_add(entry.size());
    if end > file.len() as u64 {
        return Err(ErrorKind::Truncated { expected_bytes: end, found_bytes: file.len() as u64 });
    }
    Ok(file.slice(start as usize..end as usize))
}

fn stored(name: &str, view: &TensorView, storage: &Bytes) -> Result<Stored, ErrorKind> {
    let shape_problem = || ErrorKind::Header(HeaderProblem::Shape(name.to_owned()));
    let dims = Dims::try_new(&view.sizes).ok_or_else(shape_problem)?;
    let count = view.sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size.max(1)));
    count.filter(|&count| count < usize::MAX / 64).ok_or_else(shape_problem)?;
    let contiguous = dims.contiguous_strides();
    if (0..dims.len()).any(|axis| dims[axis] > 1 && view.strides[axis] != contiguous[axis]) {
        return Err(problem(format!("`{name}` is a turned or cut view of another tensor")));
    }
    let size = view.dtype.size_bytes();
    let start = view.offset.checked_mul(size).ok_or_else(shape_problem)?;
    let end = start.checked_add(dims.element_count() * size).ok_or_else(shape_problem)?;
    if end > storage.len() {
        return Err(ErrorKind::Header(HeaderProblem::Size {
            tensor: name.to_owned(),
            range_bytes: storage.len() as u64,
            shape_bytes: end as u64,
        }));
    }
    Ok(Stored { element_type: ElementType::Known(view.dtype), dims, bytes: storage.slice(start..end) })
}

/// The element type of a storage class of torch.
fn dtype(class: &str) -> Option<DType> {
    Some(match class {
        "FloatStorage" => DType::F32,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "DoubleStorage" => DType::F64,
        "ByteStorage" | "UntypedStorage" | "BoolStorage" => DType::U8,
        "IntStorage" => DType::I32,
        "LongStorage" => DType::I64,
        "Float8_e4m3fnStorage" => DType::F8E4M3,
        "Float8_e5m2Storage" => DType::F8E5M2,
        _ => return None,
    })
}

fn problem(text: String) -> ErrorKind {
    ErrorKind::Header(HeaderProblem::Torch(text))
}
