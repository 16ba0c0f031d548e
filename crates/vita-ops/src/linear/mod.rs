//! Linear layer: `y = activation(x W^T * scale + x D^T + bias)`, with changes `D` of its weight beside it.

mod card;
mod cpu;
#[cfg(test)]
mod reference;

use std::sync::Arc;

use vita_cuda::Card;
use vita_tensor::{DType, Failure, Tensor};

use crate::Activation;
use crate::card::Site;
use crate::gemm::{Finish, Packed, multiply, multiply_add};
use crate::rows::Rows;
use crate::simd::Isa;
use crate::upload::{Arrived, Precision, Upload};

/// A linear layer with its weight packed once, in the dtype it is stored in. Clones share it; what is added to a
/// clone is the clone's own.
#[derive(Clone)]
pub struct Linear {
    layer: Layer,
    in_features: usize,
    out_features: usize,
    /// Whether a card's answer is f32 whatever is asked.
    precise: bool,
}

#[derive(Clone)]
enum Layer {
    Host(OnHost),
    Card(Arc<card::OnCard>),
}

#[derive(Clone)]
struct OnHost {
    weight: Arc<Packed>,
    /// Per-tensor factor of 8-bit weights.
    scale: f32,
    bias: Option<Arc<[f32]>>,
    /// Added to the weight, one after the other.
    deltas: Vec<Delta>,
}

/// A change of a weight.
#[derive(Clone)]
enum Delta {
    /// `factor * up down`.
    LowRank { down: Arc<Packed>, up: Arc<Packed>, rank: usize, factor: f32 },
    /// Of the weight's shape.
    Dense(Arc<Packed>),
}

impl Linear {
    /// weight: `[out, in]`, any float dtype; bias: `[out]`; scale: factor of the whole weight.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn new(weight: &Tensor, scale: Option<f32>, bias: Option<&Tensor>) -> Self {
        let [out_features, in_features] = weight.sizes();
        let bias = bias.map(|bias| {
            assert_eq!(bias.sizes(), [out_features], "bias");
            Arc::from(bias.to_vec())
        });
        let (weight, scale) = (packed(weight), scale.unwrap_or(1.0));
        let layer = Layer::Host(OnHost { weight, scale, bias, deltas: Vec::new() });
        Self { layer, in_features, out_features, precise: false }
    }

    /// The same layer, whose answers on a card are f32: what leaves a network. Others answer in the type they are asked
    /// in.
    #[must_use]
    pub fn precise(self) -> Self {
        Self { precise: true, ..self }
    }

    /// The same layer with its weight on a card, in the format it is stored in; f32 becomes bf16.
    ///
    /// # Errors
    /// If there is no room, the card does not answer, or it knows no such layer: widths of weights in blocks are
    /// multiples of 8.
    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self, Failure> {
        self.upload(&mut Upload::now(card, Precision::default()))
    }

    /// [`Self::to_card`] together with other layers.
    ///
    /// # Errors
    /// As [`Self::to_card`].
    pub fn upload<'a>(&'a self, upload: &mut Upload<'a>) -> Result<Self, Failure> {
        let Layer::Host(OnHost { weight, scale, bias, deltas }) = &self.layer else { return Ok(self.clone()) };
        let weight = card::Weight::filled(upload, weight)?;
        let [columns, depth] = weight.sizes();
        let mut place = |packed: &'a Packed, columns, depth| card::Weight::filled_to(upload, packed, columns, depth);
        let deltas = deltas.iter().map(|delta| {
            Ok(match delta {
                Delta::Dense(delta) => card::Delta::Dense(place(delta, columns, depth)?),
                Delta::LowRank { down, up, rank, factor } => {
                    let rank = rank.next_multiple_of(8);
                    let (down, up) = (place(down, rank, depth)?, place(up, columns, rank)?);
                    card::Delta::LowRank { down, up, factor: *factor }
                }
            })
        });
        let deltas = deltas.collect::<Result<_, Failure>>()?;
        let layer = card::OnCard::new(upload, weight, *scale, bias.as_deref(), deltas, self.out_features)?;
        Ok(Self { layer: Layer::Card(Arc::new(layer)), ..*self })
    }

    /// The layer with its weights, which arrived after [`Upload::later`]; as it is where it has them.
    #[must_use]
    pub fn with_weights(&self, arrived: &Arrived) -> Self {
        match &self.layer {
            Layer::Host(_) => self.clone(),
            Layer::Card(layer) => Self { layer: Layer::Card(Arc::new(layer.with_weights(arrived))), ..*self },
        }
    }

    /// # Panics
    /// If the layer is on a card: it is changed before.
    fn on_host(&mut self) -> &mut OnHost {
        match &mut self.layer {
            Layer::Host(layer) => layer,
            Layer::Card(_) => panic!("changing a layer on a card"),
        }
    }

    /// Adds `factor * up down` to the weight, which itself stays as it is. up: `[out, rank]`, down: `[rank, in]`,
    /// any float dtype.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn add_low_rank(&mut self, up: &Tensor, down: &Tensor, factor: f32) {
        let [rank, in_features] = down.sizes();
        assert_eq!((up.sizes(), in_features), ([self.out_features, rank], self.in_features), "up and down");
        self.on_host().deltas.push(Delta::LowRank { down: packed(down), up: packed(up), rank, factor });
    }

    /// Adds `factor * delta` to the weight, which itself stays as it is. delta: `[out, in]`, any float dtype.
    ///
    /// # Panics
    /// If the shape is another.
    pub fn add_weight(&mut self, delta: &Tensor, factor: f32) {
        assert_eq!(delta.sizes(), [self.out_features, self.in_features], "delta");
        self.on_host().deltas.push(Delta::Dense(packed(&crate::combine(&[(factor, delta)]))));
    }

    /// Adds `factor * delta` to the bias. delta: `[out]`, any float dtype.
    ///
    /// # Panics
    /// If the shape is another.
    pub fn add_bias(&mut self, delta: &Tensor, factor: f32) {
        assert_eq!(delta.sizes(), [self.out_features], "delta");
        let layer = self.on_host();
        let mut bias = layer.bias.as_ref().map_or_else(|| vec![0.0; delta.element_count()], |bias| bias.to_vec());
        bias.iter_mut().zip(delta.to_vec()).for_each(|(bias, delta)| *bias += factor * delta);
        layer.bias = Some(bias.into());
    }

    /// x: `[.., in]`, any strides. Returns `[.., out]`.
    ///
    /// # Panics
    /// If the last axis is not `in` long.
    pub fn forward(&self, x: &Tensor, activation: Activation) -> Tensor {
        self.forward_on(Isa::best(), x, activation)
    }

    fn forward_on(&self, isa: Isa, x: &Tensor, activation: Activation) -> Tensor {
        let mut dims = x.dims().to_vec();
        let last = dims.last_mut().expect("x has an axis");
        assert_eq!(*last, self.in_features, "linear of {} features", self.in_features);
        *last = self.out_features;
        match &self.layer {
            Layer::Host(layer) => layer.forward(isa, x, activation, &dims),
            Layer::Card(layer) => {
                let dtype = match x.dtype() {
                    DType::F16 if !self.precise && !x.is_on_host() => DType::F16,
                    DType::F32 => DType::F32,
                    _ if self.precise => DType::F32,
                    _ => DType::BF16,
                };
                let site = Site::of([x]).or(layer.card());
                let made = site.make(dtype, &dims[..], |_| layer.forward(x, activation, dtype));
                made.expect("a layer on a card works there")
            }
        }
    }

    /// Width of the input.
    pub fn in_features(&self) -> usize {
        self.in_features
    }

    /// Width of the output.
    pub fn out_features(&self) -> usize {
        self.out_features
    }

    /// Bytes that the packed weight and the bias take, without what was added to the weight.
    pub fn size_bytes(&self) -> usize {
        match &self.layer {
            Layer::Host(layer) => {
                layer.weight.size_bytes() + layer.bias.as_ref().map_or(0, |bias| size_of_val(&bias[..]))
            }
            Layer::Card(layer) => layer.size_bytes(),
        }
    }

    /// Asks the system to read the weight from its file, where it lies in a mapped one, and returns: for layers that
    /// come next.
    pub fn read_ahead(&self) {
        if let Layer::Host(layer) = &self.layer {
            layer.weight.read_ahead();
        }
    }
}

