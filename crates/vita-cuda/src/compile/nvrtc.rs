//! The run-time compiler, by its C functions.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;

use super::{Source, Target};
use crate::arch::Arch;
use crate::discover::{CudaVersion, Found, Library, Search};
use crate::error::{Error, Result};

/// An open NVRTC.
pub struct Compiler {
    api: Api,
    found: Found,
    version: CudaVersion,
    /// The generations it makes machine code for, oldest first.
    archs: Vec<Arch>,
}

impl Compiler {
    /// Finds and opens NVRTC, no newer than what the driver supports.
    ///
    /// # Errors
    /// If there is none, or it is not what its name says.
    pub fn open(search: &Search, driver: Option<CudaVersion>) -> Result<Self> {
        let found = search.open(Library::Nvrtc, driver.map(|driver| driver.major)).map_err(|error| match error {
            Error::LibraryMissing { library, .. } => Error::LibraryMissing { library, driver },
            other => other,
        })?;
        let api = Api::load(&found)?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both are valid for writing.
        check("nvrtcVersion", unsafe { (api.version)(&mut major, &mut minor) })?;
        let version = CudaVersion { major: major.cast_unsigned(), minor: minor.cast_unsigned() };
        if let Some(driver) = driver.filter(|driver| driver.major < version.major) {
            return Err(Error::DriverTooOld { library: Library::Nvrtc, found: version, driver });
        }
        let archs = supported(&api)?;
        Ok(Self { api, found, version, archs })
    }

    /// The compiler's version.
    pub fn version(&self) -> CudaVersion {
        self.version
    }

    /// Where it was found.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// Machine code for a card where the compiler knows its generation, and otherwise code for the newest
    /// generation before it, which the driver turns into machine code.
    pub fn target(&self, arch: Arch) -> Target {
        if self.archs.contains(&arch) {
            return Target::Machine(arch);
        }
        let before = self.archs.iter().copied().filter(|&known| known < arch).max();
        Target::Virtual(before.unwrap_or(Arch::OLDEST))
    }

    /// Compiles a kernel. The result is what the driver loads: machine code, or text for [`Target::Virtual`].
    ///
    /// # Errors
    /// [`Error::Compile`] with the compiler's words.
    pub fn compile(&self, source: &Source, target: Target) -> Result<Vec<u8>> {
        let failed = |log: String| Error::Compile { kernel: source.title(), target: target.name(), log };
        let text = CString::new(source.full_text()).map_err(|_| failed("the source holds a zero byte".into()))?;
        let name = CString::new(format!("{}.cu", source.kernel)).expect("a kernel's name");
        let program = Program::new(&self.api, &text, &name)?;
        let options = options(target);
        let options: Vec<CString> = options.into_iter().map(|option| CString::new(option).expect("plain")).collect();
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        // SAFETY: the program is live, the options are zero-ended and live beyond the call.
        let status = unsafe { (self.api.compile_program)(program.handle, pointers.len() as c_int, pointers.as_ptr()) };
        if status != 0 {
            let log = program.text(self.api.log_size, self.api.log).unwrap_or_default();
            let log = String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_owned();
            // SAFETY: the function returns a constant string for every number.
            let words = unsafe { CStr::from_ptr((self.api.error_string)(status)) }.to_string_lossy();
            return Err(failed(if log.is_empty() { words.into_owned() } else { log }));
        }
        match target {
            Target::Machine(_) => program.text(self.api.cubin_size, self.api.cubin),
            Target::Virtual(_) => program.text(self.api.ptx_size, self.api.ptx),
        }
    }
}

/// What every kernel is compiled with; part of the cache's key.
pub(super) fn options(target: Target) -> Vec<String> {
    // Kernels name their own types and take no header, so the compiler needs no folder of headers. Only what every
    // version since 12.0 knows.
    vec![
        format!("--gpu-architecture={}", target.name()),
        "--std=c++17".into(),
        "--device-as-default-execution-space".into(),
    ]
}

