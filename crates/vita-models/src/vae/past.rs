//! What a clip's earlier frames leave behind for the next piece of it.

use vita_tensor::Tensor;

use super::frames::tail;

/// The last input frames of each convolution that looks back in time: one slot each.
pub struct Past {
    slots: Vec<Option<Tensor>>,
    /// Whether the piece at hand is the clip's last one at this stage: nothing is kept any more.
    pub ends: bool,
}

/// Hands out slots while a network is loaded.
#[derive(Clone, Default)]
pub struct Slots {
    count: usize,
}

/// The place of one convolution.
#[derive(Clone, Copy, Debug)]
pub struct Slot(usize);

impl Slots {
    /// One more slot.
    pub fn next(&mut self) -> Slot {
        self.count += 1;
        Slot(self.count - 1)
    }

    /// The state before a clip's first frame.
    pub fn past(&self) -> Past {
        Past { slots: vec![None; self.count], ends: false }
    }
}

impl Past {
    /// What is remembered, no longer remembered: `None` before the clip's first frame.
    pub fn take(&mut self, slot: Slot) -> Option<Tensor> {
        self.slots[slot.0].take()
    }

    /// Remembers the last `count` frames of `before` and `x` together, or all if there are fewer.
    pub fn keep(&mut self, slot: Slot, before: Option<Tensor>, x: &Tensor, count: usize) {
        if !self.ends {
            self.slots[slot.0] = Some(tail(before, x, count));
        }
    }
}