impl OnHost {
    /// dims: those of the result.
    fn forward(&self, isa: Isa, x: &Tensor, activation: Activation, dims: &[usize]) -> Tensor {
        let mut y = Tensor::scratch(dims);
        let rows = Rows::of(x);
        let then = Finish { scale: 1.0, bias: self.bias.as_deref(), activation };
        // What is done to the sum is done with the last of its terms.
        let after = |deltas: &[Delta], scale| match deltas {
            [] => Finish { scale, ..then },
            _ => Finish { scale, bias: None, activation: Activation::None },
        };
        let first = after(&self.deltas, self.scale);
        multiply(isa, &rows, &self.weight, 0..self.weight.depth, first, y.f32s_mut());
        let mut left = &self.deltas[..];
        while let [delta, rest @ ..] = left {
            let finish = after(rest, 1.0);
            match delta {
                Delta::Dense(delta) => multiply_add(isa, &rows, delta, finish, y.f32s_mut()),
                Delta::LowRank { down, up, rank, factor } => {
                    let mut hidden = Tensor::scratch([rows.count, *rank]);
                    let scaled = Finish { scale: *factor, bias: None, activation: Activation::None };
                    multiply(isa, &rows, down, 0..down.depth, scaled, hidden.f32s_mut());
                    multiply_add(isa, &Rows::of(&hidden), up, finish, y.f32s_mut());
                }
            }
            left = rest;
        }
        y
    }
}

