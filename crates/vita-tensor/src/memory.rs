//! The process's pool of large `f32` buffers.
//!
//! Video activations are hundreds of megabytes each and live for one op. Asking the system for
//! each costs page faults, and returns memory in an order that nobody can predict; so buffers
//! of [`POOLED_BYTES_MIN`] and more come back here when their last tensor is dropped and are
//! handed out again. On a miss, idle buffers are released before new memory is taken, so the
//! pool holds about as much as the largest moment needs, not the sum of all moments.

use std::sync::{Mutex, MutexGuard};

/// Buffers below this go straight to the allocator.
pub const POOLED_BYTES_MIN: usize = 64 << 10;

/// Bytes in tensors' buffers, at one moment and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Held by tensors now (buffers of [`POOLED_BYTES_MIN`] and more).
    pub live_bytes: usize,
    /// Kept for reuse now.
    pub idle_bytes: usize,
    /// The most that was live and idle together since [`reset_peak`].
    pub peak_bytes: usize,
}

/// What the pool holds now.
pub fn stats() -> Stats {
    lock().stats
}

/// Starts a new measurement of [`Stats::peak_bytes`], from what is held now.
pub fn reset_peak() {
    let mut pool = lock();
    pool.stats.peak_bytes = pool.stats.live_bytes + pool.stats.idle_bytes;
}

/// Gives every idle buffer back to the system: between stages of a job, and after it.
pub fn release_idle() {
    let mut pool = lock();
    pool.idle.clear();
    pool.stats.idle_bytes = 0;
}

/// A buffer that returns to the pool when dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// At least the asked length: a recycled buffer may be a little longer.
    values: Vec<f32>,
    pooled: bool,
}

impl Buffer {
    /// `len` values of unspecified content: zeros, or what an earlier tensor left.
    pub fn scratch(len: usize) -> Self {
        let bytes = len * size_of::<f32>();
        if bytes < POOLED_BYTES_MIN {
            return Self { values: vec![0.0; len], pooled: false };
        }
        Self { values: lock().take(len), pooled: true }
    }

    pub fn from_vec(values: Vec<f32>) -> Self {
        let pooled = values.len() * size_of::<f32>() >= POOLED_BYTES_MIN;
        if pooled {
            lock().count_live(values.len() * size_of::<f32>());
        }
        Self { values, pooled }
    }

    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }

    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.pooled {
            lock().give_back(std::mem::take(&mut self.values));
        }
    }
}

struct Pool {
    idle: Vec<Vec<f32>>,
    stats: Stats,
}

static POOL: Mutex<Pool> =
    Mutex::new(Pool { idle: Vec::new(), stats: Stats { live_bytes: 0, idle_bytes: 0, peak_bytes: 0 } });

fn lock() -> MutexGuard<'static, Pool> {
    // The pool's state is whole between any two statements, so a panic elsewhere does not spoil it.
    POOL.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Pool {
    fn take(&mut self, len: usize) -> Vec<f32> {
        // Best fit, wasting at most an eighth.
        let fit = (0..self.idle.len())
            .filter(|&i| (len..=len + len / 8).contains(&self.idle[i].len()))
            .min_by_key(|&i| self.idle[i].len());
        let values = match fit {
            Some(i) => {
                let values = self.idle.swap_remove(i);
                self.stats.idle_bytes -= values.len() * size_of::<f32>();
                values
            }
            None => {
                self.make_room(len * size_of::<f32>());
                vec![0.0; len]
            }
        };
        self.count_live(values.len() * size_of::<f32>());
        values
    }

    /// Releases the longest-idle buffers until as many bytes are gone as are about to be taken.
    fn make_room(&mut self, bytes: usize) {
        let mut released = 0;
        let count = self
            .idle
            .iter()
            .take_while(|values| {
                let wanted = released < bytes;
                if wanted {
                    released += values.len() * size_of::<f32>();
                }
                wanted
            })
            .count();
        self.idle.drain(..count);
        self.stats.idle_bytes -= released;
    }

    fn give_back(&mut self, values: Vec<f32>) {
        let bytes = values.len() * size_of::<f32>();
        self.stats.live_bytes -= bytes;
        self.stats.idle_bytes += bytes;
        self.idle.push(values);
    }

    fn count_live(&mut self, bytes: usize) {
        self.stats.live_bytes += bytes;
        self.stats.peak_bytes = self.stats.peak_bytes.max(self.stats.live_bytes + self.stats.idle_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_handed_out_again_and_a_miss_releases_idle_ones() {
        let new = || Pool { idle: Vec::new(), stats: Stats::default() };
        let mut pool = new();
        let a = pool.take(100_000);
        let address = a.as_ptr();
        pool.give_back(a);
        let b = pool.take(95_000);
        assert_eq!(b.as_ptr(), address, "an eighth of slack is reused");
        pool.give_back(b);
        let c = pool.take(200_000);
        assert_eq!(pool.stats, Stats { live_bytes: 800_000, idle_bytes: 0, peak_bytes: 800_000 });
        pool.give_back(c);
        assert_eq!(pool.stats.idle_bytes, 800_000);
    }
}
