//! A machine whose memory is the host's and whose kernels are compiled by a C++ compiler.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::HashMap;
use std::ffi::{c_int, c_uint, c_void};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use vita_cuda::compile::Source;
use vita_cuda::machine::{Arguments, Copied, Machine, PinnedBuffer, Pointer, Properties, Shape, TensorMap, TileShape};
use vita_cuda::{Arch, Error, Result};

/// When asynchronous work happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Not before it is waited for.
    Late,
    /// At once.
    AtOnce,
    /// Copies at once, products not before they are waited for.
    ProductsLate,
}

pub struct Emulator {
    compiler: String,
    pace: Pace,
    properties: Properties,
    kernels: Mutex<HashMap<Source, Run>>,
    /// Rows that matrix loads read, and those that waited for a bank.
    matrix_rows: Mutex<[u64; 2]>,
}

/// A copy that runs beside the work, when it is waited for.
struct Copy {
    to: Pointer,
    from: u64,
    bytes: usize,
    done: AtomicBool,
}

impl Copy {
    fn run(&self) {
        if !self.done.swap(true, Ordering::Relaxed) {
            // SAFETY: who started the copy keeps both until it was waited for.
            unsafe { (self.to.0 as *mut u8).copy_from(self.from as *const u8, self.bytes) };
        }
    }
}

type Run = unsafe extern "C" fn(c_uint, c_uint, c_uint, c_uint, c_uint, *mut *mut c_void, c_int, *mut u64);

const HEADER: &str = include_str!("cuda_on_cpu.hpp");
const ALIGN: usize = 256;

/// A C++ compiler that knows halves, if there is one.
pub fn compiler() -> Option<String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let probe = folder.join("probe.cpp");
    fs::write(&probe, "_Float16 x; int main() {}").ok()?;
    ["g++", "c++", "clang++"].into_iter().map(str::to_owned).find(|name| {
        Command::new(name)
            .args(["-fsyntax-only", "-std=c++17"])
            .arg(&probe)
            .output()
            .is_ok_and(|out| out.status.success())
    })
}

impl Emulator {
    pub fn new(compiler: String, arch: Arch, pace: Pace) -> Self {
        let properties = Properties {
            name: "an emulated card".into(),
            arch,
            processors: 2,
            total_bytes: 1 << 30,
            shared_bytes_max: 227 << 10,
            cache_bytes: 0,
        };
        Self { compiler, pace, properties, kernels: Mutex::default(), matrix_rows: Mutex::default() }
    }

    pub fn matrix_rows(&self) -> (u64, u64) {
        let [rows, in_conflict] = *self.matrix_rows.lock().unwrap();
        (rows, in_conflict)
    }

    fn kernel(&self, source: &Source) -> Result<Run> {
        let mut kernels = self.kernels.lock().unwrap();
        if let Some(&run) = kernels.get(source) {
            return Ok(run);
        }
        let text = format!("{HEADER}\n{}\nEMULATE({})\n", source.full_text(), source.kernel);
        let mut hash = DefaultHasher::new();
        (&text, &self.compiler).hash(&mut hash);
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let library = folder.join(format!("{}-{:016x}.so", source.kernel, hash.finish()));
        if !library.exists() {
            self.build(source, &text, &library)?;
        }
        // SAFETY: a library that was just built from the header and the kernel, and is never closed.
        let run = unsafe {
            let opened: &'static libloading::Library = Box::leak(Box::new(libloading::Library::new(&library).unwrap()));
            *opened.get::<Run>(format!("run_{}", source.kernel).as_bytes()).unwrap()
        };
        kernels.insert(source.clone(), run);
        Ok(run)
    }