fn packed(weight: &Tensor) -> Arc<Packed> {
    // The kernels have no double precision.
    let as_is = weight.is_contiguous() && weight.dtype() != DType::F64;
    Arc::new(if as_is { Packed::new(weight) } else { Packed::new(&weight.to_contiguous_f32()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, assert_close};

    #[test]
    fn every_implementation_matches_the_reference() {
        let shapes = [(1, 1, 1), (1, 40, 70), (3, 16, 32), (13, 33, 31), (37, 300, 65), (250, 17, 33), (500, 530, 96)];
        for (seed, (rows, depth, columns)) in shapes.into_iter().enumerate() {
            for dtype in [DType::F32, DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2] {
                let mut random = Random::new(seed as u64);
                let weight = random.weight(&[columns, depth], dtype);
                let bias = random.tensor(&[columns]);
                // A slice of wider rows: strided as the query part of a fused projection is.
                let x = random.tensor(&[rows, depth + 3]).narrow(1, 2, depth);
                let scale = (seed % 2 == 1).then_some(0.37);
                let bias = (seed % 3 != 2).then_some(&bias);
                let activation = [Activation::None, Activation::GeluTanh, Activation::Silu][seed % 3];
                let want = reference::linear(&x, &weight, scale, bias, activation);
                let layer = Linear::new(&weight, scale, bias);
                for isa in Isa::available() {
                    let got = layer.forward_on(isa, &x, activation);
                    assert_close(&got, &want, 2e-6, format!("{isa}, {rows}x{depth}x{columns} {dtype}"));
                }
            }
        }
    }

    #[test]
    fn quantised_weights_match_the_reference() {
        for (seed, dtype) in DType::QUANTISED.into_iter().enumerate() {
            for (rows, depth, columns) in [(3, 256, 33), (37, 768, 65), (500, 512, 32)] {
                let mut random = Random::new(seed as u64);
                let weight = random.weight(&[columns, depth], dtype);
                let x = random.tensor(&[rows, depth]);
                let want = reference::linear(&x, &weight, None, None, Activation::None);
                let layer = Linear::new(&weight, None, None);
                for isa in Isa::available() {
                    let got = layer.forward_on(isa, &x, Activation::None);
                    assert_close(&got, &want, 3e-6, format!("{isa}, {rows}x{depth}x{columns} {dtype}"));
                }
            }
        }
    }

    /// Weights as they are stored with changes beside them, against the widened weight with the changes in it.
    #[test]
    fn added_weights_match_the_merged_weight() {
        let stored = [DType::F32, DType::BF16, DType::F8E4M3].into_iter().chain(DType::QUANTISED);
        for (seed, dtype) in stored.enumerate() {
            for (rows, depth, columns, rank) in [(3, 256, 33, 1), (14, 512, 65, 4), (30, 256, 96, 70)] {
                let mut random = Random::new(seed as u64);
                let weight = random.weight(&[columns, depth], dtype);
                let (x, bias) = (random.tensor(&[rows, depth]), random.tensor(&[columns]));
                let scale = (seed % 2 == 1).then_some(0.37);
                let mut layer = Linear::new(&weight, scale, Some(&bias));
                let plain = layer.clone();
                let mut merged = crate::combine(&[(scale.unwrap_or(1.0), &weight.to_contiguous_f32())]);
                for factor in [0.5, -0.25] {
                    let up = random.weight(&[columns, rank], DType::BF16);
                    let down = random.weight(&[rank, depth], DType::F16);
                    layer.add_low_rank(&up, &down, factor);
                    let columns_of_up = down.to_contiguous_f32().permute(&[1, 0]).to_contiguous_f32();
                    let product = reference::linear(&up, &columns_of_up, None, None, Activation::None);
                    merged = crate::combine(&[(1.0, &merged), (factor, &product)]);
                }
                let delta = random.weight(&[columns, depth], DType::BF16);
                layer.add_weight(&delta, 0.75);
                merged = crate::combine(&[(1.0, &merged), (0.75, &delta)]);
                let delta = random.tensor(&[columns]);
                layer.add_bias(&delta, -2.0);
                let merged_bias = crate::combine(&[(1.0, &bias), (-2.0, &delta)]);
                let activation = [Activation::GeluTanh, Activation::None, Activation::Silu][seed % 3];
                let want = reference::linear(&x, &merged, None, Some(&merged_bias), activation);
                let untouched = reference::linear(&x, &weight, scale, Some(&bias), activation);
                for isa in Isa::available() {
                    let what = format!("{isa}, {rows}x{depth}x{columns} {dtype}, rank {rank}");
                    assert_close(&layer.forward_on(isa, &x, activation), &want, 1e-5, &what);
                    assert_close(&plain.forward_on(isa, &x, activation), &untouched, 1e-5, format!("{what}, plain"));
                }
            }
        }
    }

    #[test]
    fn leading_axes_are_kept_and_no_rows_are_no_work() {
        let mut random = Random::new(1);
        let layer = Linear::new(&random.tensor(&[5, 4]), None, None);
        assert_eq!(layer.forward(&random.tensor(&[2, 3, 4]), Activation::None).sizes(), [2, 3, 5]);
        assert_eq!(layer.forward(&random.tensor(&[0, 4]), Activation::None).sizes(), [0, 5]);
    }
}
