//! What can be wrong with a checkpoint, said so that a user knows the next step.

use std::fmt;
use std::io;

use vita_base::{Hint, bytes_text};

use crate::{Looks, Role};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Something wrong with one file.
#[derive(Debug)]
pub struct Error {
    file: String,
    kind: Box<ErrorKind>,
}

impl Error {
    pub(crate) fn new(file: impl Into<String>, kind: ErrorKind) -> Self {
        Self { file: file.into(), kind: Box::new(kind) }
    }

    /// The file, as it was given or as it is called in memory.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What was wrong with it.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }
}

/// What was wrong.
#[derive(Debug)]
pub enum ErrorKind {
    /// There is no such file.
    NotFound,
    /// A folder, a pipe or a device.
    NotAFile,
    /// The system refused to open or map it.
    Unreadable(io::Error),
    /// The system refused to write it.
    Unwritable(io::Error),
    /// Another format.
    NotSafetensors(Looks),
    /// The file ends before its tensors do.
    Truncated {
        /// What the header says the file's size is.
        expected_bytes: u64,
        /// The file's size.
        found_bytes: u64,
    },
    /// A header that no honest writer makes.
    Header(HeaderProblem),
    /// A pickle that calls something else than what tensors are made with.
    PickleCode(String),
    /// A folder without the component that is needed.
    NoComponent(Role),
    /// A tensor that the model needs is not there.
    TensorMissing {
        /// Its name, as this file would call it.
        tensor: String,
        /// The network that needs it, or `None` where it was asked for by its own name.
        wanted: Option<Role>,
        /// What the file seems to be, or which tensors it holds.
        seems: String,
    },
    /// A tensor of another shape.
    TensorShape {
        /// Its name in the file.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that is needed.
        expected: Vec<usize>,
        /// The network that needs it, or `None` where it was asked for by its own name.
        wanted: Option<Role>,
        /// What the file seems to be, or which tensors it holds.
        seems: String,
    },
    /// A tensor with another number of axes.
    TensorRank {
        /// Its name in the file.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The number of axes that is needed.
        expected_axes: usize,
        /// The network that needs it.
        wanted: Role,
    },
    /// A tensor whose elements cannot be used.
    TensorType {
        /// Its name in the file.
        tensor: String,
        /// Its element type.
        dtype: String,
    },
    /// A layer quantised in a way that is not implemented, or not said clearly.
    Quantisation {
        /// The layer's name in the file.
        layer: String,
        /// The format, or what is wrong with it.
        format: String,
    },
    /// A file of another kind than the place it was given to.
    WrongKind {
        /// What is needed there.
        wanted: Role,
        /// What the file seems to be.
        seems: String,
        /// The place where such a file belongs.
        belongs: Option<Role>,
    },
    /// A model of the right family that cannot be run.
    Unsupported {
        /// The model.
        system: String,
        /// Why not.
        reason: String,
    },
    /// A checkpoint that cannot be converted in the way that was asked for.
    NotConvertible {
        /// Why not.
        reason: String,
        /// What to do instead.
        advice: String,
    },
    /// A number that the type it was to be stored in does not hold.
    OutOfRange {
        /// The tensor's name in the file.
        tensor: String,
        /// The number.
        value: String,
        /// The type.
        dtype: String,
    },
    /// A LoRA of which no key names a part of the model.
    LoraForeign {
        /// The model.
        model: String,
        /// Keys of the file.
        key_count: usize,
        /// The first of them.
        example: Option<String>,
        /// What the file seems to be.
        seems: String,
    },
    /// A LoRA for a model of another size.
    LoraShape {
        /// The model.
        model: String,
        /// Canonical name of the layer.
        layer: String,
        /// Shape of the change: `[out, in]`, or that of the tensor.
        found: Vec<usize>,
        /// Shape of what is changed.
        expected: Vec<usize>,
    },
    /// A layer that is changed in another way than by a LoRA.
    LoraKind {
        /// Canonical name of the layer.
        layer: String,
        /// Name of the way.
        kind: &'static str,
    },
    /// A change of which a part is missing or wrong.
    LoraBroken {
        /// Canonical name of the layer.
        layer: String,
        /// What is there.
        problem: String,
    },
}

