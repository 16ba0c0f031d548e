//! The functions of cuBLASLt that are used, as `cublasLt.h` declares them, and what they make, freed when dropped.

use std::ffi::{c_int, c_void};
use std::ptr;

use crate::discover::Found;
use crate::error::{Error, Result};

pub type Status = c_int;
pub type Handle = *mut c_void;

/// `cublasOperation_t`
pub const TRANSPOSED: c_int = 1;
/// `cublasComputeType_t`: f32 sums.
const COMPUTE_F32: c_int = 68;
/// `cudaDataType_t`
const F32: c_int = 0;

/// `cublasLtMatmulDescAttributes_t`
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Attribute {
    TransposeA = 3,
    Epilogue = 7,
    BiasPointer = 8,
    ScalePointerA = 17,
    ScalePointerB = 18,
    FastSums = 25,
    BiasType = 26,
    ScaleModeA = 31,
    ScaleModeB = 32,
}

/// `cublasLtEpilogue_t`
pub const EPILOGUE_NONE: c_int = 1;
pub const EPILOGUE_BIAS: c_int = 4;
pub const EPILOGUE_GELU: c_int = 32;
pub const EPILOGUE_GELU_BIAS: c_int = 36;

/// `cublasLtMatmulMatrixScale_t`: a scale for each row of A, for each column of B.
pub const SCALE_FOR_EACH: c_int = 3;

/// `cublasLtMatmulPreferenceAttributes_t`
const WORKSPACE_BYTES_MAX: c_int = 1;

/// `cublasLtMatmulAlgo_t`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Algorithm([u64; 8]);

/// `cublasLtMatmulHeuristicResult_t`
#[derive(Clone, Copy)]
#[repr(C)]
struct Proposal {
    algorithm: Algorithm,
    workspace_bytes: usize,
    state: Status,
    waves: f32,
    reserved: [c_int; 4],
}

type Matmul = unsafe extern "C" fn(
    Handle,
    Handle,
    *const c_void,
    *const c_void,
    Handle,
    *const c_void,
    Handle,
    *const c_void,
    *const c_void,
    Handle,
    *mut c_void,
    Handle,
    *const Algorithm,
    *mut c_void,
    usize,
    *mut c_void,
) -> Status;
type Propose = unsafe extern "C" fn(
    Handle,
    Handle,
    Handle,
    Handle,
    Handle,
    Handle,
    Handle,
    c_int,
    *mut Proposal,
    *mut c_int,
) -> Status;
type Set = unsafe extern "C" fn(Handle, c_int, *const c_void, usize) -> Status;
type Destroy = unsafe extern "C" fn(Handle) -> Status;

pub struct Api {
    pub version: unsafe extern "C" fn() -> usize,
    pub create: unsafe extern "C" fn(*mut Handle) -> Status,
    pub destroy: Destroy,
    create_product: unsafe extern "C" fn(*mut Handle, c_int, c_int) -> Status,
    destroy_product: Destroy,
    set_product: Set,
    create_layout: unsafe extern "C" fn(*mut Handle, c_int, u64, u64, i64) -> Status,
    destroy_layout: Destroy,
    create_preference: unsafe extern "C" fn(*mut Handle) -> Status,
    destroy_preference: Destroy,
    set_preference: Set,
    propose: Propose,
    pub matmul: Matmul,
}

impl Api {
    pub fn load(found: &Found) -> Result<Self> {
        // SAFETY: the types are those of `cublasLt.h`, the same from 12.0 on.
        unsafe {
            Ok(Self {
                version: found.function("cublasLtGetVersion")?,
                create: found.function("cublasLtCreate")?,
                destroy: found.function("cublasLtDestroy")?,
                create_product: found.function("cublasLtMatmulDescCreate")?,
                destroy_product: found.function("cublasLtMatmulDescDestroy")?,
                set_product: found.function("cublasLtMatmulDescSetAttribute")?,
                create_layout: found.function("cublasLtMatrixLayoutCreate")?,
                destroy_layout: found.function("cublasLtMatrixLayoutDestroy")?,
                create_preference: found.function("cublasLtMatmulPreferenceCreate")?,
                destroy_preference: found.function("cublasLtMatmulPreferenceDestroy")?,
                set_preference: found.function("cublasLtMatmulPreferenceSetAttribute")?,
                propose: found.function("cublasLtMatmulAlgoGetHeuristic")?,
                matmul: found.function("cublasLtMatmul")?,
            })
        }
    }
}

