//! A Brownian path over noise levels that can be asked about any interval, in any order: torchsde's
//! `BrownianTree` with its defaults in ComfyUI (tolerance 1e-6, pool 24, split at half way).

use vita_tensor::{Dims, Tensor};

use super::Generator;
use super::seed_sequence::first_state;
use crate::arithmetic::combine;

/// Splits deeper than this would be narrower than the six digits that times have.
const DEPTH_MAX: u64 = 40;

/// The path, from the least to the highest level of a schedule.
pub struct BrownianTree {
    entropy: u64,
    start: f64,
    end: f64,
    /// What the path gains over the whole of it.
    whole: Tensor,
}

/// A node of the tree: an interval and what the path gains over it.
struct Node {
    start: f64,
    end: f64,
    gain: Tensor,
    key: u64,
    depth: u64,
}

impl BrownianTree {
    /// A path of latents of a shape, from `sigma_min` to `sigma_max`.
    pub fn new(seed: u64, dims: Dims, sigma_min: f32, sigma_max: f32) -> Self {
        let (start, end) = (rounded(sigma_min.into()), rounded(sigma_max.into()));
        let noise = Generator::new(first_state(seed, &[]).into()).randn(dims);
        Self { entropy: seed, start, end, whole: combine([((end - start).sqrt(), &noise)]) }
    }

    /// Noise of unit variance for a step from one level down to another.
    pub fn noise(&self, from: f32, to: f32) -> Tensor {
        let sign = if from > to { -1.0 } else { 1.0 };
        let (low, high) = (f64::from(from.min(to)), f64::from(from.max(to)));
        let root = Node { start: self.start, end: self.end, gain: self.whole.clone(), key: 0, depth: 0 };
        let mut sum = None;
        self.add_gains(root, rounded(low).max(self.start), rounded(high).min(self.end), &mut sum);
        match sum {
            Some(gain) => combine([(sign / (high - low).sqrt(), &gain)]),
            None => Tensor::zeros(self.whole.dims()),
        }
    }

    /// Adds up the gains of the nodes that make up `low..high`, split as far as that takes. A latent may be
    /// large and the tree twenty levels deep, so what is no longer needed is dropped before going down.
    fn add_gains(&self, node: Node, low: f64, high: f64, sum: &mut Option<Tensor>) {
        if low >= high || high <= node.start || low >= node.end {
            return;
        }
        let whole = low <= node.start && node.end <= high;
        let middle = rounded(0.5 * (node.start + node.end));
        if whole || node.depth == DEPTH_MAX || middle <= node.start || middle >= node.end {
            *sum = Some(match sum.take() {
                Some(sum) => combine([(1.0, &sum), (1.0, &node.gain)]),
                None => node.gain,
            });
            return;
        }
        let [left, right] = self.split(node, middle, high);
        // A child that lies wholly inside goes first: it is added up and gone before the other goes deeper.
        let right_first = right.as_ref().is_some_and(|right| right.end <= high && middle >= low);
        let children = if right_first { [right, left] } else { [left, right] };
        children.into_iter().flatten().for_each(|child| self.add_gains(child, low, high, sum));
    }

    /// Both halves of a node; no right one where nothing below `high` is in it.
    fn split(&self, node: Node, middle: f64, high: f64) -> [Option<Node>; 2] {
        let left_gain = self.left_gain(&node, middle);
        let Node { start, end, gain, key, depth } = node;
        let right = (high > middle).then(|| {
            let gain = combine([(1.0, &gain), (-1.0, &left_gain)]);
            Node { start: middle, end, gain, key: 2 * key + 1, depth: depth + 1 }
        });
        let left = Node { start, end: middle, gain: left_gain, key: 2 * key, depth: depth + 1 };
        [Some(left), right]
    }

    /// The Brownian bridge: given the gain over a node, the gain of its left part is normal.
    fn left_gain(&self, node: &Node, middle: f64) -> Tensor {
        let seed = first_state(self.entropy, &[node.key, node.depth]);
        let noise = Generator::new(seed.into()).randn(node.gain.dims());
        let (left, right) = (middle - node.start, node.end - middle);
        let share = left / (left + right);
        let spread = (left * right / (left + right)).sqrt();
        combine([(share, &node.gain), (spread, &noise)])
    }
}

/// To six decimals, as Python's `round`: the nearest decimal of the exact binary value.
fn rounded(time: f64) -> f64 {
    format!("{time:.6}").parse().unwrap_or(time)
}
