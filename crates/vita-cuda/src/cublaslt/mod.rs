//! Products by cuBLASLt: the fastest there is for bf16, f16 and 8-bit floats, with the bias and GELU in their end.

mod api;
mod test_cases;

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use api::{Algorithm, Api, Attribute, Handle, Owned, check};

use crate::discover::{CudaVersion, Found, Library, Search};
use crate::error::{Error, Result};
use crate::machine::Gpu;
use crate::memory::{Buffer, Pool, Slice};
use crate::ops::{Float, Function, Rows};

/// What NVIDIA advises for Hopper; older cards need less.
const WORKSPACE_BYTES: u64 = 32 << 20;

/// cuBLASLt on one card.
pub struct CublasLt {
    api: Api,
    found: Found,
    gpu: Arc<Gpu>,
    handle: Handle,
    workspace: Buffer,
    /// One choice for each kind and size of product, or the status by which it was refused.
    chosen: Mutex<HashMap<Kind, std::result::Result<Algorithm, c_int>>>,
}

// SAFETY: the library's handle may be used from any thread; the context is bound before each call.
unsafe impl Send for CublasLt {}
// SAFETY: as above. Products run on one stream, so that they can share a workspace.
unsafe impl Sync for CublasLt {}

/// Factors of an 8-bit matrix.
#[derive(Clone, Copy, Debug)]
pub enum Scale<'a> {
    /// One.
    None,
    /// One f32 for all of it.
    Tensor(Slice<'a>),
    /// An f32 for each row: of x a token, of the weight a result. Hopper only.
    Rows(Slice<'a>),
}

/// `y = function(x w^T + bias)`.
#[derive(Clone, Copy)]
pub struct Product<'a> {
    /// `[M, K]`
    pub x: Rows<'a>,
    /// Of x, where it is e4m3.
    pub x_scale: Scale<'a>,
    /// `[N, K]`, of x's type; of 8-bit types N and K are multiples of 16.
    pub weight: Rows<'a>,
    /// Of the weight, where it is e4m3.
    pub weight_scale: Scale<'a>,
    /// `[N]` of y's type.
    pub bias: Option<Slice<'a>>,
    /// None, or [`Function::GeluTanh`], which is the one the library knows.
    pub function: Option<Function>,
    /// `[M, N]`, bf16 or f16.
    pub y: Rows<'a>,
    /// Whether 8-bit products may be summed with fewer bits on the way, as is usual and faster.
    pub fast_sums: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    sizes: [usize; 3],
    strides: [usize; 3],
    floats: [Float; 2],
    scales: [c_int; 2],
    epilogue: c_int,
    fast_sums: bool,
}

impl CublasLt {
    /// Finds and opens the library, no newer than what the driver supports.
    ///
    /// # Errors
    /// If there is none, or no room for its workspace.
    pub fn open(search: &Search, gpu: Arc<Gpu>, pool: &Pool, driver: CudaVersion) -> Result<Self> {
        let found = search.open(Library::CublasLt, Some(driver.major)).map_err(|error| match error {
            Error::LibraryMissing { library, .. } => Error::LibraryMissing { library, driver: Some(driver) },
            other => other,
        })?;
        let api = Api::load(&found)?;
        let workspace = pool.allocate(WORKSPACE_BYTES)?;
        gpu.bind()?;
        let mut handle = ptr::null_mut();
        // SAFETY: valid for writing, and a context is current.
        check("cublasLtCreate", unsafe { (api.create)(&mut handle) })?;
        Ok(Self { api, found, gpu, handle, workspace, chosen: Mutex::default() })
    }

    /// Its version, such as 130002, and where it was found.
    pub fn version(&self) -> (usize, &Found) {
        // SAFETY: takes nothing.
        (unsafe { (self.api.version)() }, &self.found)
    }

