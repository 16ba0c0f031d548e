//! What the server asks of the machine: the time and the memory. Handed in, so that tests decide them.

use std::time::SystemTime;

use serde_json::Value as Json;

/// The machine as the server sees it. The program implements it once; tests with fixed answers.
pub trait Surroundings: Send + Sync {
    /// The time.
    fn now(&self) -> SystemTime;

    /// How far local time is ahead of UTC, in seconds.
    fn utc_offset_seconds(&self) -> i32;

    /// Main memory.
    fn memory(&self) -> Memory;

    /// What computes: processors, graphics cards.
    fn devices(&self) -> Vec<Device>;

    /// What runs NVIDIA's cards, which of it is missing, and what brings that: `cuda` of `/system_stats`, left out where
    /// nothing is said.
    fn cuda(&self) -> Option<Json> {
        None
    }
}

/// Main memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total_bytes: u64,
    /// What may still be taken.
    pub free_bytes: u64,
}

/// Something that computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// As `cuda:0 NVIDIA H200` or `cpu`.
    pub name: String,
    /// `cuda` or `cpu`.
    pub kind: &'static str,
    /// Its number among its kind, where there is one.
    pub index: Option<u32>,
    /// Its memory, in bytes.
    pub total_bytes: u64,
    /// What of it is free, in bytes.
    pub free_bytes: u64,
}