type Status = c_int;
type Handle = *mut std::ffi::c_void;
type SizeOf = unsafe extern "C" fn(Handle, *mut usize) -> Status;
type Content = unsafe extern "C" fn(Handle, *mut c_char) -> Status;
type CreateProgram = unsafe extern "C" fn(
    *mut Handle,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> Status;

/// The functions that are used, as `nvrtc.h` declares them.
struct Api {
    version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> Status,
    arch_count: unsafe extern "C" fn(*mut c_int) -> Status,
    archs: unsafe extern "C" fn(*mut c_int) -> Status,
    create_program: CreateProgram,
    destroy_program: unsafe extern "C" fn(*mut Handle) -> Status,
    compile_program: unsafe extern "C" fn(Handle, c_int, *const *const c_char) -> Status,
    cubin_size: SizeOf,
    cubin: Content,
    ptx_size: SizeOf,
    ptx: Content,
    log_size: SizeOf,
    log: Content,
    error_string: unsafe extern "C" fn(Status) -> *const c_char,
}

impl Api {
    fn load(found: &Found) -> Result<Self> {
        // SAFETY: the types are those of `nvrtc.h`, the same in every version from 11.2 on.
        unsafe {
            Ok(Self {
                version: found.function("nvrtcVersion")?,
                arch_count: found.function("nvrtcGetNumSupportedArchs")?,
                archs: found.function("nvrtcGetSupportedArchs")?,
                create_program: found.function("nvrtcCreateProgram")?,
                destroy_program: found.function("nvrtcDestroyProgram")?,
                compile_program: found.function("nvrtcCompileProgram")?,
                cubin_size: found.function("nvrtcGetCUBINSize")?,
                cubin: found.function("nvrtcGetCUBIN")?,
                ptx_size: found.function("nvrtcGetPTXSize")?,
                ptx: found.function("nvrtcGetPTX")?,
                log_size: found.function("nvrtcGetProgramLogSize")?,
                log: found.function("nvrtcGetProgramLog")?,
                error_string: found.function("nvrtcGetErrorString")?,
            })
        }
    }
}

fn supported(api: &Api) -> Result<Vec<Arch>> {
    let mut count = 0;
    // SAFETY: valid for writing.
    check("nvrtcGetNumSupportedArchs", unsafe { (api.arch_count)(&mut count) })?;
    let mut numbers = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: room for as many as the library says there are.
    check("nvrtcGetSupportedArchs", unsafe { (api.archs)(numbers.as_mut_ptr()) })?;
    let mut archs: Vec<Arch> =
        numbers.iter().map(|&number| Arch { major: number as u32 / 10, minor: number as u32 % 10 }).collect();
    archs.sort();
    Ok(archs)
}

/// A program of the library's, destroyed when dropped.
struct Program<'a> {
    api: &'a Api,
    handle: Handle,
}

impl<'a> Program<'a> {
    fn new(api: &'a Api, text: &CStr, name: &CStr) -> Result<Self> {
        let mut handle = ptr::null_mut();
        // SAFETY: the texts are zero-ended and copied by the library; there are no headers.
        let status =
            unsafe { (api.create_program)(&mut handle, text.as_ptr(), name.as_ptr(), 0, ptr::null(), ptr::null()) };
        check("nvrtcCreateProgram", status)?;
        Ok(Self { api, handle })
    }

    fn text(&self, size: SizeOf, content: Content) -> Result<Vec<u8>> {
        let mut bytes = 0;
        // SAFETY: the program is live, the size is valid for writing.
        check("nvrtcGet..Size", unsafe { size(self.handle, &mut bytes) })?;
        let mut buffer = vec![0u8; bytes];
        // SAFETY: room for as many bytes as the library says there are.
        check("nvrtcGet..", unsafe { content(self.handle, buffer.as_mut_ptr().cast()) })?;
        Ok(buffer)
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        // SAFETY: created by this library and not destroyed before.
        unsafe { (self.api.destroy_program)(&mut self.handle) };
    }
}

fn check(call: &'static str, status: Status) -> Result<()> {
    if status == 0 { Ok(()) } else { Err(Error::Library { call, status }) }
}