    /// Runs a product.
    ///
    /// # Panics
    /// If the shapes or types do not fit.
    ///
    /// # Errors
    /// [`Error::Library`] where the library has no way for it.
    pub fn product(&self, call: Product) -> Result<()> {
        let Product { x, weight, y, bias, .. } = call;
        let kind = Kind::of(&call);
        let [m, n, k] = kind.sizes.map(|size| size as u64);
        assert_eq!((weight.width, y.shape()), (x.width, [x.rows, weight.rows]), "x, weight and y");
        assert_eq!(x.float, weight.float, "x and weight");
        assert!(x.float != Float::E4m3 || n.is_multiple_of(16) && k.is_multiple_of(16), "{n}x{k} of 8 bits");
        assert!(bias.is_none_or(|bias| bias.bytes() >= n * y.float.bytes()), "bias of {n}");
        if m == 0 || n == 0 {
            return Ok(());
        }
        self.gpu.bind()?;

        // The library counts by columns, so y^T = w x^T: w is its A, transposed; x^T its B; y^T its D.
        let product = self.describe(&call, kind)?;
        let a = Owned::layout(&self.api, element(weight.float), k, n, weight.stride as u64)?;
        let b = Owned::layout(&self.api, element(x.float), k, m, x.stride as u64)?;
        let d = Owned::layout(&self.api, element(y.float), n, m, y.stride as u64)?;
        let algorithm = self.algorithm(kind, &product, [&a, &b, &d])?;
        let (one, zero) = (1.0f32, 0.0f32);
        let address = |rows: Rows| rows.data.pointer().0 as *mut c_void;
        // SAFETY: the handles are live; the layouts were checked against the slices; the workspace is as large as the
        // choice was made for, and only this stream uses it.
        let status = unsafe {
            (self.api.matmul)(
                self.handle,
                product.handle,
                ptr::from_ref(&one).cast(),
                address(weight),
                a.handle,
                address(x),
                b.handle,
                ptr::from_ref(&zero).cast(),
                address(y),
                d.handle,
                address(y),
                d.handle,
                &algorithm,
                self.workspace.slice().pointer().0 as *mut c_void,
                WORKSPACE_BYTES as usize,
                self.gpu.stream(),
            )
        };
        check("cublasLtMatmul", status)
    }

    fn describe(&self, call: &Product, kind: Kind) -> Result<Owned> {
        let api = &self.api;
        let product = Owned::product(api)?;
        product.set(api, Attribute::TransposeA, api::TRANSPOSED)?;
        product.set(api, Attribute::Epilogue, kind.epilogue)?;
        if let Some(bias) = call.bias {
            product.set(api, Attribute::BiasPointer, bias.pointer().0)?;
            product.set(api, Attribute::BiasType, element(call.y.float))?;
        }
        for (scale, pointer, mode) in [
            (call.weight_scale, Attribute::ScalePointerA, Attribute::ScaleModeA),
            (call.x_scale, Attribute::ScalePointerB, Attribute::ScaleModeB),
        ] {
            match scale {
                Scale::None => {}
                Scale::Tensor(data) => product.set(api, pointer, data.pointer().0)?,
                Scale::Rows(data) => {
                    product.set(api, pointer, data.pointer().0)?;
                    product.set(api, mode, api::SCALE_FOR_EACH)?;
                }
            }
        }
        if kind.fast_sums {
            product.set(api, Attribute::FastSums, 1i8)?;
        }
        Ok(product)
    }

    fn algorithm(&self, kind: Kind, product: &Owned, layouts: [&Owned; 3]) -> Result<Algorithm> {
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&known) = chosen.get(&kind) {
            return known.map_err(|status| Error::Library { call: api::PROPOSE, status });
        }
        let proposed = api::propose(&self.api, self.handle, product, layouts, WORKSPACE_BYTES);
        match &proposed {
            Ok(algorithm) => drop(chosen.insert(kind, Ok(*algorithm))),
            Err(Error::Library { call: api::PROPOSE, status }) => drop(chosen.insert(kind, Err(*status))),
            Err(_) => {}
        }
        proposed
    }
}

impl Drop for CublasLt {
    fn drop(&mut self) {
        if self.gpu.bind().is_ok() {
            // SAFETY: created in `open`, destroyed once.
            unsafe { (self.api.destroy)(self.handle) };
        }
    }
}

impl Kind {
    fn of(call: &Product) -> Self {
        let Product { x, weight, y, .. } = call;
        Self {
            sizes: [x.rows, weight.rows, x.width],
            strides: [x.stride, weight.stride, y.stride],
            floats: [x.float, y.float],
            scales: [call.weight_scale.mode(weight.rows), call.x_scale.mode(x.rows)],
            epilogue: epilogue(call.bias.is_some(), call.function),
            fast_sums: call.fast_sums && x.float == Float::E4m3,
        }
    }
}

impl Scale<'_> {
    /// What tells one kind from another; checks the scales' size.
    fn mode(self, rows: usize) -> c_int {
        match self {
            Self::None => -1,
            Self::Tensor(data) => {
                assert!(data.bytes() >= 4, "a scale");
                0
            }
            Self::Rows(data) => {
                assert!(data.bytes() >= 4 * rows as u64, "{rows} scales");
                api::SCALE_FOR_EACH
            }
        }
    }
}

fn epilogue(bias: bool, function: Option<Function>) -> c_int {
    match (bias, function) {
        (false, None) => api::EPILOGUE_NONE,
        (true, None) => api::EPILOGUE_BIAS,
        (false, Some(Function::GeluTanh)) => api::EPILOGUE_GELU,
        (true, Some(Function::GeluTanh)) => api::EPILOGUE_GELU_BIAS,
        (_, Some(other)) => panic!("{other:?} is no end of a product"),
    }
}

/// `cudaDataType_t`
fn element(float: Float) -> c_int {
    match float {
        Float::F32 => 0,
        Float::F16 => 2,
        Float::Bf16 => 14,
        Float::E4m3 => 28,
        Float::E5m2 => 29,
    }
}