/// A `cublasLtMatmulDesc_t`, a `cublasLtMatrixLayout_t` or a `cublasLtMatmulPreference_t`.
pub struct Owned {
    pub handle: Handle,
    destroy: Destroy,
}

impl Owned {
    /// A product with f32 sums and scales.
    pub fn product(api: &Api) -> Result<Self> {
        let mut handle = ptr::null_mut();
        // SAFETY: valid for writing.
        check("cublasLtMatmulDescCreate", unsafe { (api.create_product)(&mut handle, COMPUTE_F32, F32) })?;
        Ok(Self { handle, destroy: api.destroy_product })
    }

    /// A matrix stored by columns.
    pub fn layout(api: &Api, element: c_int, rows: u64, columns: u64, stride: u64) -> Result<Self> {
        let mut handle = ptr::null_mut();
        // SAFETY: valid for writing.
        let status = unsafe { (api.create_layout)(&mut handle, element, rows, columns, stride.cast_signed()) };
        check("cublasLtMatrixLayoutCreate", status)?;
        Ok(Self { handle, destroy: api.destroy_layout })
    }

    /// Sets an attribute of a product.
    pub fn set<T: Copy>(&self, api: &Api, attribute: Attribute, value: T) -> Result<()> {
        // SAFETY: the value lives through the call, which copies as many bytes as it has.
        let status =
            unsafe { (api.set_product)(self.handle, attribute as c_int, ptr::from_ref(&value).cast(), size_of::<T>()) };
        check("cublasLtMatmulDescSetAttribute", status)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: created by the library, destroyed once.
        unsafe { (self.destroy)(self.handle) };
    }
}

/// The function that says how a product would be computed.
pub const PROPOSE: &str = "cublasLtMatmulAlgoGetHeuristic";

/// The library's first choice for a product, within a workspace.
pub fn propose(
    api: &Api,
    library: Handle,
    product: &Owned,
    [a, b, d]: [&Owned; 3],
    workspace_bytes: u64,
) -> Result<Algorithm> {
    let mut handle = ptr::null_mut();
    // SAFETY: valid for writing.
    check("cublasLtMatmulPreferenceCreate", unsafe { (api.create_preference)(&mut handle) })?;
    let preference = Owned { handle, destroy: api.destroy_preference };
    let bytes = workspace_bytes as usize;
    // SAFETY: the value lives through the call.
    let status = unsafe {
        (api.set_preference)(preference.handle, WORKSPACE_BYTES_MAX, ptr::from_ref(&bytes).cast(), size_of::<usize>())
    };
    check("cublasLtMatmulPreferenceSetAttribute", status)?;
    let empty = Proposal { algorithm: Algorithm([0; 8]), workspace_bytes: 0, state: 0, waves: 0.0, reserved: [0; 4] };
    let (mut proposal, mut count) = (empty, 0);
    // SAFETY: all handles are live; one result is asked for and there is room for it.
    let status = unsafe {
        (api.propose)(
            library,
            product.handle,
            a.handle,
            b.handle,
            d.handle,
            d.handle,
            preference.handle,
            1,
            &mut proposal,
            &mut count,
        )
    };
    check(PROPOSE, status)?;
    let Proposal { algorithm, workspace_bytes, state, waves, .. } = proposal;
    if count < 1 || state != 0 {
        return Err(Error::Library { call: PROPOSE, status: state.max(1) });
    }
    tracing::trace!("cuBLASLt: workspace {workspace_bytes}, waves {waves}");
    Ok(algorithm)
}

pub fn check(call: &'static str, status: Status) -> Result<()> {
    if status == 0 { Ok(()) } else { Err(Error::Library { call, status }) }
}
