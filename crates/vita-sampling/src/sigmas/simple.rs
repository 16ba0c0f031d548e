//! `simple`: evenly spaced places of the table.

use super::ending_in_zero;
use crate::Flow;

pub fn levels(flow: &Flow, steps: usize) -> Vec<f32> {
    let stride = Flow::TABLE_LEN as f64 / steps as f64;
    ending_in_zero((0..steps).map(|i| {
        let back = (i as f64 * stride) as usize;
        // Beyond a thousand steps, places repeat.
        flow.table(Flow::TABLE_LEN - 1 - back.min(Flow::TABLE_LEN - 1))
    }))
}
