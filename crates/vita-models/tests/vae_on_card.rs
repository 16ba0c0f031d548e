//! The autoencoders on a card, held to themselves on the host. The card is emulated, see
//! `vita-cuda/tests/emulator`: without a C++ compiler that knows `_Float16` the tests say so and pass.

mod common;
#[path = "../../vita-cuda/tests/emulator/mod.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod emulator;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::{Fixture, relative_error, to_bf16};
use emulator::{Emulator, Pace};
use vita_cuda::memory::Pool;
use vita_cuda::{Arch, Card};
use vita_models::vae::{Decoder, Encoder, InputError, Options, Progress, Tile};
use vita_tensor::Tensor;
use vita_weights::Role;

/// What activations and products of bf16 may cost.
const BOUND: f64 = 1e-2;

/// Single frames wherever frames are parted.
const FRAME_BY_FRAME: Options = Options { piece_bytes: 0, tile: None };

fn card(budget_bytes: Option<u64>) -> Option<Arc<Card>> {
    let Some(compiler) = emulator::compiler() else {
        println!("skipped: no C++ compiler with _Float16");
        return None;
    };
    let machine = Arc::new(Emulator::new(compiler, Arch::SM_80, Pace::AtOnce));
    Some(Card::new(Pool::new(machine, budget_bytes), None))
}

/// Both halves, as files have them.
struct Sample {
    fixture: Fixture,
    decoder: Decoder,
    encoder: Encoder,
}

impl Sample {
    fn of(name: &str) -> Self {
        let fixture = Fixture::open(name);
        let weights = fixture.weights_as(Role::Vae, |_, weight| Some(to_bf16(&weight)));
        let (decoder, encoder) = (Decoder::load(&weights).unwrap(), Encoder::load(&weights).unwrap());
        Self { fixture, decoder, encoder }
    }

    /// A corner of a case's latent, `[C, T, h, w]`: the card is slow.
    fn latent(&self, case: &str) -> Tensor {
        let latent = self.fixture.input(case, "z").select(0, 0);
        [2, 2, 1].into_iter().enumerate().fold(latent, |latent, (axis, most)| {
            let most = latent.dims()[axis + 1].min(most);
            latent.narrow(axis + 1, 0, most)
        })
    }

    fn video(&self, case: &str) -> Tensor {
        self.fixture.input(case, "x").select(0, 0).permute(&[1, 2, 3, 0]).narrow(0, 0, 5)
    }
}

#[track_caller]
fn assert_near(got: Result<Tensor, InputError>, want: Result<Tensor, InputError>, what: &str) {
    let error = relative_error(&got.unwrap(), &want.unwrap());
    println!("{what}: {error:.2e}");
    assert!(error < BOUND, "{what}: {error}");
}

/// Widths that kernels take as they are, and widths that are filled up.
#[test]
fn every_autoencoder_matches_the_host() {
    let Some(card) = card(None) else { return };
    for (name, decode, encode) in [
        ("vae21_dim8", "decode_2x2x3", None),
        ("vae21_dim5", "decode_3x5x1", Some("encode_2x1x3")),
        ("vae22_dim8", "decode_3x1x2", Some("encode_2x1x1")),
        ("vae22_dim4", "decode_2x1x3", Some("encode_3x1x2")),
    ] {
        let sample = Sample::of(name);
        let (decoder, encoder) = (sample.decoder.to_card(&card).unwrap(), sample.encoder.to_card(&card).unwrap());
        let latent = sample.latent(decode);
        let want = sample.decoder.decode(&latent, Options::WHOLE);
        // One of them in pieces, which makes no difference.
        let options = if name == "vae22_dim4" { FRAME_BY_FRAME } else { Options::WHOLE };
        assert_near(decoder.decode(&latent, options), want, &format!("{name} {decode}"));
        if let Some(encode) = encode {
            let video = sample.video(encode);
            let want = sample.encoder.encode(&video, Options::WHOLE);
            assert_near(encoder.encode(&video, options), want, &format!("{name} {encode}"));
        }
    }
    assert_eq!(card.pool().stats().buffer_count, 0, "all memory came back");
}

#[test]
fn tiles_and_single_pictures_work_there_too() {
    let Some(card) = card(None) else { return };
    let sample = Sample::of("vae21_dim8");
    let encoder = sample.encoder.to_card(&card).unwrap();
    let video = sample.fixture.input("encode_1x2x3", "x").select(0, 0).permute(&[1, 2, 3, 0]);
    let options = Options { tile: Some(Tile { size: 16, overlap: 8 }), ..FRAME_BY_FRAME };
    assert_near(encoder.encode(&video, options), sample.encoder.encode(&video, options), "in tiles");
}

#[test]
fn what_finds_no_room_is_an_error_and_leaves_nothing() {
    let sample = Sample::of("vae21_dim8");
    let latent = sample.latent("decode_2x2x3");
    let starts = |error: &InputError| error.to_string().starts_with("no room on the card for ");

    let Some(small) = card(Some(1 << 20)) else { return };
    let error = sample.decoder.to_card(&small).err().expect("no room for the weights");
    assert!(starts(&error), "{error}");
    assert!(sample.encoder.to_card(&small).is_err());
    assert_eq!(small.pool().stats().buffer_count, 0, "all memory came back");

    // The weights fit, and then something else takes what is left.
    let Some(card) = card(Some(16 << 20)) else { return };
    let there = sample.decoder.to_card(&card).unwrap();
    let weights = card.pool().stats().buffer_count;
    let others: Vec<_> = std::iter::from_fn(|| card.pool().allocate(4 << 10).ok()).collect();
    let mut heard = 0;
    let decoded = there.decode_with(&latent, Options::WHOLE, &mut |progress: Progress| {
        heard += usize::from(progress.frames.is_some());
        ControlFlow::Continue(())
    });
    let error = decoded.unwrap_err();
    assert!(starts(&error) && heard == 0, "{error} after {heard} pieces");
    drop(others);
    assert_eq!(card.pool().stats().buffer_count, weights, "all but the weights came back");
}
