//! Writes safetensors files.

use std::collections::BTreeMap;
#[cfg(unix)]
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::json;
use vita_tensor::Tensor;

use crate::error::{Error, ErrorKind, Result};
use crate::safetensors::DTYPE_NAMES;

/// Writes tensors and metadata to a new file, which appears under its name when it is complete.
///
/// Tensors keep their dtype; a view that is not contiguous is written as `f32`. Tensors of larger
/// elements come first, so that all of them are aligned in the file.
///
/// # Errors
/// If the file cannot be written, or two tensors have one name.
pub fn write_safetensors(
    path: impl AsRef<Path>,
    tensors: &[(&str, &Tensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let path = path.as_ref();
    write(path, tensors, metadata).map_err(|cause| Error::new(path.display().to_string(), ErrorKind::Unwritable(cause)))
}

fn write(path: &Path, tensors: &[(&str, &Tensor)], metadata: &BTreeMap<String, String>) -> io::Result<()> {
    let mut tensors: Vec<(&str, Tensor)> = tensors
        .iter()
        .map(|(name, tensor)| {
            (*name, if tensor.is_contiguous() { (*tensor).clone() } else { tensor.to_contiguous_f32() })
        })
        .collect();
    tensors.sort_by_key(|(name, tensor)| (std::cmp::Reverse(tensor.dtype().bytes_of(1)), *name));
    let header = header(&tensors, metadata)?;

    let mut file = temporary_beside(path)?;
    {
        let mut out = BufWriter::with_capacity(1 << 20, &mut file);
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        for (_, tensor) in &tensors {
            out.write_all(tensor.bytes())?;
        }
        out.flush()?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A new file in the folder of another, to be given that one's name when it is complete.
pub(crate) fn temporary_beside(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".vitascope-").suffix(".part");
    #[cfg(unix)]
    {
        // As any other new file: what the user's umask leaves of this.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

fn header(tensors: &[(&str, Tensor)], metadata: &BTreeMap<String, String>) -> io::Result<Vec<u8>> {
    let mut entries = serde_json::Map::new();
    if !metadata.is_empty() {
        entries.insert("__metadata__".to_owned(), json!(metadata));
    }
    let mut end = 0;
    for (name, tensor) in tensors {
        let start = end;
        end += tensor.size_bytes();
        let dtype = DTYPE_NAMES.iter().find(|(_, dtype)| *dtype == tensor.dtype()).map(|(text, _)| *text);
        let entry = json!({ "dtype": dtype, "shape": &*tensor.dims(), "data_offsets": [start, end] });
        if *name == "__metadata__" || entries.insert((*name).to_owned(), entry).is_some() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("tensor name `{name}` is already taken")));
        }
    }
    let mut header = serde_json::to_vec(&entries).map_err(io::Error::other)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}
