//! The functions of cuDNN's backend that are used, as `cudnn_graph.h` declares them, and its descriptors, freed when
//! dropped.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use crate::discover::{Found, Library};
use crate::error::{Error, Result};

pub type Status = c_int;
pub type Handle = *mut c_void;

/// `cudnnBackendDescriptorType_t`
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Kind {
    Engine = 2,
    Configuration = 3,
    Heuristics = 4,
    Plan = 5,
    Graph = 15,
    Bindings = 16,
    Tensor = 17,
    Device = 38,
    Attention = 41,
}

/// `cudnnBackendAttributeName_t`
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Attribute {
    HeuristicsMode = 200,
    HeuristicsGraph = 201,
    HeuristicsResults = 202,
    HeuristicsDevice = 204,
    ConfigurationEngine = 300,
    ConfigurationWorkspaceBytes = 303,
    PlanHandle = 400,
    PlanConfiguration = 401,
    PlanWorkspaceBytes = 402,
    PlanDevice = 407,
    GraphHandle = 800,
    GraphOperations = 801,
    TensorAlignment = 900,
    TensorElement = 901,
    TensorSizes = 902,
    TensorStrides = 903,
    TensorId = 906,
    TensorIsByValue = 908,
    BindingsIds = 1000,
    BindingsPointers = 1001,
    BindingsWorkspace = 1003,
    EngineIndex = 1301,
    DeviceJson = 2702,
    AttentionQ = 2800,
    AttentionK = 2801,
    AttentionV = 2802,
    AttentionY = 2803,
    AttentionScale = 2805,
}

/// `cudnnBackendAttributeType_t`
#[derive(Clone, Copy)]
#[repr(i32)]
enum Type {
    Handle = 0,
    Element = 1,
    Boolean = 2,
    Number = 3,
    Pointer = 6,
    HeuristicsMode = 8,
    Descriptor = 15,
    Text = 24,
}

/// `cudnnDataType_t`
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Element {
    F32 = 0,
    F16 = 2,
    Bf16 = 9,
}

/// `cudnnBackendHeurMode_t`
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub enum Mode {
    /// What works, fast or not.
    Fallback = 2,
    /// Best first, by decision trees.
    Best = 3,
}

/// The functions.
#[derive(Clone, Copy)]
pub struct Api {
    pub version: unsafe extern "C" fn() -> usize,
    /// Of the CUDA that it was built with, such as 13000.
    pub cuda_version: unsafe extern "C" fn() -> usize,
    pub create: unsafe extern "C" fn(*mut Handle) -> Status,
    pub destroy: unsafe extern "C" fn(Handle) -> Status,
    pub set_stream: unsafe extern "C" fn(Handle, *mut c_void) -> Status,
    status_name: unsafe extern "C" fn(Status) -> *const c_char,
    last_message: unsafe extern "C" fn(*mut c_char, usize),
    create_descriptor: unsafe extern "C" fn(c_int, *mut Handle) -> Status,
    destroy_descriptor: unsafe extern "C" fn(Handle) -> Status,
    finalize: unsafe extern "C" fn(Handle) -> Status,
    set: unsafe extern "C" fn(Handle, c_int, c_int, i64, *const c_void) -> Status,
    get: unsafe extern "C" fn(Handle, c_int, c_int, i64, *mut i64, *mut c_void) -> Status,
    execute: unsafe extern "C" fn(Handle, Handle, Handle) -> Status,
}

impl Api {
    pub fn load(found: &Found) -> Result<Self> {
        // SAFETY: the types are those of `cudnn_graph.h`, the same from 9.0 on.
        unsafe {
            Ok(Self {
                version: found.function("cudnnGetVersion")?,
                cuda_version: found.function("cudnnGetCudartVersion")?,
                create: found.function("cudnnCreate")?,
                destroy: found.function("cudnnDestroy")?,
                set_stream: found.function("cudnnSetStream")?,
                status_name: found.function("cudnnGetErrorString")?,
                last_message: found.function("cudnnGetLastErrorString")?,
                create_descriptor: found.function("cudnnBackendCreateDescriptor")?,
                destroy_descriptor: found.function("cudnnBackendDestroyDescriptor")?,
                finalize: found.function("cudnnBackendFinalize")?,
                set: found.function("cudnnBackendSetAttribute")?,
                get: found.function("cudnnBackendGetAttribute")?,
                execute: found.function("cudnnBackendExecute")?,
            })
        }
    }

    /// A status as an error, with the library's own words.
    pub fn check(&self, call: &'static str, status: Status) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the library returns a text of its own, that ends in zero and stays.
        let name = unsafe { CStr::from_ptr((self.status_name)(status)) }.to_string_lossy().into_owned();
        let mut text = [0u8; 1024];
        // SAFETY: valid for writing as many bytes as are named; the last stays zero.
        unsafe { (self.last_message)(text.as_mut_ptr().cast(), text.len() - 1) };
        let text = CStr::from_bytes_until_nul(&text).map(CStr::to_string_lossy).unwrap_or_default();
        let message = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Err(Error::LibraryRefused { library: Library::Cudnn, call, status, name, message })
    }

