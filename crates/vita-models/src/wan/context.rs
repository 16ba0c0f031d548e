//! A prompt as the blocks see it: their cross-attention's keys and values, computed once a job.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use vita_ops::to_f32;
use vita_tensor::Tensor;

use super::attention::{AllKeys, CrossAttention, CrossKeys};
use super::{Config, Error, Result};

/// A prompt's embedding. The rows of zeros that pad it to 512 tokens are not masked: they take part in the
/// attention, all with the same key, so they are counted here instead of kept.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Rows of the prompt, then one of zeros if there is padding: `[S, text_dim]`.
    rows: Tensor,
    zero_count: usize,
}

impl Prompt {
    /// rows: `[n, text_dim]`, followed by `zero_count` rows of zeros ([`Config::TEXT_LEN`]` - n`, if that is
    /// not negative).
    ///
    /// # Errors
    /// If there is no row at all, or rows has not two axes.
    pub fn new(rows: &Tensor, zero_count: usize) -> Result<Self> {
        let &[count, width] = &*rows.dims() else {
            return Err(Error::Prompt { found: rows.dims(), text_dim: Config::t2v_14b().text_dim });
        };
        if count + zero_count == 0 {
            return Err(Error::PromptEmpty);
        }
        if zero_count == 0 {
            return Ok(Self { rows: to_f32(rows), zero_count });
        }
        let mut padded = Tensor::zeros([count + 1, width]);
        padded.f32s_mut()[..count * width].copy_from_slice(to_f32(rows).f32s());
        Ok(Self { rows: padded, zero_count })
    }

    /// padded: `[S, text_dim]`; the rows of nothing but zeros at its end are counted.
    ///
    /// # Errors
    /// If there is no row, or padded has not two axes.
    pub fn from_padded(padded: &Tensor) -> Result<Self> {
        let &[count, width] = &*padded.dims() else { return Self::new(padded, 0) };
        let values = to_f32(padded);
        let is_zero = |row: &usize| values.f32s()[row * width..][..width].iter().all(|&value| value == 0.0);
        let zero_count = (0..count).rev().take_while(is_zero).count();
        Self::new(&values.narrow(0, 0, count - zero_count), zero_count)
    }

    /// Keys that the prompt takes, [`super::Workload::text_keys`].
    pub fn key_count(&self) -> usize {
        self.rows.dims()[0]
    }

    /// `[key_count, text_dim]`
    pub(super) fn rows(&self) -> &Tensor {
        &self.rows
    }

    /// What is added to each key's logit: the logarithm of how many equal keys it stands for.
    pub(super) fn key_bias(&self) -> Option<Vec<f32>> {
        (self.zero_count > 1).then(|| {
            let mut bias = vec![0.0; self.key_count()];
            bias[self.key_count() - 1] = (self.zero_count as f64).ln() as f32;
            bias
        })
    }
}

/// A prompt, and an image, embedded for one model. The keys and values of a block are computed when it first runs, those
/// of all prompts of the job together: its weights are then read once, and lie where the block's others do.
pub struct Context {
    pub(super) job: Arc<JobContext>,
    /// Of the job's texts.
    pub(super) rows: Range<usize>,
    /// Logarithm of how many equal keys each key stands for.
    pub(super) text_bias: Option<Arc<[f32]>>,
    /// Which of the job's images.
    pub(super) image: Option<usize>,
}

/// What the contexts of a job share.
pub(super) struct JobContext {
    /// `[S, C]`: the rows of all prompts.
    text: Tensor,
    /// `[257 or 514, C]` each.
    images: Vec<Tensor>,
    /// By block, once it ran.
    blocks: Vec<OnceLock<AllKeys>>,
}

impl JobContext {
    pub fn new(text: Tensor, images: Vec<Tensor>, block_count: usize) -> Self {
        Self { text, images, blocks: std::iter::repeat_with(OnceLock::new).take(block_count).collect() }
    }
}

impl Context {
    /// Keys of the text, and of the image.
    pub fn key_counts(&self) -> [usize; 2] {
        [self.rows.len(), self.image.map_or(0, |index| self.job.images[index].dims()[0])]
    }

    /// Whether it was made for a network of so many blocks, that wide.
    pub(super) fn is_of(&self, block_count: usize, dim: usize) -> bool {
        self.job.blocks.len() == block_count && self.job.text.dims()[1] == dim
    }

    /// Whether the keys of a block are known.
    pub(super) fn has_keys(&self, index: usize) -> bool {
        self.job.blocks[index].get().is_some()
    }

    /// Keys and values in a block, whose layers are given.
    pub(super) fn keys(&self, index: usize, layers: &CrossAttention) -> CrossKeys {
        let Self { job, rows, text_bias, image } = self;
        let of = |all: &AllKeys| all.of(rows.clone(), text_bias.clone(), *image);
        if let Some(known) = job.blocks[index].get() {
            return of(known);
        }
        let all = layers.keys(&job.text, &job.images);
        match all.is_made() {
            true => of(job.blocks[index].get_or_init(|| all)),
            // The block that they are given to fails as they did, and is run again where there is room for it then.
            false => of(&all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_counted_once() {
        let rows = |count: usize, zeros: usize| {
            let mut values: Vec<f32> = (0..count * 3).map(|i| (i % 3) as f32).collect();
            values.resize((count + zeros) * 3, 0.0);
            Tensor::from_vec(values, [count + zeros, 3])
        };
        for (count, zeros, keys, bias) in [
            (2, 0, 2, None),
            (2, 1, 3, None),
            (2, 3, 3, Some(vec![0.0, 0.0, 3f32.ln()])),
            (0, 512, 1, Some(vec![512f32.ln()])),
        ] {
            for prompt in [Prompt::from_padded(&rows(count, zeros)), Prompt::new(&rows(count, 0), zeros)] {
                let prompt = prompt.unwrap();
                assert_eq!((prompt.key_count(), prompt.key_bias()), (keys, bias.clone()), "{count} + {zeros}");
                assert_eq!(prompt.rows().narrow(0, 0, count).to_vec(), rows(count, 0).to_vec());
            }
        }
        // Zeros inside are rows like any other.
        let inside = Tensor::from_vec(vec![0.0, 0.0, 1.0], [3, 1]);
        assert_eq!(Prompt::from_padded(&inside).unwrap().key_count(), 3);
    }

    #[test]
    fn what_is_no_embedding_is_refused() {
        let text = |prompt: Result<Prompt>| prompt.unwrap_err().to_string();
        assert_eq!(text(Prompt::new(&Tensor::zeros([0, 4]), 0)), "the prompt's embedding has no tokens");
        let want = "the prompt's embedding is [1, 2, 4], expected [tokens, 4096]";
        assert_eq!(text(Prompt::from_padded(&Tensor::zeros([1, 2, 4]))), want);
    }
}
