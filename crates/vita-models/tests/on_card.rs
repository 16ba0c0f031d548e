//! Networks on a card, held to themselves on the host. The card is emulated, see
//! `vita-cuda/tests/emulator`: without a C++ compiler that knows `_Float16` the tests say so and pass.

mod common;
#[path = "../../vita-cuda/tests/emulator/mod.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod emulator;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::{Fixture, relative_error, to_bf16, to_e4m3};
use emulator::{Emulator, Pace};
use vita_cuda::memory::Pool;
use vita_cuda::{Arch, Card};
use vita_models::clip_vision::ClipVision;
use vita_models::umt5::Umt5;
use vita_models::wan::{Context, Error, HIDDEN_BYTES_MAX, LayoutOptions, Prompt, Wan};
use vita_ops::{Activation, AttentionMode, Linear, Precision};
use vita_tensor::Tensor;
use vita_weights::Role;

/// What products of bf16 may cost.
const BOUND: f64 = 1e-2;

fn card(budget_bytes: Option<u64>) -> Option<Arc<Card>> {
    card_of(Arch::SM_80, Pace::AtOnce, budget_bytes)
}

fn card_of(arch: Arch, pace: Pace, budget_bytes: Option<u64>) -> Option<Arc<Card>> {
    let Some(compiler) = emulator::compiler() else {
        println!("skipped: no C++ compiler with _Float16");
        return None;
    };
    let machine = Arc::new(Emulator::new(compiler, arch, pace));
    Some(Card::new(Pool::new(machine, budget_bytes), None))
}

struct Sample {
    wan: Wan,
    x: Tensor,
    timesteps: Vec<f32>,
    context: Tensor,
    clip: Option<Tensor>,
}

impl Sample {
    /// As files have them.
    fn of(name: &str) -> Self {
        Self::with(name, |_, weight| Some(to_bf16(&weight)))
    }

    fn with(name: &str, stored: impl Fn(&str, Tensor) -> Option<Tensor>) -> Self {
        let fixture = Fixture::open(name);
        let case = fixture.cases().into_iter().next().unwrap();
        let row = |name| fixture.input(&case, name).select(0, 0);
        let weights = fixture.weights_as(Role::DiffusionModel, stored);
        let clip = weights.contains("img_emb.proj.0.weight").then(|| row("clip_fea"));
        let wan = Wan::load(&weights, &mut |_, _| ControlFlow::Continue(())).unwrap();
        Self { wan, x: row("x"), timesteps: row("timestep").to_vec(), context: row("context"), clip }
    }

    fn context(&self, wan: &Wan) -> Result<Context, Error> {
        wan.context(&Prompt::from_padded(&self.context)?, self.clip.as_ref())
    }

    fn run(&self, wan: &Wan, hidden_bytes_max: usize) -> Result<Tensor, Error> {
        self.pass(wan, &self.context(wan)?, hidden_bytes_max)
    }

    fn pass(&self, wan: &Wan, context: &Context, hidden_bytes_max: usize) -> Result<Tensor, Error> {
        let [_, latent @ ..] = self.x.sizes::<4>();
        let layout = wan.layout(latent, LayoutOptions { hidden_bytes_max })?;
        wan.forward(&self.x, &self.timesteps, context, &layout, &mut |_, _| ControlFlow::Continue(()))
    }
}

#[test]
fn every_kind_of_transformer_matches_the_host() {
    let Some(card) = card(None) else { return };
    for name in ["dit_t2v", "dit_t2v_two_heads", "dit_ti2v", "dit_i2v_image_branch", "dit_flf2v"] {
        let sample = Sample::of(name);
        let want = sample.run(&sample.wan, HIDDEN_BYTES_MAX).unwrap();
        let there = sample.wan.to_card(&card, 0).unwrap();
        // Whole, and one of them in parts: it has a timestep for each frame.
        let sizes: &[usize] = if name == "dit_ti2v" { &[HIDDEN_BYTES_MAX, 3000] } else { &[HIDDEN_BYTES_MAX] };
        for &hidden_bytes_max in sizes {
            let got = sample.run(&there, hidden_bytes_max).unwrap();
            let error = relative_error(&got, &want);
            println!("{name}: {error:.2e}");
            assert!(error < BOUND, "{name}: {error}");
        }
        // A block that comes and goes is a block that stays.
        drop(there);
        let whole = |swapped| sample.run(&sample.wan.to_card(&card, swapped).unwrap(), HIDDEN_BYTES_MAX).unwrap();
        if name == "dit_t2v" {
            assert_eq!(sample.wan.to_card(&card, 9).unwrap().swapped_blocks(), sample.wan.config().layers);
            assert_eq!(whole(1).to_vec(), whole(0).to_vec());
            assert_eq!(whole(9).to_vec(), whole(0).to_vec());
        }
    }
    assert_eq!(card.pool().stats().buffer_count, 0, "all memory came back");
}

