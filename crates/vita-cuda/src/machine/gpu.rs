//! A real card, by its driver.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{result, sys};

use super::lane::{CopyLane, Mark};
use super::{Arguments, Copied, Machine, PinnedBuffer, Pointer, Properties, Shape, TensorMap, TileShape};
use crate::arch::Arch;
use crate::compile::{Cache, Compiler, Source};
use crate::discover::{CudaVersion, Library, Search};
use crate::error::{Error, Result};

/// Dynamic shared memory that a kernel may ask for without saying so first.
const SHARED_BYTES_USUAL: u32 = 48 << 10;

/// One card: a context, a stream for work, one for copies, and the kernels that were loaded.
pub struct Gpu {
    context: Arc<Context>,
    index: usize,
    properties: Properties,
    work: sys::CUstream,
    copies: CopyLane,
    compiler: Compiler,
    cache: Cache,
    driver: CudaVersion,
    kernels: Mutex<HashMap<Source, Kernel>>,
}

// SAFETY: streams and functions may be used from any thread; each call binds the context first.
unsafe impl Send for Gpu {}
// SAFETY: as above.
unsafe impl Sync for Gpu {}

/// The card's primary context, which other libraries use as well.
pub(super) struct Context {
    device: sys::CUdevice,
    handle: sys::CUcontext,
}

// SAFETY: a context may be bound by any thread.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

#[derive(Clone, Copy)]
struct Kernel {
    function: sys::CUfunction,
    /// The dynamic shared memory that it may ask for.
    shared_bytes_max: u32,
}

/// A driver that is open.
#[derive(Clone, Debug)]
pub struct Driver {
    /// Its file.
    pub path: std::path::PathBuf,
    /// The newest CUDA that it supports.
    pub version: CudaVersion,
    /// Cards it sees; `CUDA_VISIBLE_DEVICES` is the driver's to read.
    pub device_count: usize,
}

impl Driver {
    /// Finds and starts the driver.
    ///
    /// # Errors
    /// [`Error::NoDriver`] or [`Error::DriverBroken`] with the reason, or [`Error::NoDevice`].
    pub fn open(search: &Search) -> Result<Self> {
        // Opened here first: the bindings panic where the library is missing, and find it loaded where it is not.
        let found = search.open(Library::Driver, None).map_err(|error| match error {
            Error::LibraryMissing { .. } => {
                Error::NoDriver { reason: format!("`{}` was not found", Library::Driver.system_names()[0]) }
            }
            other => Error::DriverBroken { reason: other.to_string() },
        })?;
        match result::init() {
            Ok(()) => {}
            Err(error) if error.0 == sys::CUresult::CUDA_ERROR_NO_DEVICE => return Err(Error::NoDevice),
            Err(error) => return Err(Error::DriverBroken { reason: words(error.0).1 }),
        }
        let mut number = 0;
        // SAFETY: valid for writing.
        driver("cuDriverGetVersion", unsafe { sys::cuDriverGetVersion(&mut number) }.result())?;
        let number = number.cast_unsigned();
        let version = CudaVersion { major: number / 1000, minor: number % 1000 / 10 };
        let device_count = driver("cuDeviceGetCount", result::device::get_count())?;
        match usize::try_from(device_count) {
            Ok(0) | Err(_) => Err(Error::NoDevice),
            Ok(device_count) => Ok(Self { path: found.path, version, device_count }),
        }
    }

    /// What a card says of itself, without starting work on it.
    ///
    /// # Errors
    /// If there is no such card, or it does not answer.
    pub fn properties(&self, index: usize) -> Result<Properties> {
        properties(self.device(index)?)
    }

    fn device(&self, index: usize) -> Result<sys::CUdevice> {
        if index >= self.device_count {
            return Err(Error::NoSuchDevice { index, count: self.device_count });
        }
        driver("cuDeviceGet", result::device::get(index as i32))
    }
}

impl Gpu {
    /// Starts work on a card. `cache` keeps its kernels.
    ///
    /// # Errors
    /// If there is no such card, it is too old, NVRTC is missing, or it does not answer.
    pub fn open(opened: &Driver, search: &Search, index: usize, cache: Cache) -> Result<Self> {
        let device = opened.device(index)?;
        let properties = properties(device)?;
        if properties.arch < Arch::OLDEST {
            return Err(Error::DeviceTooOld { name: properties.name, arch: properties.arch });
        }
        let compiler = Compiler::open(search, Some(opened.version))?;
        // SAFETY: the device is one of the driver's; the context is given back when dropped.
        let handle = driver("cuDevicePrimaryCtxRetain", unsafe { result::primary_ctx::retain(device) })?;
        let context = Arc::new(Context { device, handle });
        context.bind()?;
        let work = driver("cuStreamCreate", result::stream::create(result::stream::StreamKind::NonBlocking))?;
        let copies = CopyLane::new()?;
        let kernels = Mutex::default();
        Ok(Self { context, index, properties, work, copies, compiler, cache, driver: opened.version, kernels })
    }

