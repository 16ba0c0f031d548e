//! Whose attention is used: our kernels or cuDNN's.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Cudnn, Sizes};
use crate::discover::{CudaVersion, Search};
use crate::error::{Error, Result};
use crate::machine::Gpu;
use crate::memory::Pool;
use crate::ops::{self, Attention};

/// Attention smaller than this is not worth a plan and a timing, which take cuDNN a second or two: a run calls it some
/// thousand times, so that a tenth of two milliseconds (10^12 operations on a fast card) just pays for them.
const OPERATIONS_MIN: f64 = 1e12;

/// cuDNN is taken where it needs at most this share of our time. What is as fast stays with our kernels, so that chance
/// does not decide, and the same run gives the same video.
const SHARE_MAX: f32 = 0.95;

/// Runs of a timing, of which the fastest counts; fewer once they took so many milliseconds.
const RUNS: usize = 3;
const MILLISECONDS_ENOUGH: f32 = 200.0;

/// Whose attention is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttentionBy {
    /// Our kernels.
    Own,
    /// cuDNN, for everything that it does.
    Cudnn,
    /// Our kernels, and cuDNN where it is faster: both are timed once for each class of sizes that is large enough to
    /// be worth it. Equal heads, type and powers of two above the number of queries and of keys are one class.
    #[default]
    Automatic,
}

/// Attention on one card, by whom it was decided. Where cuDNN is missing or fails, this is said once in the log, and
/// our kernels are used from then on; a size that it refuses is ours alone.
pub struct Chooser {
    by: AttentionBy,
    own: Box<dyn Way>,
    library: Option<Box<dyn Way>>,
    timer: Box<dyn Timer>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// It failed: no more of it.
    library_failed: bool,
    refused: HashSet<Sizes>,
    /// Whether the library is faster.
    timed: HashMap<Class, bool>,
}

/// Sizes that are decided together.
type Class = (ops::Float, usize, u32, u32);

/// A way to compute attention.
trait Way: Send + Sync {
    fn attention(&self, call: Attention) -> Result<()>;
}

/// What knows how long work takes on the card.
trait Timer: Send + Sync {
    fn milliseconds(&self, give: &dyn Fn() -> Result<()>) -> Result<f32>;
}

impl Chooser {
    /// Opens cuDNN, unless only our kernels are wanted.
    pub fn new(by: AttentionBy, search: &Search, gpu: &Arc<Gpu>, pool: &Pool, driver: CudaVersion) -> Self {
        let opened = (by != AttentionBy::Own).then(|| Cudnn::open(search, gpu.clone(), pool, driver));
        let library = match opened {
            None => None,
            Some(Ok(library)) => {
                let planner = library.planner();
                tracing::info!("attention: cuDNN {} from {}", planner.version(), planner.found().path.display());
                Some(Box::new(library) as Box<dyn Way>)
            }
            Some(Err(error)) => {
                let hint = vita_base::Hint::hint(&error).map_or(String::new(), |hint| format!(" ({hint})"));
                tracing::info!("attention: our kernels: {error}{hint}");
                None
            }
        };
        Self { by, own: Box::new(Own(gpu.clone())), library, timer: Box::new(gpu.clone()), state: Mutex::default() }
    }

    /// `softmax(q k^T * scale) v` for each head. The first call of a class of sizes may take seconds.
    ///
    /// # Panics
    /// If the shapes or types do not fit, or there are no keys.
    ///
    /// # Errors
    /// If the card does not answer.
    pub fn attention(&self, call: Attention) -> Result<()> {
        match &self.library {
            Some(library) if self.wants(library.as_ref(), call)? => match library.attention(call) {
                Ok(()) => Ok(()),
                Err(error) => {
                    self.note(&Sizes::of(&call), error)?;
                    self.own.attention(call)
                }
            },
            _ => self.own.attention(call),
        }
    }

    /// Whether a call goes to the library.
    fn wants(&self, library: &dyn Way, call: Attention) -> Result<bool> {
        let sizes = Sizes::of(&call);
        let known = {
            let state = self.state();
            if self.by == AttentionBy::Own || state.library_failed || state.refused.contains(&sizes) {
                return Ok(false);
            }
            state.timed.get(&class(&sizes)).copied()
        };
        match (self.by, known) {
            (AttentionBy::Cudnn, _) => Ok(true),
            (_, Some(faster)) => Ok(faster),
            _ if sizes.operations() < OPERATIONS_MIN => Ok(false),
            _ => self.time(library, call, &sizes),
        }
    }

