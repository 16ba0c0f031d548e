//! The machine as the server and the nodes see it.

use std::fs;
use std::time::SystemTime;

use jiff::Zoned;
use vita_server::{Device, Memory, Surroundings};

/// This machine.
pub struct Machine;

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
        let Memory { total_bytes, free_bytes } = self.memory();
        vec![Device { name: "cpu".into(), kind: "cpu", index: None, total_bytes, free_bytes }]
    }
}

fn total_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