/// What is wrong in a safetensors header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderProblem {
    /// Claims more bytes than any header has.
    TooLong(u64),
    /// Not the JSON that it must be.
    Json(String),
    /// One name twice.
    Duplicate(String),
    /// A shape with too many axes or elements.
    Shape(String),
    /// A byte range that is not shape times element size.
    Size {
        /// The tensor.
        tensor: String,
        /// Bytes of its range.
        range_bytes: u64,
        /// Bytes of its shape and dtype.
        shape_bytes: u64,
    },
    /// A range that ends before it begins.
    Backwards(String),
    /// Two tensors share bytes.
    Overlap(String, String),
    /// Something else in the header of a GGUF file.
    Gguf(String),
    /// Something else in an archive of torch.
    Torch(String),
    /// Something in a list of shards.
    Index(String),
    /// Bytes that belong to no tensor, before the named one or at the end.
    Gap {
        /// How many.
        bytes: u64,
        /// The tensor that follows them.
        before: Option<String>,
    },
}

impl fmt::Display for HeaderProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(bytes) => write!(f, "it claims a header of {bytes} bytes"),
            Self::Json(problem) => write!(f, "{problem}"),
            Self::Duplicate(name) => write!(f, "`{name}` is there twice"),
            Self::Shape(tensor) => write!(f, "`{tensor}` has too many axes or elements"),
            Self::Size { tensor, range_bytes, shape_bytes } => {
                write!(f, "`{tensor}` has a range of {range_bytes} bytes, its shape and dtype take {shape_bytes}")
            }
            Self::Backwards(tensor) => write!(f, "the range of `{tensor}` ends before it begins"),
            Self::Overlap(first, second) => write!(f, "`{first}` and `{second}` share bytes"),
            Self::Gguf(problem) | Self::Torch(problem) | Self::Index(problem) => f.write_str(problem),
            Self::Gap { bytes, before: Some(tensor) } => {
                write!(f, "{bytes} bytes before `{tensor}` belong to no tensor")
            }
            Self::Gap { bytes, before: None } => write!(f, "{bytes} bytes at the end belong to no tensor"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.file;
        match &*self.kind {
            ErrorKind::NotFound => write!(f, "there is no file `{file}`"),
            ErrorKind::NotAFile => write!(f, "`{file}` is not a file"),
            ErrorKind::Unreadable(cause) => write!(f, "cannot read `{file}`: {cause}"),
            ErrorKind::Unwritable(cause) => write!(f, "cannot write `{file}`: {cause}"),
            ErrorKind::NotSafetensors(Looks::Empty) => write!(f, "`{file}` is empty"),
            ErrorKind::NotSafetensors(looks) => {
                write!(f, "`{file}` is not a safetensors file{}", looks.text())
            }
            ErrorKind::Truncated { expected_bytes, found_bytes } => write!(
                f,
                "`{file}` is cut short: {} bytes ({}) of {expected_bytes} are missing",
                expected_bytes - found_bytes,
                bytes_text(expected_bytes - found_bytes),
            ),
            ErrorKind::Header(HeaderProblem::Gguf(problem)) => {
                write!(f, "the GGUF header of `{file}` is wrong: {problem}")
            }
            ErrorKind::Header(HeaderProblem::Torch(problem)) => {
                write!(f, "the PyTorch archive `{file}` cannot be read: {problem}")
            }
            ErrorKind::Header(HeaderProblem::Index(problem)) => {
                write!(f, "the list of files `{file}` is wrong: {problem}")
            }
            ErrorKind::Header(problem) => write!(f, "the header of `{file}` is wrong: {problem}"),
            ErrorKind::PickleCode(name) => {
                write!(f, "`{file}` would run `{name}` when it is read as a pickle; it was not read")
            }
            ErrorKind::NoComponent(role) => write!(f, "the folder `{file}` has no {}", role.noun()),
            ErrorKind::TensorMissing { tensor, wanted, .. } => {
                write!(f, "`{file}`{}: `{tensor}` is missing", unfit(*wanted))
            }
            ErrorKind::TensorShape { tensor, found, expected, wanted, .. } => {
                write!(f, "`{file}`{}: `{tensor}` is {found:?}, expected {expected:?}", unfit(*wanted))
            }
            ErrorKind::TensorRank { tensor, found, expected_axes, wanted } => {
                write!(f, "`{file}`{}: `{tensor}` is {found:?}, expected {expected_axes} axes", unfit(Some(*wanted)),)
            }
            ErrorKind::TensorType { tensor, dtype } => {
                write!(f, "`{tensor}` in `{file}` is of type {dtype}, which cannot be used as a weight")
            }
            ErrorKind::Quantisation { layer, format } => {
                write!(f, "layer `{layer}` in `{file}` is quantised as {format}, which is not supported")
            }
            ErrorKind::WrongKind { wanted, seems, .. } => {
                write!(f, "`{file}` is not {}: it seems to be {seems}", wanted.with_article())
            }
            ErrorKind::Unsupported { system, reason } => {
                write!(f, "`{file}` holds {system}, which cannot be run: {reason}")
            }
            ErrorKind::NotConvertible { reason, .. } => write!(f, "`{file}` cannot be converted so: {reason}"),
            ErrorKind::OutOfRange { tensor, value, dtype } => {
                write!(f, "`{tensor}` in `{file}` holds {value}, which {dtype} does not")
            }
            ErrorKind::LoraForeign { model, key_count, example: Some(key), .. } => {
                write!(f, "`{file}` is no LoRA for {model}: none of its {key_count} keys match, such as `{key}`")
            }
            ErrorKind::LoraForeign { model, example: None, .. } => {
                write!(f, "`{file}` is no LoRA for {model}: it is without tensors")
            }
            ErrorKind::LoraShape { model, layer, found, expected } => write!(
                f,
                "`{file}` is a LoRA for another size than {model}: it changes {found:?} in `{layer}`, which is \
                 {expected:?} there"
            ),
            ErrorKind::LoraKind { layer, kind } => {
                write!(f, "`{file}` changes `{layer}` by {kind}, which is not supported")
            }
            ErrorKind::LoraBroken { layer, problem } => {
                write!(f, "the LoRA `{file}` is damaged: for `{layer}` it has {problem}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.kind {
            ErrorKind::Unreadable(cause) | ErrorKind::Unwritable(cause) => Some(cause),
            _ => None,
        }
    }
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        Some(match &*self.kind {
            ErrorKind::NotFound => "check the path; relative paths start at the current folder".into(),
            ErrorKind::NotAFile => "choose a `.safetensors` file, not the folder it is in".into(),
            ErrorKind::Unreadable(_) => return None,
            ErrorKind::Unwritable(cause) => match cause.kind() {
                io::ErrorKind::NotFound => "create the folder first, or choose another place".into(),
                io::ErrorKind::PermissionDenied => "choose a folder that you may write to".into(),
                io::ErrorKind::StorageFull => "free some space, or choose another disk".into(),
                _ => return None,
            },
            ErrorKind::NotSafetensors(looks) => looks.hint().into(),
            ErrorKind::Truncated { .. } => "the download did not finish; download the file again".into(),
            ErrorKind::PickleCode(_) => {
                "a file of weights needs no code: get the `.safetensors` form of this model from its source".into()
            }
            ErrorKind::NoComponent(_) => {
                "choose a folder as diffusers writes it, with `model_index.json`, or a file".into()
            }
            ErrorKind::Header(_) => "the file is damaged or made to do harm; download it again from its source".into(),
            ErrorKind::TensorMissing { wanted: None, seems, .. } => format!("this file holds {seems}"),
            ErrorKind::TensorShape { wanted: None, .. } => return None,
            ErrorKind::TensorMissing { seems, .. } | ErrorKind::TensorShape { seems, .. } => {
                format!("this file seems to be {seems}; choose one that fits, or download it again if it should")
            }
            ErrorKind::TensorRank { .. } => "choose a file of Wan 2.1 or 2.2, or download this one again".into(),
            ErrorKind::TensorType { .. } | ErrorKind::Quantisation { .. } => {
                "choose the fp16, bf16, fp8_e4m3fn or fp8_scaled form of this model, or a GGUF of Q2_K to Q8_0".into()
            }
            ErrorKind::WrongKind { wanted, belongs: Some(belongs), .. } => {
                format!("use this file as the {}, and choose {} here", belongs.noun(), wanted.with_article())
            }
            ErrorKind::WrongKind { wanted, belongs: None, .. } => format!("choose {} here", wanted.with_article()),
            ErrorKind::NotConvertible { advice, .. } => advice.clone(),
            ErrorKind::OutOfRange { .. } => "choose bf16, or fp8_scaled, which hold larger numbers".into(),
            ErrorKind::LoraForeign { model, seems, .. } => {
                format!("this file seems to be {seems}; choose a LoRA that was made for {model}")
            }
            ErrorKind::LoraShape { model, .. } => {
                format!("choose a LoRA that was made for {model}, or the model that this one was made for")
            }
            ErrorKind::LoraKind { .. } => {
                "choose a plain LoRA, of `lora_up` and `lora_down` or `lora_B` and `lora_A`".into()
            }
            ErrorKind::LoraBroken { .. } => "download the file again, or get it from where it was made".into(),
            ErrorKind::Unsupported { .. } => "choose a text-to-video or image-to-video model of Wan 2.1 or 2.2".into(),
        })
    }
}

fn unfit(wanted: Option<Role>) -> String {
    wanted.map_or_else(String::new, |role| format!(" does not fit {}", role.with_article()))
}