    /// Whether the library is faster; both compute the same result into the same place.
    fn time(&self, library: &dyn Way, call: Attention, sizes: &Sizes) -> Result<bool> {
        let theirs = match self.fastest(library, call) {
            Ok(milliseconds) => milliseconds,
            Err(error) => {
                self.note(sizes, error)?;
                return Ok(false);
            }
        };
        let ours = self.fastest(self.own.as_ref(), call)?;
        let faster = theirs <= SHARE_MAX * ours;
        let chosen = if faster { "cuDNN" } else { "our kernels" };
        tracing::info!("attention of {sizes}: {chosen} (ours {ours:.2} ms, cuDNN {theirs:.2} ms)");
        self.state().timed.insert(class(sizes), faster);
        Ok(faster)
    }

    /// Milliseconds of the fastest of some runs, after one that makes plans and compiles.
    fn fastest(&self, way: &dyn Way, call: Attention) -> Result<f32> {
        way.attention(call)?;
        let (mut fastest, mut spent) = (f32::INFINITY, 0.0);
        for _ in 0..RUNS {
            let milliseconds = self.timer.milliseconds(&|| way.attention(call))?;
            fastest = fastest.min(milliseconds);
            spent += milliseconds;
            if spent > MILLISECONDS_ENOUGH {
                break;
            }
        }
        Ok(fastest)
    }

