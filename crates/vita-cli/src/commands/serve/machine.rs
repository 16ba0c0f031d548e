//! The machine as the server and the nodes see it.

use std::fs;
use std::sync::OnceLock;
use std::time::SystemTime;

use jiff::Zoned;
use serde_json::Value as Json;
use vita_cuda::Card;
use vita_cuda::report::Report as CudaReport;
use vita_server::{Device, Memory, Surroundings};

use crate::commands::devices;
use crate::cuda::{self, card_name};
use crate::device::Workplace;

/// This machine.
pub struct Machine {
    /// What networks work on, the processor once.
    workplaces: Vec<Workplace>,
    /// What runs cards, looked for once, when somebody asks.
    cuda: OnceLock<Json>,
}

impl Machine {
    /// `workplaces` are those of the workers.
    pub fn new(mut workplaces: Vec<Workplace>) -> Self {
        let mut processors = 0;
        workplaces.retain(|workplace| {
            processors += usize::from(workplace.card().is_none());
            workplace.card().is_some() || processors == 1
        });
        Self { workplaces, cuda: OnceLock::new() }
    }
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
        let device = |workplace: &Workplace| match workplace {
            Workplace::Card(index, card) => of_card(*index, card),
            Workplace::Processor => {
                let Memory { total_bytes, free_bytes } = self.memory();
                Device { name: "cpu".into(), kind: "cpu", index: None, total_bytes, free_bytes }
            }
        };
        self.workplaces.iter().map(device).collect()
    }

    fn cuda(&self) -> Option<Json> {
        Some(self.cuda.get_or_init(|| devices::json_of(&CudaReport::new(&cuda::search()))).clone())
    }
}

fn of_card(index: usize, card: &Card) -> Device {
    let (name, kind) = (format!("cuda:{index} {}", card_name(card)), "cuda");
    let total_bytes = card.machine().properties().total_bytes;
    // What this process keeps for the next job is free to it. A card that is lost has nothing to give.
    let stats = card.pool().stats();
    let idle_bytes = stats.held_bytes - stats.live_bytes;
    let free_bytes = card.machine().free_bytes().map_or(0, |free_bytes| free_bytes + idle_bytes);
    Device { name, kind, index: u32::try_from(index).ok(), total_bytes, free_bytes }
}

fn total_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
