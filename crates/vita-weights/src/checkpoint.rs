//! One opened file: its metadata, and its tensors by the names they have there.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use vita_tensor::{DType, Dims, Tensor};

use crate::error::{Error, ErrorKind, HeaderProblem, Result};
use crate::sharded::{INDEX_ENDING, component, shards};
use crate::{Looks, Role, Weights, gguf, identify, mmap, pth, safetensors};

/// An opened checkpoint. Cheap to clone; tensors taken from it keep the file mapped.
#[derive(Clone)]
pub struct Checkpoint {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    path: Option<PathBuf>,
    /// One a file.
    pages: Vec<mmap::Pages>,
    size_bytes: u64,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, Stored>,
}

impl Checkpoint {
    /// Maps a file and reads its header: safetensors, GGUF, a zipped `.pth` of torch, or the `.index.json` of several
    /// safetensors files. No tensor is read before it is used.
    ///
    /// # Errors
    /// If it is not there, of another format, cut short, or its header is not honest.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.to_string_lossy().ends_with(INDEX_ENDING) && path.is_file() {
            return Self::open_shards(path);
        }
        let name = path.display().to_string();
        let fail = |kind| Error::new(&name, kind);
        let (bytes, pages) = map(path).map_err(fail)?;
        Self::parse(bytes, name, Some((path.to_owned(), pages)))
    }

    /// The same where the path may be a folder: of a component, or of a whole pipeline as diffusers keeps it, whose
    /// component of a role is opened. `second` asks for a pipeline's second transformer, the low-noise expert.
    ///
    /// # Errors
    /// As [`Self::open`]; if a folder has no such component.
    pub fn open_component(path: impl AsRef<Path>, role: Role, second: bool) -> Result<Self> {
        let path = path.as_ref();
        match component(path, role, second) {
            Some(file) => Self::open(file),
            None => Err(Error::new(path.display().to_string(), ErrorKind::NoComponent(role))),
        }
    }

    fn open_shards(index: &Path) -> Result<Self> {
        let name = index.display().to_string();
        let files = shards(index).map_err(|text| Error::new(&name, ErrorKind::Header(HeaderProblem::Index(text))))?;
        let mut inner = Inner {
            name: name.clone(),
            path: Some(index.to_owned()),
            pages: Vec::new(),
            size_bytes: 0,
            metadata: BTreeMap::new(),
            tensors: BTreeMap::new(),
        };
        for file in files {
            let shard = Self::open(&file)?;
            inner.size_bytes += shard.size_bytes();
            inner.pages.extend(shard.inner.pages.iter().cloned());
            inner.metadata.extend(shard.inner.metadata.clone());
            for (key, stored) in &shard.inner.tensors {
                if inner.tensors.insert(key.clone(), stored.clone()).is_some() {
                    return Err(Error::new(name, ErrorKind::Header(HeaderProblem::Duplicate(key.clone()))));
                }
            }
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A checkpoint in memory, for instance compiled into the program.
    ///
    /// # Errors
    /// Like [`Self::open`].
    pub fn from_bytes(bytes: impl Into<Bytes>, name: &str) -> Result<Self> {
        Self::parse(bytes.into(), name.to_owned(), None)
    }

    /// A checkpoint of tensors that were made in memory; several may share their bytes.
    ///
    /// # Errors
    /// If a name comes twice, or a tensor's bytes are not as many as its shape says.
    pub fn from_tensors(name: &str, tensors: impl IntoIterator<Item = (String, Stored)>) -> Result<Self> {
        let fail = |problem| Error::new(name, ErrorKind::Header(problem));
        let mut all = BTreeMap::new();
        let mut size_bytes = 0;
        for (key, stored) in tensors {
            let range_bytes = stored.bytes.len() as u64;
            let shape_bytes = stored
                .element_type
                .size_bits()
                .map_or(range_bytes, |bits| (stored.dims.element_count() as u64 * u64::from(bits)).div_ceil(8));
            if shape_bytes != range_bytes {
                return Err(fail(HeaderProblem::Size { tensor: key, range_bytes, shape_bytes }));
            }
            size_bytes += range_bytes;
            if all.insert(key.clone(), stored).is_some() {
                return Err(fail(HeaderProblem::Duplicate(key)));
            }
        }
        let (path, pages, metadata) = (None, Vec::new(), BTreeMap::new());
        Ok(Self { inner: Arc::new(Inner { name: name.to_owned(), path, pages, size_bytes, metadata, tensors: all }) })
    }

    /// The tensors under the names that the network's loader uses, whatever dialect the file is in.
    ///
    /// # Errors
    /// If the file holds no network of that role, or one that cannot be run.
    pub fn weights(&self, role: Role) -> Result<Weights> {
        Weights::of(self, role)
    }

    /// Lets go of the parts of the file that were read into memory; what is touched again is read again. To be called
    /// when a network is loaded: its weights are packed by then, and would count twice.
    pub fn release_pages(&self) {
        self.inner.pages.iter().for_each(mmap::Pages::release);
    }

    /// What the file was called when it was opened; starts every error message.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Where the file is, unless it is in memory.
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
    }

    /// Size of the file.
    pub fn size_bytes(&self) -> u64 {
        self.inner.size_bytes
    }

    /// The header's free text: `format`, training notes, quantisation tables.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.inner.metadata
    }

    /// All tensors, sorted by name.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, &Stored)> {
        self.inner.tensors.iter().map(|(name, stored)| (name.as_str(), stored))
    }

    /// A tensor's type, shape and bytes.
    pub fn stored(&self, name: &str) -> Option<&Stored> {
        self.inner.tensors.get(name)
    }

    /// A tensor of any shape.
    ///
    /// # Errors
    /// If it is missing, or of a type that tensors do not have.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let stored = self.stored(name).ok_or_else(|| {
            self.error(ErrorKind::TensorMissing { tensor: name.into(), wanted: None, seems: self.some_names() })
        })?;
        self.to_tensor(name, stored)
    }

    /// A tensor of a given shape.
    ///
    /// # Errors
    /// If it is missing, of another shape, or of a type that tensors do not have.
    pub fn get(&self, name: &str, dims: &[usize]) -> Result<Tensor> {
        let tensor = self.tensor(name)?;
        if *tensor.dims() != *dims {
            return Err(self.error(ErrorKind::TensorShape {
                tensor: name.into(),
                found: tensor.dims().to_vec(),
                expected: dims.to_vec(),
                wanted: None,
                seems: self.some_names(),
            }));
        }
        Ok(tensor)
    }

    pub(crate) fn to_tensor(&self, name: &str, stored: &Stored) -> Result<Tensor> {
        let unusable =
            || self.error(ErrorKind::TensorType { tensor: name.into(), dtype: stored.element_type.to_string() });
        let dtype = stored.element_type.dtype().ok_or_else(unusable)?;
        // Cannot fail: the length was checked against shape and dtype when the file was opened.
        Tensor::from_bytes(stored.bytes.clone(), dtype, &stored.dims).map_err(|_| unusable())
    }

    /// What the file seems to be, for the hints of errors.
    pub(crate) fn seems(&self) -> String {
        identify::with_article(&identify::identify(self).system)
    }

    /// "`context`, `x` and 3 more".
    fn some_names(&self) -> String {
        const SHOWN: usize = 6;
        let names: Vec<String> = self.inner.tensors.keys().take(SHOWN).map(|name| format!("`{name}`")).collect();
        match self.inner.tensors.len().saturating_sub(SHOWN) {
            _ if names.is_empty() => "no tensors".to_owned(),
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    }

    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(self.name(), kind)
    }

    fn parse(bytes: Bytes, name: String, file: Option<(PathBuf, mmap::Pages)>) -> Result<Self> {
        let content = match Looks::of(&bytes) {
            Looks::Gguf => gguf::parse(&bytes),
            Looks::TorchZip => pth::parse(&bytes),
            _ => safetensors::parse(&bytes),
        };
        let content = content.map_err(|kind| Error::new(&name, kind))?;
        let size_bytes = bytes.len() as u64;
        let (path, pages) = file.unzip();
        let pages = Vec::from_iter(pages);
        let inner = Inner { name, path, pages, size_bytes, metadata: content.metadata, tensors: content.tensors };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checkpoint({:?}, {} tensors)", self.name(), self.inner.tensors.len())
    }
}

