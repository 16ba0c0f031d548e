//! A card as a network uses it: its memory, and which of several ways a product or an attention goes.

use std::fmt;
use std::sync::{Arc, Once};

use crate::cublaslt::{CublasLt, Product, Scale};
use crate::cudnn::Chooser;
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::memory::{Pool, Slice};
use crate::ops::{
    self, Attention, Float, Format, Function, Linear, Mode, Rows, linear, linear_e4m3, quantise_rows, quantise_tensor,
    widen,
};

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

    /// [`ops::attention_in`]; of 16 bits by whichever was chosen.
    ///
    /// # Panics
    /// If the shapes or types do not fit, or there are no keys.
    ///
    /// # Errors
    /// If the card has no room for the mode's scratch, or does not answer.
    pub fn attention(&self, mode: Mode, call: Attention) -> Result<()> {
        match &self.attention {
            Some(chooser) if mode == Mode::Bf16 => chooser.attention(call),
            _ => ops::attention_in(&self.pool, mode, call).map(drop),
        }
    }

    /// Why the card answers nothing any more, if so: asks it. A card that failed once in this way answers no later
    /// call of this process either.
    pub fn lost(&self) -> Option<Error> {
        self.machine().synchronize().err().filter(Error::is_device_lost)
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

    /// [`Self::linear`] with x rounded to e4m3, where the weight is of e4m3 and the card multiplies such; else as that.
    /// `weight_scale`: `call.scale` once for each column, `[N]` of f32.
    ///
    /// Micikevicius et al., "FP8 Formats for Deep Learning" (arXiv 2209.05433): x is divided by a scale that takes its
    /// largest value to 448, each row by its own where that is possible.
    ///
    /// # Panics
    /// If the shapes or types do not fit.
    ///
    /// # Errors
    /// If there is no room for x in 8 bits, or the card does not answer.
    pub fn linear_e4m3(&self, call: Linear, bias: Option<Bias>, weight_scale: Slice) -> Result<()> {
        if !self.multiplies_e4m3(&call) {
            return self.linear(call, bias);
        }
        let (x, machine) = (call.x, self.machine());
        let codes = self.pool.allocate((x.rows * x.width) as u64)?;
        let codes = Rows::new(codes.slice(), Float::E4m3, x.rows, x.width);
        let scales = self.pool.allocate(4 * x.rows.max(2) as u64)?;
        let scales = scales.slice();
        for by_row in [true, false] {
            let Some(blas) = self.blas.as_ref().filter(|_| library_knows(&call)) else { break };
            if by_row && !machine.properties().arch.has_wgmma() {
                continue;
            }
            let (x_scale, weight_scale) = if by_row {
                quantise_rows(machine, x, codes, scales)?;
                (Scale::Rows(scales), Scale::Rows(weight_scale))
            } else {
                quantise_tensor(machine, x, codes, scales.part(0, 4), scales.part(4, 4))?;
                (Scale::Tensor(scales.part(0, 4)), Scale::Tensor(weight_scale.part(0, 4)))
            };
            // The function in the same go, or after it.
            for function in [call.function, None] {
                let done = blas.product(Product {
                    x: codes,
                    x_scale,
                    weight: Rows::new(call.weight.data, Float::E4m3, call.weight.columns, call.weight.depth),
                    weight_scale,
                    bias: bias.map(|bias| bias.narrow),
                    function,
                    y: call.y,
                    // What they lose is far less than what rounding x did.
                    fast_sums: true,
                });
                match (done, call.function) {
                    (Err(error @ Error::Library { .. }), _) => {
                        static SAID: Once = Once::new();
                        SAID.call_once(|| tracing::info!("products of 8 bits go another way: {error}"));
                    }
                    (Ok(()), Some(left)) if function.is_none() => {
                        return ops::activation(machine, left, call.y, call.y);
                    }
                    (done, _) => return done,
                }
            }
        }
        quantise_rows(machine, x, codes, scales)?;
        linear_e4m3(machine, Linear { x: codes, bias: bias.map(|bias| bias.wide), ..call }, scales)
    }

    fn multiplies_e4m3(&self, call: &Linear) -> bool {
        let weight = &call.weight;
        self.machine().properties().arch.has_fp8()
            && weight.format == Format::Plain(Float::E4m3)
            && weight.depth.is_multiple_of(16)
            && weight.columns.is_multiple_of(16)
            && weight.depth <= ops::QUANTISED_WIDTH_MAX
            && call.x.rows > 0
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
