//! What a stage of work takes of memory.

use crate::progress::Stage;

/// Bytes that each stage takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// In the order they run.
    pub stages: Vec<StageMemory>,
}

/// Bytes that one stage takes at its largest moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageMemory {
    /// Which.
    pub stage: Stage,
    /// Of loaded weights.
    pub weight_bytes: u64,
    /// Of everything else.
    pub activation_bytes: u64,
}

impl StageMemory {
    /// Weights and activations together.
    pub fn bytes(&self) -> u64 {
        self.weight_bytes + self.activation_bytes
    }
}

/// The program itself: code, threads, small buffers.
pub(crate) const BASE_BYTES: u64 = 24 << 20;

impl Estimate {
    /// Bytes at the largest moment, the program's own included, where one network is loaded at a time.
    pub fn peak_bytes(&self) -> u64 {
        BASE_BYTES + self.largest().map_or(0, |stage| stage.bytes())
    }

    pub(crate) fn largest(&self) -> Option<&StageMemory> {
        self.stages.iter().max_by_key(|stage| stage.bytes())
    }
}