    /// Its number among the driver's cards.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The compiler of its kernels.
    pub fn compiler(&self) -> &Compiler {
        &self.compiler
    }

    /// The stream that work runs on, for libraries that take one.
    pub fn stream(&self) -> *mut c_void {
        self.work.cast()
    }

    /// Makes the card current on this thread, for libraries that expect it.
    ///
    /// # Errors
    /// If the card does not answer.
    pub fn bind(&self) -> Result<()> {
        self.context.bind()
    }

    /// Milliseconds that the card takes for the work that `give` gives it.
    ///
    /// # Errors
    /// What `give` returns, or if the card does not answer.
    pub fn timed(&self, give: impl FnOnce() -> Result<()>) -> Result<f32> {
        self.context.bind()?;
        let [start, end] = [Timer::new()?, Timer::new()?];
        start.record(self.work)?;
        give()?;
        end.record(self.work)?;
        self.synchronize()?;
        // SAFETY: both were recorded, and their stream has come past them.
        driver("cuEventElapsedTime", unsafe { result::event::elapsed(start.0, end.0) })
    }

    fn kernel(&self, source: &Source, shared_bytes: u32) -> Result<sys::CUfunction> {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kernels.get(source).copied();
        if let Some(kernel) = known.filter(|kernel| shared_bytes <= kernel.shared_bytes_max) {
            return Ok(kernel.function);
        }
        let mut kernel = known.map_or_else(|| self.load(source), Ok)?;
        if shared_bytes > kernel.shared_bytes_max {
            let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is of a module that stays loaded.
            let set = unsafe {
                result::function::set_function_attribute(kernel.function, attribute, shared_bytes.cast_signed())
            };
            driver("cuFuncSetAttribute", set)?;
            kernel.shared_bytes_max = shared_bytes;
        }
        kernels.insert(source.clone(), kernel);
        Ok(kernel.function)
    }

    fn load(&self, source: &Source) -> Result<Kernel> {
        let target = self.compiler.target(self.properties.arch);
        let mut code = self.cache.compiled(&self.compiler, source, target, Some(self.driver))?;
        // Text must end in zero; machine code may.
        code.push(0);
        // SAFETY: a whole image, as the compiler made it. It stays loaded as long as the context.
        let module = unsafe { result::module::load_data(code.as_ptr().cast::<c_void>()) };
        let module = driver("cuModuleLoadData", module)?;
        let name = CString::new(source.kernel).expect("a kernel's name");
        // SAFETY: the module is loaded.
        let function = driver("cuModuleGetFunction", unsafe { result::module::get_function(module, name) })?;
        Ok(Kernel { function, shared_bytes_max: SHARED_BYTES_USUAL })
    }
}

impl Machine for Gpu {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn allocate(&self, bytes: u64) -> Result<Pointer> {
        self.context.bind()?;
        // SAFETY: whoever reads it first writes it: it is handed out as uninitialised.
        match unsafe { result::malloc_sync(bytes as usize) } {
            Ok(pointer) => Ok(Pointer(pointer)),
            Err(error) if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => Err(Error::OutOfMemory {
                asked_bytes: bytes,
                live_bytes: 0,
                idle_bytes: 0,
                budget_bytes: None,
                free_bytes: self.free_bytes().unwrap_or(0),
                total_bytes: self.properties.total_bytes,
            }),
            Err(error) => Err(refused("cuMemAlloc", error.0)),
        }
    }

    unsafe fn release(&self, pointer: Pointer, _bytes: u64) {
        if self.context.bind().is_ok() {
            // SAFETY: the caller's promise; the driver waits for the work that is under way.
            let _ = unsafe { result::free_sync(pointer.0) };
        }
    }

    fn free_bytes(&self) -> Result<u64> {
        self.context.bind()?;
        Ok(driver("cuMemGetInfo", result::mem_get_info())?.0 as u64)
    }

    unsafe fn upload(&self, to: Pointer, bytes: &[u8]) -> Result<()> {
        self.context.bind()?;
        // SAFETY: the caller's promise. Memory that is not pinned is copied away before the call returns.
        driver("cuMemcpyHtoDAsync", unsafe { result::memcpy_htod_async(to.0, bytes, self.work) })
    }

    unsafe fn download(&self, from: Pointer, bytes: &mut [u8]) -> Result<()> {
        self.context.bind()?;
        // SAFETY: the caller's promise; waited for below.
        driver("cuMemcpyDtoHAsync", unsafe { result::memcpy_dtoh_async(bytes, from.0, self.work) })?;
        self.synchronize()
    }

    unsafe fn fill(&self, at: Pointer, bytes: u64, value: u8) -> Result<()> {
        self.context.bind()?;
        // SAFETY: the caller's promise.
        driver("cuMemsetD8Async", unsafe { result::memset_d8_async(at.0, value, bytes as usize, self.work) })
    }

