//! `--device`: what networks work on.

mod find;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use vita_base::{Report, bytes_text};
use vita_cuda::Card;
use vita_cuda::machine::Driver;
use vita_pipeline::Residency;

use crate::arguments::Bytes;
use crate::cuda::{self, Device};
use crate::machine::memory_free_bytes;
use find::{Visible, Workers, find};

/// Flags of commands in which networks work.
#[derive(Args, Debug)]
#[group(skip)]
pub struct Arguments {
    /// What networks work on: `auto` for an NVIDIA card where one can be used and the processor elsewhere, `cpu`,
    /// `cuda`, or `cuda:1` for the second card.
    ///
    /// `serve` runs a prompt on each of several: with `auto` on every card, with `cuda:0,cuda:2` on these two.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: Devices,
    /// `--device cpu`, as ComfyUI has it.
    #[arg(long, hide = true, conflicts_with_all = ["device", "cuda_device"])]
    cpu: bool,
    /// `--device cuda:N`, as ComfyUI has it.
    #[arg(long, hide = true, alias = "default-device", value_name = "N", conflicts_with = "device")]
    cuda_device: Option<usize>,
    /// Most of a card's memory to take, such as 12GB [default: what is free].
    #[arg(long, value_name = "SIZE")]
    vram_budget: Option<Bytes>,
    /// Blocks of a transformer that stay in the computer's memory and are brought to the card each time they run
    /// [default: those that have no room].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    blocks_to_swap: usize,
}

/// What networks may work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Devices {
    /// Cards where there are any that work, else the processor.
    Auto,
    /// These, at least one, and no card twice.
    Listed(Vec<Device>),
}

/// What the networks of one worker work on.
#[derive(Clone, Debug)]
pub enum Workplace {
    Processor,
    /// A card and its number.
    Card(usize, Arc<Card>),
}

impl Arguments {
    /// What was asked for, opened: for the one worker of a command.
    ///
    /// # Errors
    /// As [`Self::open_all`], and if several were asked for.
    pub fn open_one(&self, warn: &dyn Fn(&str)) -> Result<Workplace, Report> {
        if let Devices::Listed(devices) = self.devices()
            && devices.len() > 1
        {
            let text = devices.iter().map(Device::to_string).collect::<Vec<_>>().join(",");
            return Err(Report::new(format!("--device {text}: this command works on one device"))
                .with_hint("name one of them; `vitascope serve` works on several at once"));
        }
        Ok(self.open(Workers::One, warn)?.pop().unwrap_or(Workplace::Processor))
    }

    /// What was asked for, opened: for each of a command's workers, at least one. `warn` is told why cards that are
    /// there are not used.
    ///
    /// # Errors
    /// If a card was asked for by name that cannot be used.
    pub fn open_all(&self, warn: &dyn Fn(&str)) -> Result<Vec<Workplace>, Report> {
        let workplaces = self.open(Workers::Many, warn)?;
        let cards: Vec<&Arc<Card>> = workplaces.iter().filter_map(Workplace::card).collect();
        let pinned_bytes = memory_free_bytes().map(|free| free / 2 / cards.len().max(1) as u64);
        cards.iter().for_each(|card| card.pool().set_pinned_max(pinned_bytes));
        Ok(workplaces)
    }

    fn open(&self, workers: Workers, warn: &dyn Fn(&str)) -> Result<Vec<Workplace>, Report> {
        let budget_bytes = self.vram_budget.map(|Bytes(bytes)| bytes);
        let open = |index| -> Result<Workplace, Report> {
            let card = cuda::open_card(index, budget_bytes)?;
            // One that is seen and does not answer is none.
            card.machine().free_bytes()?;
            Ok(Workplace::Card(index, card))
        };
        let devices = match self.devices() {
            Devices::Listed(devices) => devices,
            Devices::Auto => {
                let found = find(Visible::of_environment(), || Driver::open(&cuda::search()), workers, open);
                found.warnings().iter().for_each(|warning| warn(warning));
                return Ok(if found.cards.is_empty() { vec![Workplace::Processor] } else { found.cards });
            }
        };
        let open = |device| match device {
            Device::Cpu => Ok(Workplace::Processor),
            Device::Cuda(index) => open(index),
        };
        devices.into_iter().map(open).collect()
    }

    /// What is kept of networks at a workplace. `new` makes it for a bound of memory; `host_bytes` is what the processor
    /// may take.
    ///
    /// # Errors
    /// If the card does not answer.
    pub fn residency(
        &self,
        workplace: &Workplace,
        new: impl FnOnce(Option<u64>) -> Residency,
        host_bytes: Option<u64>,
    ) -> Result<Residency, Report> {
        let Workplace::Card(_, card) = workplace else { return Ok(new(host_bytes)) };
        let [free, all] = [card.machine().free_bytes()?, card.machine().properties().total_bytes].map(bytes_text);
        let budget_bytes = self.vram_budget.map(|Bytes(most)| cuda::pool_budget(most));
        let most = budget_bytes.map(|most| format!(", at most {} of it", bytes_text(most))).unwrap_or_default();
        tracing::info!("networks work on {workplace}, where {free} of {all} are free{most}");
        Ok(new(budget_bytes).on_card(card.clone()).with_blocks_to_swap(self.blocks_to_swap))
    }

    fn devices(&self) -> Devices {
        match self.cuda_device {
            Some(index) => Devices::Listed(vec![Device::Cuda(index)]),
            None if self.cpu => Devices::Listed(vec![Device::Cpu]),
            None => self.device.clone(),
        }
    }
}

impl Workplace {
    /// The card, if it is not the processor.
    pub fn card(&self) -> Option<&Arc<Card>> {
        match self {
            Self::Processor => None,
            Self::Card(_, card) => Some(card),
        }
    }
}

impl fmt::Display for Workplace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processor => f.write_str("the processor"),
            Self::Card(index, card) => write!(f, "cuda:{index} ({})", cuda::card_name(card)),
        }
    }
}

impl FromStr for Devices {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let devices: Result<Vec<Device>, String> = text.split(',').map(str::parse).collect();
        let devices = devices.map_err(
            |_| "a device is `auto`, `cpu`, `cuda`, or `cuda:` and a card's number; `vitascope devices` lists them",
        )?;
        let twice =
            |device: &&Device| **device != Device::Cpu && devices.iter().filter(|other| other == device).count() > 1;
        match devices.iter().find(twice) {
            Some(device) => Err(format!("{device} is named twice")),
            None => Ok(Self::Listed(devices)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names_and_lists() {
        let listed = |devices: &[Device]| Ok(Devices::Listed(devices.to_vec()));
        for (text, want) in [
            ("auto", Ok(Devices::Auto)),
            ("cpu", listed(&[Device::Cpu])),
            ("cuda", listed(&[Device::Cuda(0)])),
            ("cuda:2,cuda:0", listed(&[Device::Cuda(2), Device::Cuda(0)])),
            ("cpu,cpu", listed(&[Device::Cpu, Device::Cpu])),
            ("cuda,cuda:0", Err("cuda:0 is named twice".to_owned())),
        ] {
            assert_eq!(text.parse::<Devices>(), want, "{text}");
        }
        for text in ["", "cuda:0,", "auto,cpu", "cuda:1;cuda:2", "gpu"] {
            assert!(text.parse::<Devices>().unwrap_err().starts_with("a device is "), "{text}");
        }
    }
}
