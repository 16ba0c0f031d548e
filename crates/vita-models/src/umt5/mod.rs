//! UMT5, the text encoder of Wan: token ids to one vector a token.
//!
//! Follows `T5Encoder` of Wan2.1 (`wan/modules/t5.py`) and `UMT5EncoderModel` of transformers; names are
//! Hugging Face's. Activations are `f32` as in ComfyUI, whatever the weights are stored as; the original
//! runs in bf16. Each block has its own table of relative positions, and logits are not divided by
//! `sqrt(head_dim)`.

mod block;
mod config;
mod input;
mod position;

use std::ops::ControlFlow;
use std::sync::Arc;

use vita_ops::{Card, embedding, rms_norm, to_card, to_f32};
use vita_tensor::{DType, Failure, Tensor};
use vita_weights::{Result, Weight, Weights};

use block::{Block, Prompts};
pub use config::Config;
pub use input::InputError;

/// All RMS norms of the network.
const EPSILON: f32 = 1e-6;

/// Blocks whose weights are asked for before they are needed: a prompt's few tokens leave them little time to come.
const AHEAD: usize = 3;

/// The text encoder.
pub struct Umt5 {
    config: Config,
    shared: Weight, // [vocab, C], stays where it is and is looked up by row
    block: Vec<Block>,
    final_layer_norm: Tensor, // [C]
}