    unsafe fn launch(&self, source: &Source, shape: Shape, arguments: &Arguments) -> Result<()> {
        self.context.bind()?;
        let function = self.kernel(source, shape.shared_bytes)?;
        let [x, y, z] = shape.grid;
        let mut addresses = arguments.addresses();
        // SAFETY: the function is loaded; the driver copies the arguments before it returns; the rest is the
        // caller's promise.
        let launched = unsafe {
            result::launch_kernel(
                function,
                (x, y, z),
                (shape.threads, 1, 1),
                shape.shared_bytes,
                self.work,
                &mut addresses,
            )
        };
        driver("cuLaunchKernel", launched)
    }

    fn pinned(&self, bytes: usize) -> Result<PinnedBuffer> {
        PinnedBuffer::new(&self.context, bytes)
    }

    unsafe fn copy_beside(&self, to: Pointer, from: &PinnedBuffer) -> Result<Copied> {
        self.context.bind()?;
        let before = Mark::record(&self.context, self.work)?;
        // SAFETY: the caller's promise.
        unsafe { self.copies.copy(&self.context, to, from, &before) }.map(Copied::new)
    }

    fn wait_for(&self, copied: &Copied) -> Result<()> {
        self.context.bind()?;
        copied.end::<Mark>().expect("a copy of this card").hold_back(self.work)
    }

    fn wait_for_copies(&self) -> Result<()> {
        self.copies.synchronize(&self.context)
    }

    fn tensor_map(&self, base: Pointer, tile: &TileShape) -> Result<TensorMap> {
        if !self.properties.arch.has_tensor_maps() {
            return Err(Error::Unsupported { what: "copying tiles".into(), on: self.properties.name.clone() });
        }
        self.context.bind()?;
        let steps = [1u32; 4];
        let mut map = sys::CUtensorMap { opaque: [0; 16] };
        // SAFETY: the arrays hold as many entries as there are axes; every driver that knows such a card has the
        // function.
        let encoded = unsafe {
            sys::cuTensorMapEncodeTiled(
                &mut map,
                sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                tile.axes,
                base.0 as *mut c_void,
                tile.sizes.as_ptr(),
                tile.strides_bytes.as_ptr(),
                tile.tile.as_ptr(),
                steps.as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        };
        driver("cuTensorMapEncodeTiled", encoded.result())?;
        Ok(TensorMap(map.opaque))
    }

    fn synchronize(&self) -> Result<()> {
        self.context.bind()?;
        // SAFETY: the stream is live.
        driver("cuStreamSynchronize", unsafe { result::stream::synchronize(self.work) })
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: created in `open`, destroyed once.
            let _ = unsafe { result::stream::destroy(self.work) };
            self.copies.destroy();
        }
    }
}

/// An event that knows when it was.
struct Timer(sys::CUevent);

impl Timer {
    fn new() -> Result<Self> {
        Ok(Self(driver("cuEventCreate", result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT))?))
    }

    fn record(&self, stream: sys::CUstream) -> Result<()> {
        // SAFETY: both are live.
        driver("cuEventRecord", unsafe { result::event::record(self.0, stream) })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once.
        let _ = unsafe { result::event::destroy(self.0) };
    }
}

impl Context {
    /// Makes the context current on this thread.
    pub fn bind(&self) -> Result<()> {
        // SAFETY: the context is retained as long as `self` lives.
        driver("cuCtxSetCurrent", unsafe { result::ctx::set_current(self.handle) })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once in `Gpu::open`.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// A driver's answer, with the name of the call.
pub(super) fn driver<T>(call: &'static str, answer: Result<T, result::DriverError>) -> Result<T> {
    answer.map_err(|error| refused(call, error.0))
}

fn refused(call: &'static str, code: sys::CUresult) -> Error {
    let (name, message) = words(code);
    Error::Driver { call, name, message }
}

/// A code's name, and what it means.
fn words(code: sys::CUresult) -> (String, String) {
    let error = result::DriverError(code);
    let message = error.error_string().map(|text| text.to_string_lossy().into_owned());
    (format!("{code:?}"), message.unwrap_or_else(|_| "no description".into()))
}

fn properties(device: sys::CUdevice) -> Result<Properties> {
    use sys::CUdevice_attribute_enum as Attribute;
    let attribute = |attribute| {
        // SAFETY: the device is one of the driver's.
        let value = driver("cuDeviceGetAttribute", unsafe { result::device::get_attribute(device, attribute) })?;
        Ok(value.cast_unsigned())
    };
    Ok(Properties {
        name: driver("cuDeviceGetName", result::device::get_name(device))?,
        arch: Arch {
            major: attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            minor: attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        },
        processors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        // SAFETY: the device is one of the driver's.
        total_bytes: driver("cuDeviceTotalMem", unsafe { result::device::total_mem(device) })? as u64,
        shared_bytes_max: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        cache_bytes: attribute(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?.into(),
    })
}
