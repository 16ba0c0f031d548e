//! Random numbers: the same bits as PyTorch draws on a CPU, so that a seed names the same video.

mod brownian;
mod mersenne;
mod normal;
mod seed_sequence;

use vita_tensor::{Dims, Tensor};

pub use brownian::BrownianTree;
use mersenne::Mersenne;
use normal::{BLOCK, normals_of_uniforms};

/// PyTorch's generator for processors (`torch.Generator("cpu")`), bit for bit.
///
/// What it draws depends on the order and the sizes of the draws, as there: two draws do not give
/// what one of both lengths gives. Matches PyTorch 2.15 on x86-64 with AVX2 or AVX-512 (its build
/// without FMA differs by up to 2e-6), on every processor.
#[derive(Clone)]
pub struct Generator {
    words: Mersenne,
    /// The second of a pair of normals drawn one by one.
    spare: Option<f64>,
}

impl Generator {
    /// As `manual_seed`: the low 32 bits of the seed decide.
    pub fn new(seed: u64) -> Self {
        Self { words: Mersenne::new(seed as u32), spare: None }
    }

    /// `torch.randn` of `f32`.
    pub fn randn(&mut self, dims: impl Into<Dims>) -> Tensor {
        let mut noise = Tensor::scratch(dims);
        self.fill_normal(noise.f32s_mut());
        noise
    }

    /// `torch.rand` of `f32`: 24 bits each, in 0..1.
    pub fn rand(&mut self, dims: impl Into<Dims>) -> Tensor {
        let mut noise = Tensor::scratch(dims);
        self.fill_uniform(noise.f32s_mut());
        noise
    }

    /// `torch.randperm`.
    pub fn randperm(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for i in 0..count.saturating_sub(1) {
            order.swap(i, i + self.words.next_word() as usize % (count - i));
        }
        order
    }

    fn fill_uniform(&mut self, values: &mut [f32]) {
        const STEP: f32 = 1.0 / (1 << 24) as f32;
        self.words.fill(values, |word| (word & 0xff_ffff) as f32 * STEP);
    }

    fn fill_normal(&mut self, values: &mut [f32]) {
        if values.len() < BLOCK {
            return values.iter_mut().for_each(|value| *value = self.normal() as f32);
        }
        self.fill_uniform(values);
        let whole = values.len() / BLOCK * BLOCK;
        normals_of_uniforms(&mut values[..whole]);
        if whole < values.len() {
            // The last sixteen are drawn anew, over the end of the last whole block.
            let last = values.len() - BLOCK;
            self.fill_uniform(&mut values[last..]);
            normals_of_uniforms(&mut values[last..]);
        }
    }

    /// One normal number, two at a time, as PyTorch draws fewer than sixteen.
    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let (angle, radius) = (self.uniform_f64(), self.uniform_f64());
        let radius = (-2.0 * (-radius).ln_1p()).sqrt();
        let angle = std::f64::consts::TAU * angle;
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }

    fn uniform_f64(&mut self) -> f64 {
        let (high, low) = (u64::from(self.words.next_word()), u64::from(self.words.next_word()));
        ((high << 32 | low) & ((1 << 53) - 1)) as f64 / (1u64 << 53) as f64
    }
}
