//! A linear layer on a card: its weight there, in the format it is stored in.

use std::sync::Arc;

use vita_cuda::memory::Buffer;
use vita_cuda::ops::{Float, Format, GatedAdd, Linear as Call, Rows, Weight as Stored, gated_add};
use vita_cuda::{Bias as BiasSlices, Card};
use vita_tensor::{DType, Failure, Tensor};

use crate::Activation;
use crate::activation::function;
use crate::card::{Operand, contiguous, empty, failed, format, narrowed, whole_rows};
use crate::copies::{cut, padded};
use crate::gemm::Packed;
use crate::upload::{Arrived, Place, Upload};

/// Rows up to which f32 operands are multiplied as two bf16 terms each: timesteps and prompts, whose errors every
/// token would share.
const ROWS_OF_TWO_TERMS: usize = 1024;

/// Weight, bias and changes on a card.
#[derive(Clone)]
pub struct OnCard {
    card: Arc<Card>,
    weight: Weight,
    scale: f32,
    /// The scale once for each column, where x is rounded to 8 bits as the weight is.
    scale_of_columns: Option<Arc<Buffer>>,
    bias: Option<Bias>,
    deltas: Vec<Delta>,
    /// Its width before the weight was filled up.
    out_features: usize,
}

#[derive(Clone)]
pub enum Delta {
    LowRank { down: Weight, up: Weight, factor: f32 },
    Dense(Weight),
}

/// `[N, K]`
#[derive(Clone)]
pub struct Weight {
    data: Place,
    format: Format,
    columns: usize,
    depth: usize,
}

#[derive(Clone)]
struct Bias {
    wide: Arc<Buffer>,
    narrow: Arc<Buffer>,
}

impl Weight {
    /// f32 becomes bf16, which is what it is multiplied as; all else stays as it is stored.
    pub fn new<'a>(upload: &mut Upload<'a>, packed: &'a Packed) -> Result<Self, Failure> {
        let (columns, depth) = (packed.rows, packed.columns);
        if !columns.is_multiple_of(2) || !depth.is_multiple_of(8) {
            let what = format!("a layer of {depth} to {columns} features");
            let on = upload.card().machine().properties().name.clone();
            return Err(Failure::new(vita_cuda::Error::Unsupported { what, on }));
        }
        let (dtype, bytes) = packed.stored();
        Ok(match dtype {
            DType::F32 => {
                let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
                let data = upload.weight(narrowed(&values).into())?;
                Self { data, format: format(DType::BF16), columns, depth }
            }
            dtype => Self { data: upload.weight(bytes)?, format: format(dtype), columns, depth },
        })
    }

    /// Filled up with zeros to widths that products take, where it is of plain numbers.
    pub fn filled<'a>(upload: &mut Upload<'a>, packed: &'a Packed) -> Result<Self, Failure> {
        Self::filled_to(upload, packed, packed.rows.next_multiple_of(8), packed.columns.next_multiple_of(8))
    }

    /// Filled up with zeros to `[columns, depth]`, where it is of plain numbers.
    pub fn filled_to<'a>(
        upload: &mut Upload<'a>,
        packed: &'a Packed,
        columns: usize,
        depth: usize,
    ) -> Result<Self, Failure> {
        let (dtype, bytes) = packed.stored();
        if [columns, depth] == [packed.rows, packed.columns] || DType::QUANTISED.contains(&dtype) {
            return Self::new(upload, packed);
        }
        let stored = Tensor::from_bytes(bytes.into_owned().into(), dtype, &[packed.rows, packed.columns]);
        let stored = crate::to_f32(&stored.expect("as many bytes as values"));
        let mut values = vec![0.0; columns * depth];
        for (to, from) in values.chunks_exact_mut(depth).zip(stored.f32s().chunks_exact(packed.columns)) {
            to[..from.len()].copy_from_slice(from);
        }
        let data = upload.weight(narrowed(&values).into())?;
        Ok(Self { data, format: format(DType::BF16), columns, depth })
    }

    /// Results and inputs, with what it was filled up by.
    pub fn sizes(&self) -> [usize; 2] {
        [self.columns, self.depth]
    }

    fn call(&self) -> Stored<'_> {
        Stored { data: self.data.slice(), format: self.format, columns: self.columns, depth: self.depth }
    }

    fn with_weights(&self, arrived: &Arrived) -> Self {
        Self { data: self.data.in_buffer(arrived), ..*self }
    }
}

