//! A card whose kernels do nothing and whose memory is counted and holds zeros: for what happens around the work.

use std::sync::{Arc, Mutex};

use vita_cuda::compile::Source;
use vita_cuda::machine::{Arguments, Machine, Pointer, Properties, Shape, TensorMap, TileShape};
use vita_cuda::memory::Pool;
use vita_cuda::{Arch, Card, Error, Result};

pub struct Hollow {
    properties: Properties,
    state: Mutex<State>,
}

struct State {
    used_bytes: u64,
    /// The address of the next memory.
    next: u64,
    /// What other processes have.
    others_bytes: u64,
    /// Kernels that find no room for what they take themselves.
    refused_launches: u64,
    /// Kernels that may still start; then the card is gone.
    launches_left: u64,
}

impl Hollow {
    pub fn new(total_bytes: u64) -> Arc<Self> {
        let properties = Properties {
            name: "a hollow card".into(),
            arch: Arch::SM_80,
            processors: 2,
            total_bytes,
            shared_bytes_max: 99 << 10,
            cache_bytes: 0,
        };
        let state =
            State { used_bytes: 0, next: 0x1_0000_0000, others_bytes: 0, refused_launches: 0, launches_left: u64::MAX };
        Arc::new(Self { properties, state: Mutex::new(state) })
    }

    pub fn card(self: &Arc<Self>) -> Arc<Card> {
        let machine: Arc<dyn Machine> = self.clone();
        Card::new(Pool::new(machine, None), None)
    }

    /// Has the card fall off the bus after so many more kernels.
    pub fn lose_after(&self, launches: u64) {
        self.state.lock().unwrap().launches_left = launches;
    }

    /// Has other processes take so many bytes.
    pub fn let_others_take(&self, bytes: u64) {
        self.state.lock().unwrap().others_bytes = bytes;
    }

    /// Has the next kernels find no room, however much is free.
    pub fn refuse(&self, launches: u64) {
        self.state.lock().unwrap().refused_launches = launches;
    }

    pub fn used_bytes(&self) -> u64 {
        self.state.lock().unwrap().used_bytes
    }

    fn answer(&self, call: &'static str) -> Result<()> {
        if self.state.lock().unwrap().launches_left > 0 {
            return Ok(());
        }
        let (name, message) = ("CUDA_ERROR_LAUNCH_FAILED".into(), "unspecified launch failure".into());
        Err(Error::Driver { call, name, message })
    }
}

fn no_room(asked_bytes: u64, free_bytes: u64, total_bytes: u64) -> Error {
    Error::OutOfMemory { asked_bytes, live_bytes: 0, idle_bytes: 0, budget_bytes: None, free_bytes, total_bytes }
}

impl Machine for Hollow {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn allocate(&self, bytes: u64) -> Result<Pointer> {
        self.answer("cuMemAlloc")?;
        let (free_bytes, total_bytes) = (self.free_bytes()?, self.properties.total_bytes);
        let state = &mut *self.state.lock().unwrap();
        if bytes > free_bytes {
            return Err(no_room(bytes, free_bytes, total_bytes));
        }
        state.used_bytes += bytes;
        state.next += bytes.next_multiple_of(256);
        Ok(Pointer(state.next - bytes.next_multiple_of(256)))
    }

    unsafe fn release(&self, _: Pointer, bytes: u64) {
        self.state.lock().unwrap().used_bytes -= bytes;
    }

    fn free_bytes(&self) -> Result<u64> {
        self.answer("cuMemGetInfo")?;
        let state = self.state.lock().unwrap();
        Ok(self.properties.total_bytes.saturating_sub(state.used_bytes + state.others_bytes))
    }

    unsafe fn upload(&self, _: Pointer, _: &[u8]) -> Result<()> {
        self.answer("cuMemcpyHtoD")
    }

    unsafe fn download(&self, _: Pointer, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(0);
        self.answer("cuMemcpyDtoH")
    }

    unsafe fn fill(&self, _: Pointer, _: u64, _: u8) -> Result<()> {
        self.answer("cuMemsetD8")
    }

    unsafe fn launch(&self, _: &Source, _: Shape, _: &Arguments) -> Result<()> {
        let state = &mut *self.state.lock().unwrap();
        if state.refused_launches > 0 {
            state.refused_launches -= 1;
            return Err(no_room(1, 0, self.properties.total_bytes));
        }
        state.launches_left = state.launches_left.saturating_sub(1);
        // Kernels fail where their work is waited for.
        Ok(())
    }

    fn tensor_map(&self, _: Pointer, _: &TileShape) -> Result<TensorMap> {
        Err(Error::Unsupported { what: "a copy engine".into(), on: self.properties.name.clone() })
    }

    fn synchronize(&self) -> Result<()> {
        self.answer("cuCtxSynchronize")
    }
}
