//! The machine as the server and the nodes see it.

use std::fs;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Zoned;
use vita_cuda::Card;
use vita_server::{Device, Memory, Surroundings};

use crate::cuda::card_name;

/// This machine.
pub struct Machine {
    /// The card that networks work on, and its number.
    pub card: Option<(usize, Arc<Card>)>,
}

impl Surroundings for Machine {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn utc_offset_seconds(&self) -> i32 {
        Zoned::now().offset().seconds()
    }

    fn memory(&self) -> Memory {
        let free_bytes = crate::machine::memory_free_bytes().unwrap_or(0);
        Memory { total_bytes: total_bytes().unwrap_or(free_bytes), free_bytes }
    }

    fn devices(&self) -> Vec<Device> {
        if let Some((index, card)) = &self.card {
            let name = format!("cuda:{index} {}", card_name(card));
            let total_bytes = card.machine().properties().total_bytes;
            // What this process keeps for the next job is free to it.
            let stats = card.pool().stats();
            let idle_bytes = stats.held_bytes - stats.live_bytes;
            let free_bytes = card.machine().free_bytes().unwrap_or(0) + idle_bytes;
            return vec![Device { name, kind: "cuda", index: u32::try_from(*index).ok(), total_bytes, free_bytes }];
        }
        let Memory { total_bytes, free_bytes } = self.memory();
        vec![Device { name: "cpu".into(), kind: "cpu", index: None, total_bytes, free_bytes }]
    }
}

fn total_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
