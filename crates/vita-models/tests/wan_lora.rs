//! LoRAs beside the weights, against the same LoRAs merged into them.

mod common;

use std::ops::ControlFlow;

use common::{Fixture, assert_close, checkpoint, relative_error, to_bf16, to_f32};
use vita_models::wan::{HIDDEN_BYTES_MAX, LayoutOptions, Prompt, Wan};
use vita_ops::{Activation, Linear, combine};
use vita_tensor::Tensor;
use vita_weights::{Lora, Role, Weights};

const BOUND: f64 = 1e-5;

fn load(weights: &Weights) -> Wan {
    Wan::load(weights, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn run(wan: &Wan, fixture: &Fixture, case: &str) -> Tensor {
    let row = |name| fixture.input(case, name).select(0, 0);
    let x = row("x");
    let [_, latent @ ..] = x.sizes::<4>();
    let clip = wan.config().image.map(|_| row("clip_fea"));
    let layout = wan.layout(latent, LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX }).unwrap();
    let context = wan.context(&Prompt::from_padded(&row("context")).unwrap(), clip.as_ref()).unwrap();
    let timesteps = row("timestep").to_vec();
    wan.forward(&x, &timesteps, &context, &layout, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

/// Numbers that differ from seed to seed, about `size` large.
fn noise(seed: usize, dims: &[usize], size: f32) -> Tensor {
    let count: usize = dims.iter().product();
    let value = |i: usize| ((i * 7919 + seed * 104_729 + i * i % 8191) as f32 * 0.618).sin() * size;
    Tensor::from_vec((0..count).map(value).collect(), dims)
}

/// A file that changes every tensor there is: low rank where there are two axes, else `diff` and `diff_b`.
fn of_everything(weights: &Weights, seed: usize) -> Lora {
    const RANK: usize = 3;
    let mut tensors = Vec::new();
    for (index, (name, _)) in weights.dit_facts().unwrap().layout().iter().enumerate() {
        let dims = weights.dims(name).unwrap();
        let seed = seed + index;
        let layer = name.strip_suffix(".weight");
        match (layer, name.strip_suffix(".bias")) {
            (Some(layer), _) if dims.len() > 1 => {
                let columns = dims[1..].iter().product();
                tensors.push((format!("{layer}.lora_up.weight"), noise(seed, &[dims[0], RANK], 0.2)));
                tensors.push((format!("{layer}.lora_down.weight"), noise(seed + 1, &[RANK, columns], 0.2)));
                tensors.push((format!("{layer}.alpha"), Tensor::from_vec(vec![1.5], [1])));
                if index % 3 == 0 {
                    tensors.push((format!("{layer}.diff"), noise(seed + 2, &dims, 0.02)));
                }
            }
            (_, Some(layer)) => tensors.push((format!("{layer}.diff_b"), noise(seed, &dims, 0.1))),
            _ => tensors.push((format!("{}.diff", layer.unwrap_or(name)), noise(seed, &dims, 0.1))),
        }
    }
    Lora::of(&checkpoint("lora.safetensors", &tensors), weights).unwrap()
}

/// The change of one tensor, as the definition reads.
fn delta(lora: &Lora, name: &str, dims: &[usize]) -> Tensor {
    let of_layer = |leaf: &str| lora.patches().get(name.strip_suffix(leaf)?);
    if let Some(patch) = of_layer(".bias") {
        return patch.bias.clone().unwrap();
    }
    let patch = of_layer(".weight").or_else(|| lora.patches().get(name)).unwrap();
    let mut sum = Tensor::zeros(dims);
    if let Some(low_rank) = &patch.low_rank {
        let transposed = low_rank.down.permute(&[1, 0]).to_contiguous_f32();
        let product = Linear::new(&transposed, Some(low_rank.scale), None).forward(&low_rank.up, Activation::None);
        sum = combine(&[(1.0, &sum), (1.0, &product.reshape(dims))]);
    }
    match &patch.weight {
        Some(weight) => combine(&[(1.0, &sum), (1.0, weight)]),
        None => sum,
    }
}

#[test]
fn loras_beside_the_weights_equal_loras_merged_into_them() {
    for name in ["dit_t2v", "dit_ti2v", "dit_i2v_image_branch", "dit_i2v_36_channels", "dit_flf2v"] {
        for stored in [to_f32, to_bf16] {
            let fixture = Fixture::open(name);
            let weights = fixture.weights_as(Role::DiffusionModel, |_, weight| Some(stored(&weight)));
            let loras = [(of_everything(&weights, 1), 0.7), (of_everything(&weights, 1000), -0.4)];
            let plain = load(&weights);
            let adapted = plain.adapted(&loras.each_ref().map(|(lora, strength)| (lora, *strength))).unwrap();
            let merged = fixture.weights_as(Role::DiffusionModel, |name, weight| {
                let weight = to_f32(&stored(&weight));
                let [first, second] = loras.each_ref().map(|(lora, _)| delta(lora, name, &weight.dims()));
                Some(combine(&[(1.0, &weight), (loras[0].1, &first), (loras[1].1, &second)]))
            });
            let merged = load(&merged);
            for case in fixture.cases() {
                let without = run(&plain, &fixture, &case);
                let got = run(&adapted, &fixture, &case);
                assert_close(&got, &run(&merged, &fixture, &case), BOUND, &format!("{name} {case}"));
                assert!(relative_error(&got, &without) > 0.01, "{name} {case}: the LoRAs change nothing");
                // The one that was loaded is as it was.
                assert_eq!(run(&load(&weights), &fixture, &case).to_vec(), without.to_vec());
            }
        }
    }
}

#[test]
fn a_lora_of_another_model_is_refused() {
    let (large, small) = (Fixture::open("dit_t2v_two_heads"), Fixture::open("dit_t2v"));
    let lora = of_everything(&large.weights(Role::DiffusionModel), 1);
    let error = load(&small.weights(Role::DiffusionModel)).adapted(&[(&lora, 1.0)]).err().unwrap().to_string();
    assert!(error.starts_with("the LoRA `lora.safetensors` was read for another model"), "{error}");
}
