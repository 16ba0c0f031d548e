//! The text encoder against transformers, and against itself on other dtypes.

mod common;

use std::ops::ControlFlow;

use common::{Fixture, assert_close, checkpoint, to_bf16, to_f32};
use vita_models::umt5::{Config, InputError, Umt5, flops};
use vita_tensor::{Bytes, DType, Tensor};
use vita_weights::Role;

/// Far below the 1e-4 that modules are held to: a wrong bucket or epsilon shows.
const BOUND: f64 = 1e-5;

fn load(fixture: &Fixture) -> Umt5 {
    Umt5::load(&fixture.weights(Role::TextEncoder)).unwrap()
}

/// Row `batch` of ids and mask.
fn inputs(fixture: &Fixture, case: &str, batch: usize) -> (Vec<u32>, Vec<bool>) {
    let row = |name| fixture.input(case, name).select(0, batch).to_vec();
    (row("input_ids").iter().map(|&id| id as u32).collect(), row("attention_mask").iter().map(|&v| v != 0.0).collect())
}

#[test]
fn padded_batches_match_transformers() {
    for name in ["umt5", "umt5_official_names"] {
        let fixture = Fixture::open(name);
        let encoder = load(&fixture);
        for case in fixture.cases() {
            let want = fixture.output(&case);
            for batch in 0..want.dims()[0] {
                let (ids, mask) = inputs(&fixture, &case, batch);
                let got = encoder.encode_padded(&ids, &mask).unwrap();
                assert_close(&got, &want.select(0, batch), BOUND, &format!("{name} {case} {batch}"));
                let count = mask.iter().filter(|&&shown| shown).count();
                let rest = got.narrow(0, count, ids.len() - count).to_vec();
                assert!(rest.into_iter().all(|value| value == 0.0), "rows beyond the mask");
                let alone = encoder.encode(&ids[..count]).unwrap();
                assert_eq!(alone.to_vec(), got.narrow(0, 0, count).to_vec(), "padding changes nothing");
            }
        }
    }
}

#[test]
fn sizes_are_found() {
    let config = load(&Fixture::open("umt5")).config().clone();
    let want = Config { vocab_size: 120, dim: 64, ffn_dim: 96, heads: 3, head_dim: 64, layers: 2, buckets: 32 };
    assert_eq!(config, want);
}

#[test]
fn hidden_tokens_inside_are_not_seen() {
    let encoder = load(&Fixture::open("umt5"));
    let mask = [true, false, true, true, false];
    let got = encoder.encode_padded(&[5, 9, 7, 1, 0], &mask).unwrap();
    let other = encoder.encode_padded(&[5, 33, 7, 1, 44], &mask).unwrap();
    assert_eq!(got.to_vec(), other.to_vec());
    assert!(got.select(0, 1).to_vec().into_iter().all(|value| value == 0.0));
    assert!(got.select(0, 2).to_vec().into_iter().any(|value| value != 0.0));
    assert_eq!(encoder.encode_padded(&[5, 9], &[false; 2]).unwrap().to_vec(), vec![0.0; 128]);
}

#[test]
fn bf16_weights_are_those_weights_widened() {
    let fixture = Fixture::open("umt5");
    let (ids, _) = inputs(&fixture, "short", 0);
    let narrow = Umt5::load(&fixture.weights_as(Role::TextEncoder, |_, w| Some(to_bf16(&w)))).unwrap();
    let wide = Umt5::load(&fixture.weights_as(Role::TextEncoder, |_, w| Some(to_f32(&to_bf16(&w))))).unwrap();
    assert!(narrow.size_bytes() * 2 == wide.size_bytes());
    assert_close(&narrow.encode(&ids).unwrap(), &wide.encode(&ids).unwrap(), 1e-6, "bf16");
}