/// Copies beside the work happen when they are waited for, or at once: the answer is the same, whether blocks have pinned
/// memory or not.
#[test]
fn blocks_that_come_while_others_compute_are_blocks_that_stay() {
    let sample = Sample::of("dit_t2v");
    let layers = sample.wan.config().layers;
    let mut want = Vec::new();
    for (pace, pinned_max, swapped) in [
        (Pace::Late, None, 0),
        (Pace::Late, None, 1),
        (Pace::Late, None, layers),
        (Pace::AtOnce, None, layers),
        (Pace::Late, Some(9000), layers),
    ] {
        let Some(card) = card_of(Arch::SM_80, pace, None) else { return };
        card.pool().set_pinned_max(pinned_max);
        let there = sample.wan.to_card(&card, swapped).unwrap();
        let pinned = card.pool().stats().pinned_bytes;
        assert!(pinned <= pinned_max.unwrap_or(u64::MAX), "{pinned} pinned bytes");
        assert_eq!(pinned > 0, swapped > 0 && pinned_max.is_none(), "blocks wait in pinned memory");
        // Twice: the first block is brought while the last one computes.
        for _ in 0..2 {
            let got = sample.run(&there, HIDDEN_BYTES_MAX).unwrap().to_vec();
            if swapped == 0 {
                want = got;
            } else {
                assert_eq!(got, want, "{swapped} of {layers}, {pace:?}");
            }
        }
        drop(there);
        let stats = card.pool().stats();
        assert_eq!((stats.buffer_count, stats.pinned_bytes), (0, 0), "all memory came back");
    }
}

/// LoRAs have any rank, and layers at the ends of a network any width.
#[test]
fn changes_of_a_layer_go_to_the_card_with_it() {
    let Some(card) = card(None) else { return };
    for (features, rank) in [([24, 40], 3), ([21, 33], 8), ([64, 16], 20)] {
        let [inputs, outputs] = features;
        let noise = |seed: usize, sizes: &[usize]| {
            let value = |i: usize| ((i * 7919 + seed * 104_729 + i * i % 8191) as f32 * 0.618).sin();
            Tensor::from_vec((0..sizes.iter().product()).map(value).collect(), sizes)
        };
        let bias = noise(1, &[outputs]);
        let mut layer = Linear::new(&to_bf16(&noise(2, &[outputs, inputs])), Some(0.5), Some(&bias));
        layer.add_low_rank(&noise(3, &[outputs, rank]), &noise(4, &[rank, inputs]), 0.25);
        layer.add_weight(&noise(5, &[outputs, inputs]), 0.5);
        let x = noise(6, &[70, inputs]);
        for activation in [Activation::None, Activation::GeluTanh] {
            let want = layer.forward(&x, activation);
            let got = layer.to_card(&card).unwrap().forward(&x, activation).to_host().unwrap();
            let error = relative_error(&got, &want);
            println!("{features:?}, rank {rank}: {error:.2e}");
            assert!(error < BOUND, "{features:?}, rank {rank}: {error}");
        }
    }
    assert_eq!(card.pool().stats().buffer_count, 0, "all memory came back");
}

/// What 8 bits may cost a whole network.
#[test]
fn products_and_attention_of_8_bits_stay_close_to_the_host() {
    let e4m3 = |name: &str, weight: Tensor| {
        let is_large = name.ends_with(".weight") && name.starts_with("blocks.") && weight.dims().len() == 2;
        Some(if is_large { to_e4m3(&weight) } else { to_bf16(&weight) })
    };
    for (name, attention, fp8_products, bound) in [
        ("dit_t2v", AttentionMode::Bf16, true, 3e-2),
        ("dit_t2v_two_heads", AttentionMode::Int8, false, 3e-2),
        ("dit_i2v_image_branch", AttentionMode::Fp8, true, 3e-2),
    ] {
        let Some(card) = card_of(Arch::SM_89, Pace::AtOnce, None) else { return };
        let sample = Sample::with(name, e4m3);
        let want = sample.run(&sample.wan, HIDDEN_BYTES_MAX).unwrap();
        let precision = Precision { attention, fp8_products };
        let error_of = |precision, swapped| {
            let there = sample.wan.clone().with_precision(precision).to_card(&card, swapped).unwrap();
            relative_error(&sample.run(&there, HIDDEN_BYTES_MAX).unwrap(), &want)
        };
        let (wide, narrow) = (error_of(Precision::default(), 0), error_of(precision, 1));
        println!("{name}, {attention}, fp8 products {fp8_products}: {narrow:.2e}, in 16 bits {wide:.2e}");
        assert!(narrow < bound, "{name}: {narrow}");
        assert!(narrow > wide, "{name}: 8 bits were used");
    }
}

