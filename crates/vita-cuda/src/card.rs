//! A card as a network uses it: its memory, and which of several ways a product or an attention goes.

use std::fmt;
use std::sync::Arc;

use crate::cublaslt::{CublasLt, Product, Scale};
use crate::cudnn::Chooser;
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::memory::{Pool, Slice};
use crate::ops::{self, Attention, Float, Format, Function, Linear, Rows, linear, widen};

/// Rows from which on it pays to widen a weight to memory and have the library multiply by it. Only the matrix units of
/// Hopper and later are that much faster in the library's hands than in those of our own kernel.
const ROWS_WORTH_WIDENING: usize = 512;

/// A card with all that ops need of it.
pub struct Card {
    pool: Pool,
    blas: Option<CublasLt>,
    attention: Option<Chooser>,
}

/// A bias in both of the types that a product may want.
#[derive(Clone, Copy)]
pub struct Bias<'a> {
    /// `[N]` of f32.
    pub wide: Slice<'a>,
    /// `[N]` of bf16.
    pub narrow: Slice<'a>,
}

impl Card {
    /// Without `blas`, all products are our own kernel's; attention is our own kernels'.
    pub fn new(pool: Pool, blas: Option<CublasLt>) -> Arc<Self> {
        Arc::new(Self { pool, blas, attention: None })
    }

    /// As [`Self::new`], with attention by whom it is chosen.
    pub fn with_attention(pool: Pool, blas: Option<CublasLt>, attention: Chooser) -> Arc<Self> {
        Arc::new(Self { pool, blas, attention: Some(attention) })
    }

    /// Its memory.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The card itself.
    pub fn machine(&self) -> &dyn Machine {
        &**self.pool.machine()
    }

    /// [`ops::attention()`], by whichever was chosen.
    ///
    /// # Panics
    /// If the shapes or types do not fit, or there are no keys.
    ///
    /// # Errors
    /// If the card does not answer.
    pub fn attention(&self, call: Attention) -> Result<()> {
        match &self.attention {
            Some(chooser) => chooser.attention(call),
            None => ops::attention(self.machine(), call),
        }
    }

    /// [`linear`], by whichever is fastest here; `call.bias` is set from `bias`.
    ///
    /// # Panics
    /// If the shapes or types do not fit.
    ///
    /// # Errors
    /// If there is no room for a widened weight, or the card does not answer.
    pub fn linear(&self, call: Linear, bias: Option<Bias>) -> Result<()> {
        let ours = || linear(self.machine(), Linear { bias: bias.map(|bias| bias.wide), ..call });
        let Some(blas) = self.blas.as_ref().filter(|_| library_knows(&call)) else { return ours() };
        let weight = call.weight;
        let product = |rows: Rows| {
            blas.product(Product {
                x: call.x,
                x_scale: Scale::None,
                weight: rows,
                weight_scale: Scale::None,
                bias: bias.map(|bias| bias.narrow),
                function: call.function,
                y: call.y,
                fast_sums: false,
            })
        };
        let done = if weight.format == Format::Plain(Float::Bf16) && call.scale == 1.0 {
            product(Rows::new(weight.data, Float::Bf16, weight.columns, weight.depth))
        } else if call.x.rows >= ROWS_WORTH_WIDENING && self.machine().properties().arch.has_wgmma() {
            let wide = self.pool.allocate((weight.columns * weight.depth) as u64 * Float::Bf16.bytes())?;
            let rows = Rows::new(wide.slice(), Float::Bf16, weight.columns, weight.depth);
            widen(self.machine(), weight.data, weight.format, rows, call.scale)?;
            product(rows)
        } else {
            return ours();
        };
        match done {
            // It has no way for this shape: ours has for all.
            Err(Error::Library { .. }) => ours(),
            other => other,
        }
    }
}

fn library_knows(call: &Linear) -> bool {
    call.x.float == Float::Bf16
        && call.y.float == Float::Bf16
        && matches!(call.function, None | Some(Function::GeluTanh))
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.machine().properties().name)
    }
}