impl Umt5 {
    /// Reads the encoder's tensors, in the dtype they have. The table of embeddings is not copied.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn load(weights: &Weights) -> Result<Self> {
        let config = Config::of(&weights.umt5_facts()?);
        let encoder = weights.scope("encoder");
        let load_block = |index| {
            let block = Block::load(&encoder.scope("block").scope(index), &config);
            // Packed now: a large file must not lie in memory twice.
            weights.checkpoint().release_pages();
            block
        };
        Ok(Self {
            shared: weights.weight("shared.weight", &[config.vocab_size, config.dim])?,
            block: (0..config.layers).map(load_block).collect::<Result<_>>()?,
            final_layer_norm: to_f32(&encoder.get("final_layer_norm.weight", &[config.dim])?),
            config,
        })
    }

    /// The same encoder with its weights on a card, in the formats they are stored in; the table of embeddings stays
    /// where it is. What it encodes lies on the card too.
    ///
    /// # Errors
    /// If there is no room, or the card does not answer.
    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self, Failure> {
        let Self { config, shared, block, final_layer_norm } = self;
        Ok(Self {
            config: config.clone(),
            shared: shared.clone(),
            block: block.iter().map(|block| block.to_card(card)).collect::<Result<_, _>>()?,
            final_layer_norm: to_card(card, final_layer_norm).made()?,
        })
    }

    /// Sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of the packed weights; the table of embeddings, which stays in its file, is not among them.
    pub fn size_bytes(&self) -> usize {
        self.block.iter().map(Block::size_bytes).sum()
    }

    /// One vector a token: `[L, C]` for L ids. Padding need not be among them: the network does not see
    /// masked tokens, and what it says of them is replaced by zeros.
    ///
    /// # Errors
    /// Without ids, or with one that the vocabulary does not have.
    pub fn encode(&self, ids: &[u32]) -> Result<Tensor, InputError> {
        match self.encode_all(&[ids], &mut |_| ControlFlow::Continue(()))? {
            ControlFlow::Continue(mut out) => Ok(out.remove(0)),
            ControlFlow::Break(()) => unreachable!("never told to stop"),
        }
    }

    /// Like [`Umt5::encode`] for several prompts at once, which costs little more than one: a few tokens take as long as
    /// the weights take to be read. Says after each block how many are done, and stops there when told to.
    ///
    /// # Errors
    /// Like [`Umt5::encode`].
    pub fn encode_all(
        &self,
        prompts: &[&[u32]],
        watch: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<Tensor>>, InputError> {
        prompts.iter().try_for_each(|ids| self.check(ids))?;
        let lengths: Vec<usize> = prompts.iter().map(|ids| ids.len()).collect();
        let rows = match self.run(&prompts.concat(), &Prompts { lengths: &lengths, key_bias: None }, watch) {
            ControlFlow::Continue(rows) => rows,
            ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
        };
        let mut start = 0;
        let of_prompt = |&length: &usize| {
            start += length;
            to_f32(&rows.narrow(0, start - length, length))
        };
        Ok(ControlFlow::Continue(lengths.iter().map(of_prompt).collect()))
    }

    /// A padded row of a batch, as transformers takes it: `[L, C]`, where rows of masked tokens
    /// (`mask[i] == false`) are zeros and the others are as if those tokens were not there.
    ///
    /// # Errors
    /// Like [`Umt5::encode`], or if there is not one mask value an id.
    pub fn encode_padded(&self, ids: &[u32], mask: &[bool]) -> Result<Tensor, InputError> {
        if mask.len() != ids.len() {
            return Err(InputError::Mask { ids: ids.len(), mask: mask.len() });
        }
        self.check(ids)?;
        let mut out = Tensor::zeros([ids.len(), self.config.dim]);
        // Padding behind (the usual case) is left out; a gap takes part, hidden.
        let Some(last) = mask.iter().rposition(|&shown| shown) else { return Ok(out) };
        let mask = &mask[..=last];
        let hidden: Vec<f32> = mask.iter().map(|&shown| if shown { 0.0 } else { f32::NEG_INFINITY }).collect();
        let key_bias = mask.contains(&false).then_some(&hidden[..]);
        let prompts = Prompts { lengths: &[last + 1], key_bias };
        let ControlFlow::Continue(known) = self.run(&ids[..=last], &prompts, &mut |_| ControlFlow::Continue(())) else {
            unreachable!("never told to stop")
        };
        let rows = known.f32s().chunks_exact(self.config.dim).zip(mask);
        for (to, (row, shown)) in out.f32s_mut().chunks_exact_mut(self.config.dim).zip(rows) {
            if *shown {
                to.copy_from_slice(row);
            }
        }
        Ok(out)
    }

    /// ids: those of all prompts, one after the other, known to be in the vocabulary.
    fn run(
        &self,
        ids: &[u32],
        prompts: &Prompts,
        watch: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> ControlFlow<(), Tensor> {
        let mut x = self.embed(ids);
        let mut ahead = self.block.iter();
        ahead.by_ref().take(AHEAD).for_each(Block::read_ahead);
        for (index, block) in self.block.iter().enumerate() {
            ahead.by_ref().take(1).for_each(Block::read_ahead);
            x = block.forward(x, prompts);
            watch(index + 1)?;
        }
        ControlFlow::Continue(rms_norm(&x, &self.final_layer_norm, EPSILON))
    }

    fn embed(&self, ids: &[u32]) -> Tensor {
        let mut x = embedding(&self.shared.tensor, ids);
        if let Some(scale) = self.shared.scale {
            x.f32s_mut().iter_mut().for_each(|value| *value *= scale);
        }
        x
    }

    fn check(&self, ids: &[u32]) -> Result<(), InputError> {
        if ids.is_empty() {
            return Err(InputError::Empty);
        }
        let vocab_size = self.config.vocab_size;
        match ids.iter().position(|&id| id as usize >= vocab_size) {
            Some(index) => Err(InputError::Id { id: ids[index], index, vocab_size }),
            None => Ok(()),
        }
    }
}

/// Bytes of activations at the largest moment of an encode of so many tokens; weights are not among them.
pub fn peak_bytes(config: &Config, tokens: usize) -> usize {
    let inner = config.heads * config.head_dim;
    let bias = config.heads * (2 * tokens - tokens.min(1));
    let attention = tokens * (3 * config.dim + 4 * inner) + bias;
    let mlp = tokens * (2 * config.dim + 2 * config.ffn_dim);
    attention.max(mlp) * DType::F32.size_bytes()
}

/// Floating-point operations of an encode of so many tokens: two for each multiplication of the products.
pub fn flops(config: &Config, tokens: usize) -> f64 {
    let inner = config.heads * config.head_dim;
    let weights = 4 * config.dim * inner + 3 * config.dim * config.ffn_dim;
    let attention = 2 * tokens * inner;
    2.0 * (config.layers * tokens) as f64 * (weights + attention) as f64
}