/// A tensor as it lies in a file.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Type of its elements.
    pub element_type: ElementType,
    /// Sizes of its axes.
    pub dims: Dims,
    /// Its bytes, little-endian, row-major, not necessarily aligned.
    pub bytes: Bytes,
}

/// Type of stored elements; files know more types than tensors do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// One that tensors have.
    Known(DType),
    /// One that they do not have, by the file format's name.
    Other(String),
}

impl ElementType {
    /// The tensor's type, if it has one.
    pub fn dtype(&self) -> Option<DType> {
        match self {
            Self::Known(dtype) => Some(*dtype),
            Self::Other(_) => None,
        }
    }

    pub(crate) fn from_safetensors(name: &str) -> Self {
        let known = safetensors::DTYPE_NAMES.iter().find(|(known, _)| *known == name);
        known.map_or_else(|| Self::Other(name.to_owned()), |&(_, dtype)| Self::Known(dtype))
    }

    /// Bits of one element, or `None` for a type that is not known at all.
    pub(crate) fn size_bits(&self) -> Option<u8> {
        match self {
            Self::Known(dtype) => (dtype.block().is_none()).then(|| dtype.size_bytes() as u8 * 8),
            Self::Other(name) => safetensors::OTHER_BITS.iter().find(|(other, _)| other == name).map(|&(_, bits)| bits),
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(dtype) => dtype.fmt(f),
            Self::Other(name) => f.write_str(name),
        }
    }
}

fn map(path: &Path) -> Result<(Bytes, mmap::Pages), ErrorKind> {
    let unreadable = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Unreadable(cause),
    };
    // Before opening: to open a named pipe would wait for its other end.
    let about = path.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err(ErrorKind::NotAFile);
    }
    if about.len() == 0 {
        return Err(ErrorKind::NotSafetensors(Looks::Empty));
    }
    let file = File::open(path).map_err(unreadable)?;
    mmap::map(&file).map_err(unreadable)
}