    /// Runs a plan on a handle's stream.
    ///
    /// # Safety
    /// The handle is live and used by nobody else meanwhile; the bindings name all tensors of the plan's graph, and
    /// memory of the card that has their sizes.
    pub unsafe fn execute(&self, handle: Handle, plan: &Descriptor, bindings: &Descriptor) -> Result<()> {
        // SAFETY: the caller's promise; descriptors live as long as they are borrowed.
        self.check("cudnnBackendExecute", unsafe { (self.execute)(handle, plan.raw, bindings.raw) })
    }
}

/// A `cudnnBackendDescriptor_t`.
pub struct Descriptor {
    api: Api,
    raw: Handle,
}

// SAFETY: the library's descriptors are bound to no thread.
unsafe impl Send for Descriptor {}

impl Descriptor {
    pub fn new(api: Api, kind: Kind) -> Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: valid for writing.
        let status = unsafe { (api.create_descriptor)(kind as c_int, &mut raw) };
        api.check("cudnnBackendCreateDescriptor", status)?;
        Ok(Self { api, raw })
    }

    /// Has the library look at what was set; only then is it of use.
    pub fn finish(self) -> Result<Self> {
        // SAFETY: the descriptor is live.
        self.api.check("cudnnBackendFinalize", unsafe { (self.api.finalize)(self.raw) })?;
        Ok(self)
    }

    pub fn numbers(self, attribute: Attribute, values: &[i64]) -> Result<Self> {
        self.set(attribute, Type::Number, values)
    }

    pub fn flag(self, attribute: Attribute, value: bool) -> Result<Self> {
        self.set(attribute, Type::Boolean, &[value])
    }

    pub fn element(self, attribute: Attribute, value: Element) -> Result<Self> {
        self.set(attribute, Type::Element, &[value])
    }

    pub fn mode(self, attribute: Attribute, value: Mode) -> Result<Self> {
        self.set(attribute, Type::HeuristicsMode, &[value])
    }

    pub fn text(self, attribute: Attribute, value: &CStr) -> Result<Self> {
        self.set(attribute, Type::Text, value.to_bytes_with_nul())
    }

    pub fn descriptor(self, attribute: Attribute, value: &Self) -> Result<Self> {
        self.set(attribute, Type::Descriptor, &[value.raw])
    }

    /// # Safety
    /// The handle is live.
    pub unsafe fn handle(self, attribute: Attribute, value: Handle) -> Result<Self> {
        self.set(attribute, Type::Handle, &[value])
    }

    /// Addresses that the library keeps and does not follow yet.
    pub fn pointers(self, attribute: Attribute, values: &[*mut c_void]) -> Result<Self> {
        self.set(attribute, Type::Pointer, values)
    }

    fn set<T: Copy>(self, attribute: Attribute, type_: Type, values: &[T]) -> Result<Self> {
        // SAFETY: as many values as are named, of the size that the type has; the library copies them.
        let status = unsafe {
            (self.api.set)(self.raw, attribute as c_int, type_ as c_int, values.len() as i64, values.as_ptr().cast())
        };
        self.api.check("cudnnBackendSetAttribute", status)?;
        Ok(self)
    }

    pub fn number(&self, attribute: Attribute) -> Result<i64> {
        let (mut value, mut count) = (0i64, 0);
        // SAFETY: room for the one number that is asked for.
        let status = unsafe {
            (self.api.get)(
                self.raw,
                attribute as c_int,
                Type::Number as c_int,
                1,
                &mut count,
                ptr::from_mut(&mut value).cast(),
            )
        };
        self.api.check("cudnnBackendGetAttribute", status)?;
        Ok(value)
    }

    /// What the library puts into descriptors that are made for it: at most `most` of them.
    pub fn results(&self, attribute: Attribute, kind: Kind, most: usize) -> Result<Vec<Self>> {
        let mut made = (0..most).map(|_| Self::new(self.api, kind)).collect::<Result<Vec<_>>>()?;
        let mut raw: Vec<Handle> = made.iter().map(|descriptor| descriptor.raw).collect();
        let mut count = 0;
        // SAFETY: as many live descriptors as are named.
        let status = unsafe {
            (self.api.get)(
                self.raw,
                attribute as c_int,
                Type::Descriptor as c_int,
                most as i64,
                &mut count,
                raw.as_mut_ptr().cast(),
            )
        };
        self.api.check("cudnnBackendGetAttribute", status)?;
        made.truncate(usize::try_from(count).unwrap_or(0));
        Ok(made)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: created by the library, destroyed once.
        unsafe { (self.api.destroy_descriptor)(self.raw) };
    }
}