#[test]
fn scaled_fp8_weights_are_those_weights_widened() {
    let fixture = Fixture::open("umt5");
    let (ids, _) = inputs(&fixture, "short", 0);
    let (mut stored, mut widened) = (Vec::new(), Vec::new());
    let weights = fixture.weights(Role::TextEncoder);
    for (name, tensor) in weights.all() {
        let weight = Tensor::from_bytes(tensor.bytes.clone(), DType::F32, &tensor.dims).unwrap();
        let is_linear = name.contains("SelfAttention.") && !name.contains("bias") || name.contains("DenseReluDense");
        if !is_linear && name != "shared.weight" {
            stored.push((name.to_owned(), weight.clone()));
            widened.push((name.to_owned(), weight));
            continue;
        }
        // Any code below NaN is a weight, whatever it was before; the scale brings them to its size.
        let codes: Vec<u8> = weight.to_vec().iter().map(|value| (value.to_bits() >> 13) as u8 & 0xbf).collect();
        let codes = Tensor::from_bytes(Bytes::from(codes), DType::F8E4M3, &tensor.dims).unwrap();
        let scale = 0.1;
        let values = codes.to_vec().iter().map(|value| value * scale).collect();
        widened.push((name.to_owned(), Tensor::from_vec(values, tensor.dims)));
        stored.push((name.replace(".weight", ".scale_weight"), Tensor::from_vec(vec![scale], [1])));
        stored.push((name.to_owned(), codes));
    }
    let load = |tensors: &[_]| Umt5::load(&checkpoint("fp8", tensors).weights(Role::TextEncoder).unwrap()).unwrap();
    let (narrow, wide) = (load(&stored), load(&widened));
    assert!(narrow.size_bytes() * 4 == wide.size_bytes());
    assert_close(&narrow.encode(&ids).unwrap(), &wide.encode(&ids).unwrap(), 1e-5, "fp8");
}

#[test]
fn prompts_at_once_do_not_meet() {
    let encoder = load(&Fixture::open("umt5"));
    let prompts: [&[u32]; 4] = [&[3, 1], &[90, 17, 17, 5, 1], &[1], &[3, 44, 1]];
    let ControlFlow::Continue(all) = encoder.encode_all(&prompts, &mut |_| ControlFlow::Continue(())).unwrap() else {
        panic!("never told to stop")
    };
    assert_eq!(all.len(), prompts.len());
    for (got, ids) in all.iter().zip(prompts) {
        assert_close(got, &encoder.encode(ids).unwrap(), 1e-6, &format!("{ids:?}"));
    }
    let refused = encoder.encode_all(&[&[3, 1], &[]], &mut |_| ControlFlow::Continue(()));
    assert_eq!(refused.unwrap_err(), InputError::Empty);
}

#[test]
fn wrong_ids_are_refused() {
    let encoder = load(&Fixture::open("umt5"));
    let id = InputError::Id { id: 120, index: 1, vocab_size: 120 };
    assert_eq!(encoder.encode(&[3, 120]).unwrap_err(), id);
    assert_eq!(encoder.encode_padded(&[3, 120], &[true, false]).unwrap_err(), id);
    assert_eq!(encoder.encode(&[]).unwrap_err(), InputError::Empty);
    assert_eq!(encoder.encode_padded(&[3], &[]).unwrap_err(), InputError::Mask { ids: 1, mask: 0 });
    assert_eq!(id.to_string(), "token id 120 at place 1 is not below the vocabulary's size, 120");
}

#[test]
fn work_is_counted() {
    // One token, one layer: four square products, three of the feed-forward part, one key.
    let config = Config { vocab_size: 9, dim: 4, ffn_dim: 5, heads: 2, head_dim: 3, layers: 1, buckets: 32 };
    assert_eq!(flops(&config, 1), 2.0 * (4 * 4 * 6 + 3 * 4 * 5 + 2 * 6) as f64);
    let xxl = Config::xxl();
    assert!((flops(&xxl, 512) / 4.845e12 - 1.0).abs() < 0.001, "{}", flops(&xxl, 512));
}

#[test]
fn an_encode_stops_when_told() {
    let encoder = load(&Fixture::open("umt5"));
    let mut seen = Vec::new();
    let flow = encoder.encode_all(&[&[3, 1]], &mut |done| {
        seen.push(done);
        ControlFlow::Break(())
    });
    assert!(flow.unwrap().is_break());
    assert_eq!(seen, [1]);
}

#[test]
fn a_missing_tensor_is_named() {
    let name = "encoder.block.1.layer.1.DenseReluDense.wo.weight";
    let weights = Fixture::open("umt5").weights_as(Role::TextEncoder, |key, weight| (key != name).then_some(weight));
    let error = Umt5::load(&weights).err().unwrap().to_string();
    assert!(error.contains(name) && error.contains("missing"), "{error}");
}

#[test]
fn a_file_of_empty_tensors_does_not_fit() {
    let empty = |key: &str, weight: Tensor| match key.ends_with("relative_attention_bias.weight") {
        true => Some(Tensor::zeros([32, 0])),
        false => Some(weight),
    };
    let error = Umt5::load(&Fixture::open("umt5").weights_as(Role::TextEncoder, empty)).err().unwrap().to_string();
    assert!(error.contains("expected"), "{error}");
}
