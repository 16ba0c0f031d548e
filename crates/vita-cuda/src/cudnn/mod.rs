//! Attention by cuDNN, where it is installed: one node of its backend's graphs, planned once for each size.
//!
//! [`Planner`] says without a card which engines there are; [`Cudnn`] runs them on one; [`Chooser`] decides between
//! them and the kernels of [`crate::ops::attention()`], which are used wherever the library is missing or refuses.

mod api;
mod choice;
mod planner;
mod test_cases;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use api::{Attribute, Descriptor, Handle, Kind};
pub use choice::{AttentionBy, Chooser};
pub use planner::{Engine, Planner, Sizes, Version};
use planner::{IDS, Plan};

use crate::discover::{CudaVersion, Search};
use crate::error::Result;
use crate::machine::{Gpu, Machine};
use crate::memory::{Buffer, Pool};
use crate::ops::Attention;

/// Plans that are kept; a server that is asked for ever new sizes must not grow.
const PLANS_MAX: usize = 32;

/// cuDNN on one card.
pub struct Cudnn {
    planner: Planner,
    gpu: Arc<Gpu>,
    pool: Pool,
    handle: Handle,
    state: Mutex<State>,
}

/// What one call at a time may use.
#[derive(Default)]
struct State {
    plans: HashMap<Sizes, Plan>,
    /// Shared by all plans, which run on one stream.
    workspace: Option<Buffer>,
}

// SAFETY: the library's handle may be used from any thread, by one at a time; the context is bound before each call.
unsafe impl Send for Cudnn {}
// SAFETY: as above; the handle is used under the lock of `state`.
unsafe impl Sync for Cudnn {}

impl Cudnn {
    /// Finds and opens the library.
    ///
    /// # Errors
    /// If there is none, it is too old, or it does not take the card or its driver.
    pub fn open(search: &Search, gpu: Arc<Gpu>, pool: &Pool, driver: CudaVersion) -> Result<Self> {
        let planner = Planner::open(search, Some(driver))?;
        gpu.bind()?;
        let mut handle = ptr::null_mut();
        // SAFETY: valid for writing, and a context is current.
        planner.api.check("cudnnCreate", unsafe { (planner.api.create)(&mut handle) })?;
        let this = Self { planner, gpu, pool: pool.clone(), handle, state: Mutex::default() };
        // SAFETY: both are live.
        let status = unsafe { (this.planner.api.set_stream)(handle, this.gpu.stream()) };
        this.planner.api.check("cudnnSetStream", status)?;
        Ok(this)
    }

    /// The library itself.
    pub fn planner(&self) -> &Planner {
        &self.planner
    }

    /// `softmax(q k^T * scale) v` for each head. The first call of a size makes its plan, which may take seconds.
    ///
    /// # Panics
    /// If the shapes or types do not fit, or there are no keys.
    ///
    /// # Errors
    /// [`crate::Error::LibraryRefused`] if the library has no way for it, or there is no room for what it needs beside.
    pub fn attention(&self, call: Attention) -> Result<()> {
        call.check();
        if call.q.rows == 0 {
            return Ok(());
        }
        self.gpu.bind()?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { plans, workspace } = &mut *state;
        let sizes = Sizes::of(&call);
        if plans.len() >= PLANS_MAX && !plans.contains_key(&sizes) {
            // The card may still run their kernels.
            self.gpu.synchronize()?;
            plans.clear();
        }
        let plan = match plans.entry(sizes) {
            Entry::Occupied(entry) => entry.into_mut(),
            // SAFETY: the handle is live until `drop`, and its card was made current.
            Entry::Vacant(entry) => entry.insert(unsafe { self.planner.plan(self.handle, &sizes) }?),
        };
        let needed = plan.engine.workspace_bytes;
        if needed > workspace.as_ref().map_or(0, Buffer::bytes) {
            *workspace = None;
            *workspace = Some(self.pool.allocate(needed)?);
        }
        self.run(plan, &call, workspace.as_ref())
    }

    fn run(&self, plan: &Plan, call: &Attention, workspace: Option<&Buffer>) -> Result<()> {
        let address = |pointer: crate::machine::Pointer| pointer.0 as *mut c_void;
        let [q, k, v, y] = [call.q, call.k, call.v, call.y].map(|rows| address(rows.data.pointer()));
        let mut scale = call.scale;
        let workspace = workspace.map_or(ptr::null_mut(), |buffer| address(buffer.slice().pointer()));
        let bindings = Descriptor::new(self.planner.api, Kind::Bindings)?
            .numbers(Attribute::BindingsIds, &IDS)?
            .pointers(Attribute::BindingsPointers, &[q, k, v, y, ptr::from_mut(&mut scale).cast()])?
            .pointers(Attribute::BindingsWorkspace, &[workspace])?
            .finish()?;
        // SAFETY: the handle is live and under the lock; the plan was made for the sizes of these rows, which were
        // checked against their slices; the workspace is as large as the plan wants; the scale outlives the call.
        unsafe { self.planner.api.execute(self.handle, &plan.descriptor, &bindings) }
    }
}

impl Drop for Cudnn {
    fn drop(&mut self) {
        if self.gpu.bind().is_ok() {
            // Plans hold kernels, which the card may still run.
            let _ = self.gpu.synchronize();
            self.state.get_mut().unwrap_or_else(PoisonError::into_inner).plans.clear();
            // SAFETY: created in `open`, destroyed once.
            unsafe { (self.planner.api.destroy)(self.handle) };
        }
    }
}