    /// Keeps in mind what the library could not do; an error that our kernels cannot help with comes back.
    fn note(&self, sizes: &Sizes, error: Error) -> Result<()> {
        if error.is_device_lost() {
            return Err(error);
        }
        let mut state = self.state();
        if error.is_refusal() {
            if state.refused.insert(*sizes) {
                tracing::info!("attention of {sizes}: our kernels: {error}");
            }
        } else if error.is_out_of_memory() {
            tracing::debug!("attention of {sizes}: our kernels this time: {error}");
        } else if !std::mem::replace(&mut state.library_failed, true) {
            tracing::warn!("attention: our kernels from now on: {error}");
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn class(sizes: &Sizes) -> Class {
    let power = |rows: usize| rows.next_power_of_two().ilog2();
    (sizes.float, sizes.heads, power(sizes.queries), power(sizes.keys))
}

struct Own(Arc<Gpu>);

impl Way for Own {
    fn attention(&self, call: Attention) -> Result<()> {
        ops::attention(self.0.as_ref(), call)
    }
}

impl Way for Cudnn {
    fn attention(&self, call: Attention) -> Result<()> {
        Cudnn::attention(self, call)
    }
}

impl Timer for Arc<Gpu> {
    fn milliseconds(&self, give: &dyn Fn() -> Result<()>) -> Result<f32> {
        self.timed(give)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::discover::Library;
    use crate::machine::Pointer;
    use crate::memory::Slice;
    use crate::ops::{Float, HEAD, Rows};

    /// Counts its calls, and does nothing or fails.
    struct Fake {
        calls: Arc<AtomicUsize>,
        fails: fn() -> Option<Error>,
    }

    impl Way for Fake {
        fn attention(&self, _: Attention) -> Result<()> {
            self.calls.fetch_add(1, Relaxed);
            (self.fails)().map_or(Ok(()), Err)
        }
    }

    /// Gives each way the time that it was told: whose turn it is shows in who was called.
    struct Clock {
        library_calls: Arc<AtomicUsize>,
        library_milliseconds: f32,
    }

    impl Timer for Clock {
        fn milliseconds(&self, give: &dyn Fn() -> Result<()>) -> Result<f32> {
            let before = self.library_calls.load(Relaxed);
            give()?;
            Ok(if self.library_calls.load(Relaxed) > before { self.library_milliseconds } else { 10.0 })
        }
    }

    struct Bench {
        chooser: Chooser,
        calls: [Arc<AtomicUsize>; 2],
    }

    impl Bench {
        fn new(by: AttentionBy, library_milliseconds: f32, fails: fn() -> Option<Error>) -> Self {
            let calls = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
            let chooser = Chooser {
                by,
                own: Box::new(Fake { calls: calls[0].clone(), fails: || None }),
                library: Some(Box::new(Fake { calls: calls[1].clone(), fails })),
                timer: Box::new(Clock { library_calls: calls[1].clone(), library_milliseconds }),
                state: Mutex::default(),
            };
            Self { chooser, calls }
        }

        /// Calls of our kernels and of the library that a call of so many queries and keys makes.
        fn calls(&self, queries: usize, keys: usize) -> Result<[usize; 2]> {
            let before = self.calls.each_ref().map(|count| count.load(Relaxed));
            let heads = 40;
            let rows = |rows: usize| {
                // SAFETY: nothing follows the address.
                let data = unsafe { Slice::from_raw(Pointer(4096), (rows * heads * HEAD * 2) as u64) };
                Rows::new(data, Float::Bf16, rows, heads * HEAD)
            };
            let (q, k) = (rows(queries), rows(keys));
            self.chooser.attention(Attention { q, k, v: k, y: q, scale: 1.0 })?;
            let after = self.calls.each_ref().map(|count| count.load(Relaxed));
            Ok([after[0] - before[0], after[1] - before[1]])
        }
    }

    fn refusal(status: i32) -> Option<Error> {
        let (name, message) = ("CUDNN_STATUS".to_owned(), String::new());
        Some(Error::LibraryRefused { library: Library::Cudnn, call: "cudnnBackendFinalize", status, name, message })
    }

    #[test]
    fn both_are_timed_once_for_a_class_and_the_faster_is_used() {
        for (library_milliseconds, later) in [(5.0, [0, 1]), (9.8, [1, 0]), (20.0, [1, 0])] {
            let bench = Bench::new(AttentionBy::Automatic, library_milliseconds, || None);
            let first = bench.calls(32_760, 32_760).unwrap();
            assert_eq!(first, [4 + later[0], 4 + later[1]], "one to warm up, three timed, and the one that counts");
            assert_eq!(bench.calls(32_760, 32_760).unwrap(), later);
            assert_eq!(bench.calls(30_000, 30_000).unwrap(), later, "the same class");
            assert!(bench.calls(75_600, 75_600).unwrap()[0] >= 4, "another class");
            assert_eq!(bench.calls(1560, 512).unwrap(), [1, 0], "not worth it");
        }
    }

    #[test]
    fn slow_work_is_timed_once() {
        let bench = Bench::new(AttentionBy::Automatic, 500.0, || None);
        assert_eq!(bench.calls(32_760, 32_760).unwrap(), [4 + 1, 2]);
    }

    #[test]
    fn who_asks_for_one_gets_it() {
        let bench = Bench::new(AttentionBy::Cudnn, 20.0, || None);
        assert_eq!(bench.calls(100, 512).unwrap(), [0, 1]);
        let bench = Bench::new(AttentionBy::Own, 5.0, || None);
        assert_eq!(bench.calls(32_760, 32_760).unwrap(), [1, 0]);
    }

    #[test]
    fn what_the_library_cannot_do_is_ours() {
        // A size that it refuses is asked once; the next size again.
        let bench = Bench::new(AttentionBy::Cudnn, 5.0, || refusal(3000));
        for (queries, want) in [(100, [1, 1]), (100, [1, 0]), (200, [1, 1]), (200, [1, 0])] {
            assert_eq!(bench.calls(queries, 512).unwrap(), want);
        }
        // A failure ends it for all sizes, also in the midst of a timing.
        for by in [AttentionBy::Cudnn, AttentionBy::Automatic] {
            let bench = Bench::new(by, 5.0, || refusal(5000));
            for want in [[1, 1], [1, 0]] {
                assert_eq!(bench.calls(32_760, 32_760).unwrap(), want);
            }
            assert_eq!(bench.calls(75_600, 75_600).unwrap(), [1, 0]);
        }
        // No room is of the moment.
        let full = || {
            Some(Error::OutOfMemory {
                asked_bytes: 1,
                live_bytes: 0,
                idle_bytes: 0,
                budget_bytes: None,
                free_bytes: 0,
                total_bytes: 1,
            })
        };
        let bench = Bench::new(AttentionBy::Cudnn, 5.0, full);
        assert_eq!([bench.calls(100, 512).unwrap(), bench.calls(100, 512).unwrap()], [[1, 1], [1, 1]]);
    }

    #[test]
    fn a_lost_card_is_no_matter_of_choice() {
        let lost = || {
            let (name, message) = ("CUDA_ERROR_LAUNCH_FAILED".to_owned(), String::new());
            Some(Error::Driver { call: "cuStreamSynchronize", name, message })
        };
        assert!(Bench::new(AttentionBy::Cudnn, 5.0, lost).calls(100, 512).is_err());
    }
}
