//! What a forward pass takes, before it is run: operations and memory.

use super::layout::{largest_part, rope_bytes, token_grid};
use super::{Config, LayoutOptions};

/// The sizes that a pass depends on.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Frames, rows and columns of the latent.
    pub latent: [usize; 3],
    /// Keys of the prompt: its tokens, and one for all padding. See [`super::Prompt::key_count`].
    pub text_keys: usize,
    /// Keys of the image: 257 for each; 0 without.
    pub image_keys: usize,
}

impl Config {
    /// Floating-point operations of [`super::Wan::forward`]: two for each product of a linear layer
    /// (`2 M N K`) and of the attentions (`4 L S C`). The context's keys and values are not in it.
    pub fn flops(&self, workload: &Workload) -> f64 {
        let tokens = token_grid(workload.latent).iter().product::<usize>() as f64;
        let [dim, ffn_dim, freq_dim] = [self.dim, self.ffn_dim, self.freq_dim].map(|size| size as f64);
        let patch = Self::PATCH.iter().product::<usize>();
        let patches = (patch * (self.in_dim + self.out_dim)) as f64 * dim * tokens;
        let time = freq_dim * dim + 7.0 * dim * dim;
        let keys = tokens + (workload.text_keys + workload.image_keys) as f64;
        let block = 2.0 * tokens * (6.0 * dim * dim + 2.0 * dim * ffn_dim) + 4.0 * tokens * keys * dim;
        2.0 * (patches + time) + self.layers as f64 * block
    }

    /// The most bytes of tensors that [`super::Wan::forward`] holds at once, without its input and the context,
    /// but with the table of positions.
    pub fn activation_bytes(&self, workload: &Workload, options: LayoutOptions) -> usize {
        let grid = token_grid(workload.latent);
        let tokens: usize = grid.iter().product();
        let part = largest_part(self, grid, options);
        let (whole, rows, hidden) = (tokens * self.dim, part * self.dim, part * self.ffn_dim);
        let patches = |channels: usize| tokens * channels * Self::PATCH.iter().product::<usize>();
        let most = if part == tokens {
            // x, then: q, k, v, the attention's result and its projection; or the hidden values and their projection.
            (6 * whole).max(2 * whole + hidden)
        } else {
            // x with q, k and v, and a part's: normalised rows, v, k before and after its norm; or x with a part's
            // rows, the hidden values and their projection.
            (4 * whole + 4 * rows).max(whole + 2 * rows + hidden)
        };
        // Both ends: patches with a copy of them, and x; x, its norm and the patches.
        let most = most.max(2 * patches(self.in_dim) + whole).max(2 * whole + patches(self.out_dim));
        // Shifts, scales and gates of the timestep and of a block, for each latent frame.
        let modulation = 13 * grid[0] * self.dim;
        (most + modulation) * size_of::<f32>() + rope_bytes(tokens)
    }

    /// Bytes of a job's [`super::Context`]s: what is embedded, and keys and values in every block once it ran.
    pub fn context_bytes(&self, text_keys: usize, image_keys: usize) -> usize {
        (1 + 2 * self.layers) * (text_keys + image_keys) * self.dim * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wan::HIDDEN_BYTES_MAX;

    #[test]
    fn a_real_job() {
        // 480p, 81 frames, a prompt of 100 tokens. Worked out by hand from the formulas of the model.
        let workload = Workload { latent: [21, 60, 104], text_keys: 101, image_keys: 0 };
        let (l, c, f) = (32_760u64, 5120u64, 13_824u64);
        let blocks = 40 * (12 * l * c * c + 4 * l * c * f + 4 * l * l * c + 4 * l * 101 * c);
        let ends = 2 * (l * c * (64 + 64) + 256 * c + c * c + 6 * c * c);
        assert_eq!(Config::t2v_14b().flops(&workload), (blocks + ends) as f64);

        let options = LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX };
        let gigabytes = Config::t2v_14b().activation_bytes(&workload, options) as f64 / 1e9;
        // Four buffers of 671 MB, four parts of a seventh, and small things.
        assert!((3.0..3.2).contains(&gigabytes), "{gigabytes}");
        assert_eq!(Config::t2v_14b().context_bytes(101, 0), (1 + 2 * 40) * 101 * 5120 * 4);
    }
}
