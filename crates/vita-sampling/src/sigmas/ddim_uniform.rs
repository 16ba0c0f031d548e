//! `ddim_uniform`: the table in whole strides from its second place on. The number of levels is what the
//! stride gives, often one more than was asked for.

use super::ending_in_zero;
use crate::Flow;

pub fn levels(flow: &Flow, steps: usize) -> Vec<f32> {
    let stride = (Flow::TABLE_LEN / steps).max(1);
    let places: Vec<usize> = (1..Flow::TABLE_LEN).step_by(stride).collect();
    ending_in_zero(places.into_iter().rev().map(|place| flow.table(place)))
}
