//! One network: which of its blocks stay on the card.

/// Sizes of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Weights of each block, in the order they run.
    pub block_bytes: Vec<u64>,
    /// All other weights; they stay as long as it works.
    pub other_bytes: u64,
    /// Activations at its hungriest moment.
    pub work_bytes: u64,
}

/// Where a network's blocks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Blocks that stream: the last ones, so that the first are there while the stream starts.
    pub streamed_blocks: usize,
    /// What it takes of the card while it works, activations and the streams' room included.
    pub card_bytes: u64,
}

impl Network {
    /// The least it can work with: every block streams.
    pub fn least_bytes(&self) -> u64 {
        self.card_bytes(self.block_bytes.len())
    }

    /// As many blocks on the card as fit, at least `swapped` of them streaming; `None` if even all streaming does not
    /// fit.
    pub fn place(&self, usable_bytes: u64, swapped: usize) -> Option<Placement> {
        let count = self.block_bytes.len();
        let mut placements = (swapped.min(count)..=count)
            .map(|streamed| Placement { streamed_blocks: streamed, card_bytes: self.card_bytes(streamed) });
        placements.find(|placement| placement.card_bytes <= usable_bytes)
    }

    /// What it takes of the card with so many blocks streaming.
    fn card_bytes(&self, streamed: usize) -> u64 {
        let (resident, streaming) = self.block_bytes.split_at(self.block_bytes.len() - streamed);
        // One computes while the next arrives.
        let largest = streaming.iter().max().copied().unwrap_or(0);
        let room = largest * streaming.len().min(2) as u64;
        self.work_bytes + self.other_bytes + resident.iter().sum::<u64>() + room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_stay_as_long_as_there_is_room() {
        let network = Network { block_bytes: vec![10, 10, 10, 20], other_bytes: 5, work_bytes: 7 };
        for (usable, swapped, want) in [
            (62, 0, Some((0, 62))),
            // One block alone needs no second room, so streaming one saves nothing.
            (61, 0, Some((4, 52))),
            (52, 0, Some((4, 52))),
            (51, 0, None),
            (100, 1, Some((1, 62))),
            (100, 9, Some((4, 52))),
        ] {
            let got = network.place(usable, swapped).map(|placement| (placement.streamed_blocks, placement.card_bytes));
            assert_eq!(got, want, "{usable} {swapped}");
        }
        assert_eq!(network.least_bytes(), 52);
    }

    #[test]
    fn a_block_less_is_a_block_less_of_the_card() {
        let network = Network { block_bytes: vec![10; 40], other_bytes: 0, work_bytes: 0 };
        let streamed = |usable| network.place(usable, 0).map(|placement| placement.streamed_blocks);
        assert_eq!([400, 399, 390, 380, 20, 19].map(streamed), [Some(0), Some(3), Some(3), Some(4), Some(40), None]);
    }
}