impl Bias {
    fn new(card: &Card, bias: &[f32]) -> Result<Self, Failure> {
        let upload = |bytes: &[u8]| card.pool().upload(bytes).map(Arc::new).map_err(failed);
        Ok(Self { wide: upload(bytemuck::cast_slice(bias))?, narrow: upload(&narrowed(bias))? })
    }

    fn slices(&self) -> BiasSlices<'_> {
        BiasSlices { wide: self.wide.slice(), narrow: self.narrow.slice() }
    }
}

impl OnCard {
    pub fn new(
        upload: &Upload,
        weight: Weight,
        scale: f32,
        bias: Option<&[f32]>,
        deltas: Vec<Delta>,
        out_features: usize,
    ) -> Result<Self, Failure> {
        let card = upload.card();
        let bias = bias.map(|bias| {
            let mut bias = bias.to_vec();
            bias.resize(weight.columns, 0.0);
            Bias::new(card, &bias)
        });
        let bias = bias.transpose()?;
        let is_e4m3 = weight.format == Format::Plain(Float::E4m3);
        let scale_of_columns = (upload.precision().fp8_products && is_e4m3).then(|| {
            let scales = vec![scale; weight.columns];
            card.pool().upload(bytemuck::cast_slice(&scales)).map(Arc::new).map_err(failed)
        });
        let scale_of_columns = scale_of_columns.transpose()?;
        Ok(Self { card: card.clone(), weight, scale, scale_of_columns, bias, deltas, out_features })
    }

    /// The same layer with what arrived for it.
    pub fn with_weights(&self, arrived: &Arrived) -> Self {
        let of_delta = |delta: &Delta| match delta {
            Delta::Dense(weight) => Delta::Dense(weight.with_weights(arrived)),
            Delta::LowRank { down, up, factor } => {
                Delta::LowRank { down: down.with_weights(arrived), up: up.with_weights(arrived), factor: *factor }
            }
        };
        let deltas = self.deltas.iter().map(of_delta).collect();
        Self { weight: self.weight.with_weights(arrived), deltas, ..self.clone() }
    }

    pub fn card(&self) -> &Arc<Card> {
        &self.card
    }

    pub fn size_bytes(&self) -> usize {
        self.weight.data.size_bytes()
            + self.bias.as_ref().map_or(0, |bias| (bias.wide.bytes() + bias.narrow.bytes()) as usize)
    }

    /// x: `[.., in]` of any dtype, anywhere. Returns `[.., out]` of `dtype`.
    pub fn forward(&self, x: &Tensor, activation: Activation, dtype: DType) -> Result<Tensor, Failure> {
        let width = *x.dims().last().expect("x has an axis");
        if width == self.weight.depth {
            return cut(&self.card, self.forward_filled(x, activation, dtype)?, self.out_features);
        }
        let kept = if x.is_on_host() { DType::F32 } else { x.dtype() };
        let x = padded(&self.card, x, self.weight.depth, kept)?;
        cut(&self.card, self.forward_filled(&x, activation, dtype)?, self.out_features)
    }

