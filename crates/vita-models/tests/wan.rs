//! The video transformer against diffusers, and against itself on other dtypes, sizes and parts.

mod common;

use std::ops::ControlFlow;

use common::{Fixture, assert_close, checkpoint, relative_error, to_bf16, to_f32};
use vita_base::Hint;
use vita_models::wan::{Config, HIDDEN_BYTES_MAX, ImageConfig, LayoutOptions, Prompt, Result, Wan};
use vita_tensor::{Bytes, DType, Tensor};
use vita_weights::{Role, Weights};

/// Below the 1e-4 that modules are held to: a wrong epsilon shows.
const BOUND: f64 = 2e-5;

const FIXTURES: [&str; 6] =
    ["dit_t2v", "dit_t2v_two_heads", "dit_ti2v", "dit_i2v_image_branch", "dit_i2v_36_channels", "dit_flf2v"];

fn load(weights: &Weights) -> Wan {
    Wan::load(weights, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

/// One sample of a case.
struct Sample {
    x: Tensor,
    timesteps: Vec<f32>,
    context: Tensor,
    clip: Option<Tensor>,
}

impl Sample {
    fn of(fixture: &Fixture, case: &str, index: usize) -> Self {
        let row = |name| fixture.input(case, name).select(0, index);
        let has_clip = fixture.weights(Role::DiffusionModel).contains("img_emb.proj.0.weight");
        Self {
            x: row("x"),
            timesteps: row("timestep").to_vec(),
            context: row("context"),
            clip: has_clip.then(|| row("clip_fea")),
        }
    }

    fn run(&self, wan: &Wan) -> Result<Tensor> {
        self.run_with(wan, &Prompt::from_padded(&self.context)?, HIDDEN_BYTES_MAX)
    }

    fn run_with(&self, wan: &Wan, prompt: &Prompt, hidden_bytes_max: usize) -> Result<Tensor> {
        let [_, latent @ ..] = self.x.sizes::<4>();
        let layout = wan.layout(latent, LayoutOptions { hidden_bytes_max })?;
        let context = wan.context(prompt, self.clip.as_ref())?;
        wan.forward(&self.x, &self.timesteps, &context, &layout, &mut |_, _| ControlFlow::Continue(()))
    }
}

/// Numbers from a sine, for inputs that no fixture has.
fn wavy(dims: &[usize]) -> Tensor {
    let count = dims.iter().product();
    Tensor::from_vec((0..count).map(|i| ((i * i % 8191) as f32 * 0.37).sin()).collect(), dims)
}

#[test]
fn every_case_matches_diffusers() {
    for name in FIXTURES {
        let fixture = Fixture::open(name);
        let wan = load(&fixture.weights(Role::DiffusionModel));
        for case in fixture.cases() {
            let want = fixture.output(&case);
            for index in 0..want.dims()[0] {
                let got = Sample::of(&fixture, &case, index).run(&wan).unwrap();
                assert_close(&got, &want.select(0, index), BOUND, &format!("{name} {case} {index}"));
            }
        }
    }
}

#[test]
fn contexts_at_once_are_those_alone() {
    for name in ["dit_t2v", "dit_i2v_image_branch"] {
        let fixture = Fixture::open(name);
        let wan = load(&fixture.weights(Role::DiffusionModel));
        let sample = Sample::of(&fixture, fixture.cases().first().unwrap(), 0);
        let prompts = [Prompt::from_padded(&sample.context).unwrap(), Prompt::new(&wavy(&[3, 64]), 509).unwrap()];
        let other = sample.clip.as_ref().map(|clip| vita_ops::scale(clip.clone(), 0.5));
        let images = [sample.clip.as_ref(), other.as_ref()];
        let layout = {
            let [_, latent @ ..] = sample.x.sizes::<4>();
            wan.layout(latent, LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX }).unwrap()
        };
        // The second picture is of the second prompt alone, and the first of two.
        let pairs = [(&prompts[0], images[0]), (&prompts[1], images[1]), (&prompts[1], images[0])];
        for (all, (prompt, image)) in wan.contexts(&pairs).unwrap().iter().zip(pairs) {
            let alone = wan.context(prompt, image).unwrap();
            assert_eq!(all.key_counts(), alone.key_counts());
            let go_on = &mut |_, _| ControlFlow::Continue(());
            let [got, want] =
                [all, &alone].map(|context| wan.forward(&sample.x, &[500.0], context, &layout, go_on).unwrap());
            assert_close(&got, &want, 1e-6, name);
        }
    }
}

#[test]
fn sizes_are_found() {
    let plain =
        Config { dim: 128, ffn_dim: 160, layers: 1, in_dim: 16, out_dim: 16, text_dim: 64, freq_dim: 256, image: None };
    let image = Some(ImageConfig { dim: 80, positions: None });
    for (name, want) in FIXTURES.into_iter().zip([
        Config { ffn_dim: 104, layers: 2, ..plain },
        Config { dim: 256, ffn_dim: 96, ..plain },
        Config { in_dim: 48, out_dim: 48, ..plain },
        Config { in_dim: 36, image, ..plain },
        Config { in_dim: 36, ..plain },
        Config { in_dim: 36, image: Some(ImageConfig { dim: 48, positions: Some(14) }), ..plain },
    ]) {
        let weights = Fixture::open(name).weights(Role::DiffusionModel);
        assert_eq!(Config::of(&weights).unwrap(), want, "{name}");
        let parameters: usize = weights.all().map(|(_, stored)| stored.dims.element_count()).sum();
        assert_eq!(want.parameter_count(), parameters as u64, "{name}");
    }
}

#[test]
fn odd_sizes_are_padded_and_cropped() {
    let fixture = Fixture::open("dit_t2v");
    let wan = load(&fixture.weights(Role::DiffusionModel));
    let x = wavy(&[16, 2, 3, 5]);
    let mut padded = Vec::new();
    for c in 0..16 {
        for t in 0..2 {
            for row in 0..4 {
                padded.extend((0..6).map(|column| x.at(&[c, t, row % 3, column % 5]) as f32));
            }
        }
    }
    let sample = |x| Sample { x, timesteps: vec![300.0], context: wavy(&[5, 64]), clip: None };
    let got = sample(x).run(&wan).unwrap();
    let want = sample(Tensor::from_vec(padded, [16, 2, 4, 6])).run(&wan).unwrap();
    assert_eq!(got.to_vec(), want.narrow(2, 0, 3).narrow(3, 0, 5).to_vec());
}

#[test]
fn parts_change_nothing() {
    for (name, case) in [
        ("dit_t2v", "odd"),
        ("dit_ti2v", "timestep_per_frame"),
        ("dit_i2v_image_branch", "clip"),
        ("dit_flf2v", "two_images"),
    ] {
        let fixture = Fixture::open(name);
        let wan = load(&fixture.weights(Role::DiffusionModel));
        let sample = Sample::of(&fixture, case, 0);
        let want = sample.run(&wan).unwrap();
        let prompt = Prompt::from_padded(&sample.context).unwrap();
        // One token at a time, pieces of a frame, a frame, two frames.
        for tokens in [1, 4, 15, 30] {
            let hidden_bytes_max = tokens * wan.config().ffn_dim * size_of::<f32>();
            let got = sample.run_with(&wan, &prompt, hidden_bytes_max).unwrap();
            assert_close(&got, &want, 1e-6, &format!("{name}, {tokens} tokens at once"));
        }
    }
}

#[test]
fn padding_counts_as_one_key() {
    let fixture = Fixture::open("dit_t2v");
    let wan = load(&fixture.weights(Role::DiffusionModel));
    let sample = Sample::of(&fixture, "odd", 0);
    let shown = 37;
    let every_row = Prompt::new(&sample.context, 0).unwrap();
    let counted = Prompt::new(&sample.context.narrow(0, 0, shown), Config::TEXT_LEN - shown).unwrap();
    let found = Prompt::from_padded(&sample.context).unwrap();
    assert_eq!([&every_row, &counted, &found].map(Prompt::key_count), [512, 38, 38]);
    let run = |prompt| sample.run_with(&wan, prompt, HIDDEN_BYTES_MAX).unwrap();
    assert_close(&run(&counted), &run(&every_row), 1e-6, "counted");
    assert_eq!(run(&found).to_vec(), run(&counted).to_vec());
    // It does take part.
    assert!(relative_error(&run(&Prompt::new(&sample.context.narrow(0, 0, shown), 0).unwrap()), &run(&counted)) > 1e-4);
}

#[test]
fn equal_timesteps_are_one() {
    let fixture = Fixture::open("dit_ti2v");
    let wan = load(&fixture.weights(Role::DiffusionModel));
    let sample = Sample::of(&fixture, "one_timestep", 0);
    let want = sample.run(&wan).unwrap();
    let got = Sample { timesteps: vec![sample.timesteps[0]; 2], ..sample }.run(&wan).unwrap();
    assert_eq!(got.to_vec(), want.to_vec());
}

#[test]
fn weights_of_every_dtype_are_those_weights_widened() {
    let fixture = Fixture::open("dit_t2v");
    let to_f16 = |weight: &Tensor| {
        // Keeps ten bits of the mantissa; the fixture's weights are inside the exponent's range or tiny.
        let half = |value: f32| match value.abs() < 6.2e-5 {
            true => 0,
            false => (value.to_bits() >> 16 & 0x8000) | ((value.to_bits() & 0x7fff_ffff) - (112 << 23)) >> 13,
        };
        let bytes: Vec<u8> = weight.to_vec().into_iter().flat_map(|v| (half(v) as u16).to_le_bytes()).collect();
        Tensor::from_bytes(Bytes::from(bytes), DType::F16, &weight.dims()).unwrap()
    };
    let is_matrix = |name: &str, weight: &Tensor| weight.dims().len() == 2 && name.ends_with(".weight");
    type Narrow<'a> = &'a dyn Fn(&Tensor) -> Tensor;
    for (dtype, size, narrow) in [("f16", 2, &to_f16 as Narrow), ("bf16", 2, &to_bf16 as Narrow)] {
        let with = |change: Narrow| {
            load(&fixture.weights_as(Role::DiffusionModel, |name, weight| {
                Some(if is_matrix(name, &weight) { change(&weight) } else { weight })
            }))
        };
        check_dtype(dtype, size, &with(narrow), &with(&|weight| to_f32(&narrow(weight))));
    }
}

#[test]
fn scaled_fp8_weights_are_those_weights_widened() {
    let weights = Fixture::open("dit_t2v").weights(Role::DiffusionModel);
    let scale = 0.01;
    for (marker, suffix) in [(None, "weight_scale"), (Some("scaled_fp8"), "scale_weight")] {
        let (mut stored, mut widened) = (Vec::new(), Vec::new());
        for (name, tensor) in weights.all() {
            let weight = Tensor::from_bytes(tensor.bytes.clone(), DType::F32, &tensor.dims).unwrap();
            let Some(layer) = name.strip_suffix(".weight").filter(|_| tensor.dims.len() == 2) else {
                stored.push((name.to_owned(), weight.clone()));
                widened.push((name.to_owned(), weight));
                continue;
            };
            // Any code below NaN is a weight, whatever it was before; the scale brings them to its size.
            let codes: Vec<u8> = weight.to_vec().iter().map(|value| (value.to_bits() >> 13) as u8 & 0xbf).collect();
            let codes = Tensor::from_bytes(Bytes::from(codes), DType::F8E4M3, &tensor.dims).unwrap();
            let values = codes.to_vec().iter().map(|value| value * scale).collect();
            widened.push((name.to_owned(), Tensor::from_vec(values, tensor.dims)));
            stored.push((format!("{layer}.{suffix}"), Tensor::from_vec(vec![scale], &[][..])));
            stored.push((name.to_owned(), codes));
        }
        if let Some(marker) = marker {
            let fp8 = Tensor::from_bytes(Bytes::from(vec![0, 0]), DType::F8E4M3, &[2]).unwrap();
            stored.push((marker.to_owned(), fp8));
        }
        let load = |tensors: &[_]| load(&checkpoint("fp8", tensors).weights(Role::DiffusionModel).unwrap());
        check_dtype(suffix, 1, &load(&stored), &load(&widened));
    }
}

/// The first model's matrices take `size` bytes a number, the second one's four; they are most of a model.
fn check_dtype(what: &str, size: usize, narrow: &Wan, wide: &Wan) {
    let share = (narrow.size_bytes() * 4) as f64 / (wide.size_bytes() * size) as f64;
    assert!((1.0..1.2).contains(&share), "{what}: {share}");
    let sample = Sample::of(&Fixture::open("dit_t2v"), "odd", 0);
    assert_close(&sample.run(narrow).unwrap(), &sample.run(wide).unwrap(), 1e-6, what);
}

#[test]
fn a_table_of_positions_is_added_to_the_image_features() {
    let fixture = Fixture::open("dit_i2v_image_branch");
    let plain = fixture.weights(Role::DiffusionModel);
    let positions = wavy(&[1, 300, 80]);
    let mut tensors = vec![("img_emb.emb_pos".to_owned(), positions.clone())];
    for (name, stored) in plain.all() {
        let dtype = stored.element_type.dtype().unwrap();
        tensors.push((name.to_owned(), Tensor::from_bytes(stored.bytes.clone(), dtype, &stored.dims).unwrap()));
    }
    let with_table = load(&checkpoint("first-last", &tensors).weights(Role::DiffusionModel).unwrap());
    assert_eq!(with_table.config().image, Some(ImageConfig { dim: 80, positions: Some(300) }));
    // More rows than the table has are cut off.
    let features = wavy(&[310, 80]);
    let sum: Vec<f32> = features.to_vec().iter().zip(positions.to_vec()).map(|(a, b)| a + b).collect();
    let sample = Sample { clip: Some(features), ..Sample::of(&fixture, "clip", 0) };
    let got = sample.run(&with_table).unwrap();
    let want = Sample { clip: Some(Tensor::from_vec(sum, [300, 80])), ..sample }.run(&load(&plain)).unwrap();
    assert_eq!(got.to_vec(), want.to_vec());
}

#[test]
fn loading_and_running_stop_on_request() {
    let fixture = Fixture::open("dit_t2v");
    let weights = fixture.weights(Role::DiffusionModel);
    let wan = load(&weights);
    let mut told = Vec::new();
    let mut stop = |done, count| {
        told.push((done, count));
        ControlFlow::Break(())
    };
    assert_eq!(Wan::load(&weights, &mut stop).err().unwrap().to_string(), "cancelled");
    let Sample { x, timesteps, context, .. } = Sample::of(&fixture, "odd", 0);
    let context = wan.context(&Prompt::from_padded(&context).unwrap(), None).unwrap();
    let layout = wan.layout([3, 6, 10], LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX }).unwrap();
    let error = wan.forward(&x, &timesteps, &context, &layout, &mut stop).unwrap_err();
    assert_eq!(error.to_string(), "cancelled");
    assert_eq!(told, [(1, 2); 2]);
    told.clear();
    let mut go_on = |done, count| {
        told.push((done, count));
        ControlFlow::Continue(())
    };
    wan.forward(&x, &timesteps, &context, &layout, &mut go_on).unwrap();
    assert_eq!(told, [(1, 2), (2, 2)]);
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let open = |name| load(&Fixture::open(name).weights(Role::DiffusionModel));
    let (t2v, i2v) = (open("dit_t2v"), open("dit_i2v_image_branch"));
    let sample = |channels, timesteps: usize, text_dim, clip: Option<&[usize]>| Sample {
        x: wavy(&[channels, 3, 2, 2]),
        timesteps: vec![1.0; timesteps],
        context: wavy(&[4, text_dim]),
        clip: clip.map(wavy),
    };
    for (wan, sample, message, hint) in [
        (&t2v, sample(36, 1, 64, None), "the model's input is [36, 3, 2, 2], expected [16, 3, 2, 2]", ""),
        (&t2v, sample(16, 2, 64, None), "2 timesteps for 3 latent frames, expected 1 or 3", ""),
        (&t2v, sample(16, 0, 64, None), "0 timesteps for 3 latent frames, expected 1 or 3", ""),
        (&t2v, sample(16, 1, 96, None), "the prompt's embedding is [4, 96], expected [tokens, 64]", "UMT5-XXL"),
        (
            &t2v,
            sample(16, 1, 64, Some(&[257, 80])),
            "image features were given to a model without an image branch",
            "unconnected",
        ),
        (&i2v, sample(36, 1, 64, Some(&[9, 81])), "the image features are [9, 81], expected [tokens, 80]", "CLIP"),
        (&i2v, sample(36, 1, 64, Some(&[0, 80])), "the image features are [0, 80], expected [tokens, 80]", "CLIP"),
        (&i2v, sample(36, 1, 64, Some(&[80])), "the image features are [80], expected [tokens, 80]", "CLIP"),
    ] {
        let error = sample.run(wan).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(error.hint().unwrap_or_default().contains(hint), "{message}: {:?}", error.hint());
    }
    let context = t2v.context(&Prompt::new(&wavy(&[4, 64]), 0).unwrap(), None).unwrap();
    let layout = i2v.layout([3, 2, 2], LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX }).unwrap();
    let result = i2v.forward(&wavy(&[36, 3, 2, 2]), &[1.0], &context, &layout, &mut |_, _| ControlFlow::Continue(()));
    assert_eq!(result.unwrap_err().to_string(), "the prompt was prepared for a model of other sizes");
    let empty = Sample { x: wavy(&[16, 3, 0, 2]), ..sample(16, 1, 64, None) };
    let message = "a latent of 3 x 0 x 2 (frames, rows, columns) has nothing in it";
    assert_eq!(empty.run(&t2v).unwrap_err().to_string(), message);
    // Without features the image branch is left out.
    assert!(sample(36, 1, 64, None).run(&i2v).unwrap().to_vec().into_iter().all(f32::is_finite));
}

#[test]
fn checkpoints_that_do_not_fit_are_refused() {
    let fixture = Fixture::open("dit_t2v");
    let error = |change: &dyn Fn(&str, Tensor) -> Option<Tensor>| {
        let weights = fixture.weights_as(Role::DiffusionModel, change);
        Wan::load(&weights, &mut |_, _| ControlFlow::Continue(())).err().unwrap().to_string()
    };
    let missing = "blocks.1.cross_attn.norm_k.weight";
    let message = error(&|name, weight| (name != missing).then_some(weight));
    assert!(message.contains(missing) && message.contains("missing"), "{message}");
    let misshapen = "blocks.0.ffn.2.weight";
    let message = error(&|name, weight| Some(if name == misshapen { wavy(&[128, 103]) } else { weight }));
    assert!(message.contains("[128, 103], expected [128, 104]"), "{message}");
    let message = error(&|name, weight| Some(if name == "text_embedding.0.weight" { wavy(&[128, 0]) } else { weight }));
    assert_eq!(message, "`dit_t2v` does not fit a Wan transformer: one of its sizes is 0");
}
