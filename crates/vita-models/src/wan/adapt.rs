//! A LoRA on its way through the network, layer by layer.

use std::collections::BTreeSet;

use vita_ops::{Linear, combine};
use vita_tensor::Tensor;
use vita_weights::{Lora, Patch};

/// A LoRA at a strength, and which of its layers have been met.
pub struct Change<'a> {
    lora: &'a Lora,
    strength: f32,
    used: BTreeSet<&'a str>,
}

/// The first layer that was not met, or had another shape.
pub fn unused(change: &Change) -> Option<String> {
    change.lora.patches().keys().find(|layer| !change.used.contains(layer.as_str())).cloned()
}

impl<'a> Change<'a> {
    pub fn new(lora: &'a Lora, strength: f32) -> Self {
        Self { lora, strength, used: BTreeSet::new() }
    }

    /// Adds what there is for a linear layer.
    pub fn linear(&mut self, layer: &str, linear: &mut Linear) {
        let Some((name, Patch { low_rank, weight, bias })) = self.patch(layer) else { return };
        let dims @ [rows, columns] = [linear.out_features(), linear.in_features()];
        let fits = low_rank.as_ref().is_none_or(|low_rank| [low_rank.up.dims()[0], low_rank.down.dims()[1]] == dims)
            && weight.as_ref().is_none_or(|delta| delta.dims()[0] == rows && delta.element_count() == rows * columns)
            && bias.as_ref().is_none_or(|delta| *delta.dims() == [rows]);
        if !fits {
            return;
        }
        if let Some(low_rank) = low_rank {
            linear.add_low_rank(&low_rank.up, &low_rank.down, self.strength * low_rank.scale);
        }
        if let Some(delta) = weight {
            // A convolution's kernel is a matrix here.
            linear.add_weight(&delta.to_contiguous_f32().reshape(dims), self.strength);
        }
        if let Some(delta) = bias {
            linear.add_bias(delta, self.strength);
        }
        self.used.insert(name);
    }

    /// Adds what there is for a tensor that is computed with as it is: `LAYER.weight`, `LAYER.bias` or `LAYER`.
    pub fn tensor(&mut self, name: &str, tensor: &mut Tensor) {
        let (layer, is_bias) = match (name.strip_suffix(".weight"), name.strip_suffix(".bias")) {
            (Some(layer), _) => (layer, false),
            (_, Some(layer)) => (layer, true),
            _ => (name, false),
        };
        let Some((layer, patch)) = self.patch(layer) else { return };
        let delta = if is_bias { &patch.bias } else { &patch.weight };
        if delta.as_ref().is_some_and(|delta| delta.element_count() != tensor.element_count()) {
            return;
        }
        if let Some(delta) = delta {
            let delta = delta.to_contiguous_f32().reshape(tensor.dims());
            *tensor = combine(&[(1.0, tensor), (self.strength, &delta)]);
        }
        self.used.insert(layer);
    }

    fn patch(&self, layer: &str) -> Option<(&'a str, &'a Patch)> {
        self.lora.patches().get_key_value(layer).map(|(name, patch)| (name.as_str(), patch))
    }
}