    fn forward_filled(&self, x: &Tensor, activation: Activation, dtype: DType) -> Result<Tensor, Failure> {
        let card = &self.card;
        let mut dims = x.dims().to_vec();
        *dims.last_mut().expect("x has an axis") = self.weight.columns;
        let x = Operand::of(card, x)?;
        let y = empty(card, dtype, &dims[..])?;
        if x.rows().rows == 0 {
            return Ok(y);
        }
        // What is done to the sum is done with the last of its terms.
        let terms = self.terms(&x, dtype)?;
        let alone = terms.len() == 1 && self.deltas.is_empty();
        let function = function(activation);
        for (index, term) in terms.iter().enumerate() {
            let bias = self.bias.as_ref().filter(|_| index == 0).map(Bias::slices);
            let function = function.filter(|_| alone);
            let call =
                |y| Call { x: term.rows(), weight: self.weight.call(), bias: None, scale: self.scale, function, y };
            if index == 0 {
                match &self.scale_of_columns {
                    Some(scales) if terms.len() == 1 => card.linear_e4m3(call(whole_rows(&y)), bias, scales.slice()),
                    _ => card.linear(call(whole_rows(&y)), bias),
                }
                .map_err(failed)?;
            } else {
                let more = empty(card, dtype, &dims[..])?;
                card.linear(call(whole_rows(&more)), bias).map_err(failed)?;
                add_to(card, &y, &more)?;
            }
        }
        let narrow = &terms[0];
        for delta in &self.deltas {
            let more = empty(card, dtype, &dims[..])?;
            match delta {
                Delta::Dense(weight) => multiply(card, narrow.rows(), weight, 1.0, whole_rows(&more))?,
                Delta::LowRank { down, up, factor } => {
                    let hidden = empty(card, DType::BF16, [narrow.rows().rows, down.columns])?;
                    multiply(card, narrow.rows(), down, *factor, whole_rows(&hidden))?;
                    multiply(card, whole_rows(&hidden), up, 1.0, whole_rows(&more))?;
                }
            }
            add_to(card, &y, &more)?;
        }
        if let Some(function) = function.filter(|_| !alone) {
            let rows = whole_rows(&y);
            vita_cuda::ops::activation(card.machine(), function, rows, rows).map_err(failed)?;
        }
        Ok(y)
    }

    /// x as bf16, or f16 where it is that; as the sum of two bf16 where it is f32 and few.
    fn terms(&self, x: &Operand, dtype: DType) -> Result<Vec<Operand>, Failure> {
        let card = &self.card;
        if matches!(x.dtype(), DType::BF16 | DType::F16) {
            return Ok(vec![x.clone()]);
        }
        let high = contiguous(card, x.tensor(), DType::BF16)?;
        let first = Operand::of(card, &high)?;
        if x.rows().rows > ROWS_OF_TWO_TERMS || dtype != DType::F32 {
            return Ok(vec![first]);
        }
        let rest = empty(card, DType::F32, x.tensor().dims())?;
        let (whole, part) = (contiguous(card, x.tensor(), DType::F32)?, contiguous(card, &high, DType::F32)?);
        vita_cuda::ops::combine(card.machine(), [1.0, -1.0], whole_rows(&whole), whole_rows(&part), whole_rows(&rest))
            .map_err(failed)?;
        Ok(vec![first, Operand::of(card, &contiguous(card, &rest, DType::BF16)?)?])
    }
}

fn multiply(card: &Card, x: Rows, weight: &Weight, scale: f32, y: Rows) -> Result<(), Failure> {
    card.linear(Call { x, weight: weight.call(), bias: None, scale, function: None, y }, None).map_err(failed)
}

/// `y += more`
fn add_to(card: &Card, y: &Tensor, more: &Tensor) -> Result<(), Failure> {
    let (y, more) = (whole_rows(y), whole_rows(more));
    if !y.width.is_multiple_of(8) {
        return vita_cuda::ops::combine(card.machine(), [1.0, 1.0], y, more, y).map_err(failed);
    }
    gated_add(card.machine(), GatedAdd { x: y, y: more, gate: None, sum: y }).map_err(failed)
}