    fn build(&self, source: &Source, text: &str, library: &Path) -> Result<()> {
        // Another test may build the same kernel: each its own, and the last one stays.
        static BUILT: AtomicU64 = AtomicU64::new(0);
        let number = format!("{}-{}", std::process::id(), BUILT.fetch_add(1, Ordering::Relaxed));
        let [input, part] = ["cpp", "so"].map(|kind| library.with_extension(format!("{number}.{kind}")));
        fs::write(&input, text).unwrap();
        let built = Command::new(&self.compiler)
            .args(["-std=c++17", "-O1", "-shared", "-fPIC", "-w", "-fno-strict-aliasing", "-ffp-contract=off", "-o"])
            .args([&part, &input])
            .output()
            .unwrap();
        if !built.status.success() {
            let log = String::from_utf8_lossy(&built.stderr).into_owned();
            return Err(Error::Compile { kernel: source.title(), target: "this processor".into(), log });
        }
        fs::rename(&part, library).unwrap();
        fs::remove_file(&input).unwrap();
        Ok(())
    }
}

impl Machine for Emulator {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn allocate(&self, bytes: u64) -> Result<Pointer> {
        let layout = Layout::from_size_align(bytes as usize, ALIGN).unwrap();
        // SAFETY: pools ask for no empty segments.
        Ok(Pointer(unsafe { alloc(layout) } as u64))
    }

    unsafe fn release(&self, pointer: Pointer, bytes: u64) {
        let layout = Layout::from_size_align(bytes as usize, ALIGN).unwrap();
        // SAFETY: allocated above with the same layout.
        unsafe { dealloc(pointer.0 as *mut u8, layout) };
    }

    fn free_bytes(&self) -> Result<u64> {
        Ok(self.properties.total_bytes)
    }

    unsafe fn upload(&self, to: Pointer, bytes: &[u8]) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { (to.0 as *mut u8).copy_from(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    unsafe fn download(&self, from: Pointer, bytes: &mut [u8]) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { bytes.as_mut_ptr().copy_from(from.0 as *const u8, bytes.len()) };
        Ok(())
    }

    unsafe fn fill(&self, at: Pointer, bytes: u64, value: u8) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { (at.0 as *mut u8).write_bytes(value, bytes as usize) };
        Ok(())
    }

    unsafe fn launch(&self, source: &Source, shape: Shape, arguments: &Arguments) -> Result<()> {
        let run = self.kernel(source)?;
        let [x, y, z] = shape.grid;
        let mut addresses = arguments.addresses();
        let late = match self.pace {
            Pace::Late => 3,
            Pace::AtOnce => 0,
            Pace::ProductsLate => 2,
        };
        let mut rows = self.matrix_rows.lock().unwrap();
        // A kernel's threads, and what it shares, are statics of its library.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _running = ONE_AT_A_TIME.lock().unwrap();
        // SAFETY: the caller's promise; no other kernel runs.
        unsafe { run(x, y, z, shape.threads, shape.shared_bytes, addresses.as_mut_ptr(), late, rows.as_mut_ptr()) };
        Ok(())
    }

    unsafe fn copy_beside(&self, to: Pointer, from: &PinnedBuffer) -> Result<Copied> {
        let from = from.as_slice();
        let copy = Copy { to, from: from.as_ptr() as u64, bytes: from.len(), done: AtomicBool::new(false) };
        if self.pace == Pace::Late {
            // What is read before it arrived is seen to be wrong.
            // SAFETY: the caller's promise.
            unsafe { (to.0 as *mut u8).write_bytes(0x7f, from.len()) };
        } else {
            copy.run();
        }
        Ok(Copied::new(copy))
    }

    fn wait_for(&self, copied: &Copied) -> Result<()> {
        copied.end::<Copy>().unwrap().run();
        Ok(())
    }

    fn tensor_map(&self, base: Pointer, tile: &TileShape) -> Result<TensorMap> {
        assert_eq!(tile.axes, 2, "axes");
        let mut words = [0; 16];
        words[..6].copy_from_slice(&[
            base.0,
            tile.sizes[0],
            tile.sizes[1],
            tile.strides_bytes[0],
            tile.tile[0].into(),
            tile.tile[1].into(),
        ]);
        Ok(TensorMap(words))
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}