#[test]
fn the_text_encoder_matches_the_host() {
    let Some(card) = card(None) else { return };
    let encoder = Umt5::load(&Fixture::open("umt5").weights_as(Role::TextEncoder, |_, w| Some(to_bf16(&w)))).unwrap();
    let there = encoder.to_card(&card).unwrap();
    let prompts: [&[u32]; 3] = [&[3, 1], &[90, 17, 17, 5, 44, 9, 61, 2, 8, 1], &[1]];
    let both = [&encoder, &there].map(|encoder| {
        let ControlFlow::Continue(rows) = encoder.encode_all(&prompts, &mut |_| ControlFlow::Continue(())).unwrap()
        else {
            panic!("never told to stop")
        };
        rows
    });
    let [want, got] = both;
    for (index, (got, want)) in got.iter().zip(&want).enumerate() {
        assert!(!got.is_on_host());
        let error = relative_error(&got.to_host().unwrap(), want);
        println!("umt5 {index}: {error:.2e}");
        assert!(error < BOUND, "prompt {index}: {error}");
    }
}

#[test]
fn the_vision_encoder_matches_the_host() {
    let Some(card) = card(None) else { return };
    let fixture = Fixture::open("clip_vision");
    let case = fixture.cases().into_iter().next().unwrap();
    let pixels = fixture.input(&case, "pixel_values").select(0, 0);
    let weights = fixture.weights_as(Role::ClipVision, |_, weight| Some(to_bf16(&weight)));
    let encoder = ClipVision::load(&weights).unwrap();
    let there = encoder.to_card(&card).unwrap();
    let [want, got] = [&encoder, &there].map(|encoder| encoder.forward(&pixels).unwrap().to_host().unwrap());
    let error = relative_error(&got, &want);
    println!("clip vision: {error:.2e}");
    assert!(error < BOUND, "{error}");
}

#[test]
fn what_finds_no_room_is_an_error_and_leaves_nothing() {
    let sample = Sample::of("dit_t2v");
    let starts = |error: &Error| error.to_string().starts_with("no room on the card for ");

    let Some(small) = card(Some(1 << 20)) else { return };
    let error = sample.wan.to_card(&small, 0).err().expect("no room for the weights");
    assert!(starts(&error), "{error}");
    assert_eq!(small.pool().stats().buffer_count, 0, "all memory came back");

    // The weights fit, and then something else takes what is left: blocks give way, and that is not enough.
    let Some(card) = card(Some(16 << 20)) else { return };
    let there = sample.wan.to_card(&card, 0).unwrap();
    assert_eq!(there.swapped_blocks(), 0);
    let want = sample.run(&there, HIDDEN_BYTES_MAX).unwrap();
    let take_all = || -> Vec<_> { std::iter::from_fn(|| card.pool().allocate(16 << 10).ok()).collect() };
    let mut others = take_all();
    let layers = sample.wan.config().layers;
    let held = sample.wan.to_card(&card, layers);
    assert!(held.is_err(), "nothing has room");
    // What one block took is enough for the work, if the block comes and goes.
    others.truncate(others.len().saturating_sub(8));
    match sample.run(&there, HIDDEN_BYTES_MAX) {
        Ok(got) => assert_eq!(got.to_vec(), want.to_vec(), "the same, with less room"),
        Err(error) => assert!(starts(&error), "{error}"),
    }
    assert!(there.swapped_blocks() > 0, "blocks gave way");
    drop(others);
    let got = sample.run(&there, HIDDEN_BYTES_MAX).unwrap();
    assert_eq!(got.to_vec(), want.to_vec(), "and it goes on");
}

/// A pass that fails while it makes the keys leaves none that are not there.
#[test]
fn keys_that_found_no_room_are_made_later() {
    let sample = Sample::of("dit_t2v");
    let Some(card) = card(Some(16 << 20)) else { return };
    let there = sample.wan.to_card(&card, sample.wan.config().layers).unwrap();
    let want = sample.run(&there, HIDDEN_BYTES_MAX).unwrap();
    let context = sample.context(&there).unwrap();
    let mut others: Vec<_> = std::iter::from_fn(|| card.pool().allocate(16 << 10).ok()).collect();
    let mut failures = 0;
    loop {
        match sample.pass(&there, &context, HIDDEN_BYTES_MAX) {
            Ok(got) => break assert_eq!(got.to_vec(), want.to_vec(), "after {failures} failures"),
            Err(error) => assert!(error.to_string().starts_with("no room on the card for "), "{error}"),
        }
        failures += 1;
        others.pop().expect("room for a pass when nothing else is there");
    }
    assert!(failures > 1, "it failed in more than one place");
}
