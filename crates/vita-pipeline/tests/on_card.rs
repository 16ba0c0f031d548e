//! Whole runs of the small models on a card, held to the same runs on the host. The card is emulated, see
//! `vita-cuda/tests/emulator`: without a C++ compiler that knows `_Float16` the tests say so and pass.

#[path = "../../vita-cuda/tests/emulator/mod.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod emulator;
#[path = "whole/support.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod support;

use std::sync::Arc;

use emulator::{Emulator, Pace};
use support::{Heard, alone, make, models, nano, picture, psnr, request, with_image, within};
use vita_base::Hint;
use vita_cuda::memory::Pool;
use vita_cuda::{Arch, Card};
use vita_pipeline::{
    DecodeOptions, Environment, Error, Latent, Models, Residency, Source, Tile, Vae, VideoRequest, make_video,
};
use vita_tensor::Tensor;

/// Decibels that a video on a card has against the processor's at least.
const PSNR_MIN: f64 = 35.0;

fn card(budget_bytes: Option<u64>) -> Option<Arc<Card>> {
    let Some(compiler) = emulator::compiler() else {
        println!("skipped: no C++ compiler with _Float16");
        return None;
    };
    let machine = Arc::new(Emulator::new(compiler, Arch::SM_80, Pace::AtOnce));
    Some(Card::new(Pool::new(machine, budget_bytes), None))
}

fn make_on(residency: &Residency, models: &Models, request: &VideoRequest) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    within(residency, &mut Heard::default(), |environment| {
        make_video(models, request, environment, &mut |frame| {
            bytes.extend(frame.rgb);
            Ok(())
        })
    })?;
    Ok(bytes)
}

#[test]
fn text_to_video_is_the_hosts() {
    hold_to_the_host([("t2v", Source::Text)]);
}

#[test]
#[ignore = "takes minutes: cargo test -p vita-pipeline --test on_card -- --ignored"]
fn every_other_system_makes_the_hosts_video() {
    hold_to_the_host([("i2v", with_image()), ("a14b", with_image()), ("ti2v", Source::Text)]);
}

fn hold_to_the_host(runs: impl IntoIterator<Item = (&'static str, Source)>) {
    let Some(card) = card(None) else { return };
    for (system, source) in runs {
        let models = models(system);
        let mut request = request(source);
        request.sampling.steps = if models.dit_low.is_some() { 2 } else { 1 };
        request.switch = models.dit_low.is_some().then_some(vita_pipeline::Switch::Step(1));
        let (frames, _) = make(&models, &request).unwrap();
        let residency = Residency::one(None).on_card(card.clone());
        let got = make_on(&residency, &models, &request).unwrap();
        let likeness = psnr(&got, &frames.concat());
        println!("{system}: {likeness:.1} dB");
        assert!(likeness >= PSNR_MIN, "{system}: {likeness} dB");
        residency.unload_all();
        let stats = card.pool().stats();
        assert_eq!((stats.buffer_count, stats.held_bytes), (0, 0), "{system}: all memory came back");
    }
}

#[test]
fn blocks_that_come_and_go_make_the_same_video() {
    let Some(card) = card(None) else { return };
    let models = models("t2v");
    let mut request = request(Source::Text);
    (request.sampling.steps, request.sampling.cfg) = (1, 1.0);
    let run = |swapped| {
        let residency = Residency::one(None).on_card(card.clone()).with_blocks_to_swap(swapped);
        card.pool().reset_peak();
        let video = make_on(&residency, &models, &request).unwrap();
        (video, card.pool().stats().live_bytes_peak)
    };
    let ((whole, whole_bytes), (swapped, swapped_bytes)) = (run(0), run(100));
    assert!(whole == swapped, "the same bytes");
    assert!(swapped_bytes < whole_bytes, "{swapped_bytes} of {whole_bytes}");
}

#[test]
fn a_card_without_room_is_said_and_the_next_job_goes_on() {
    let Some(card) = card(Some(1 << 20)) else { return };
    let residency = Residency::many(None).on_card(card.clone());
    let (models, request) = (models("t2v"), request(Source::Text));
    for _ in 0..3 {
        let error = make_on(&residency, &models, &request).unwrap_err();
        assert!(error.to_string().starts_with("no room on the card for "), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("fewer frames")), "{error}");
        assert_eq!(card.pool().stats().buffer_count, 0);
    }
}

#[test]
fn pictures_without_room_go_in_tiles_on_a_card() {
    let Some(roomy) = card(None) else { return };
    let vae = Vae::open(nano("vae")).unwrap();
    let pictures = picture(16, 128);
    let residency = Residency::one(None).on_card(roomy.clone());
    let encode = |environment: &mut Environment| vae.encode(&pictures, DecodeOptions::default(), environment).unwrap();
    let (latent, want) = (within(&residency, &mut Heard::default(), encode), alone(encode));
    let apart = error(&latent.samples, &want.samples);
    assert!(apart < 1e-2, "encoded: {apart}");
    residency.unload_all();

    let tiles = DecodeOptions { tile: Some(Tile { size: 64, overlap: 16 }) };
    let (whole, whole_bytes) = decoded(&vae, &latent, DecodeOptions::default(), &roomy);
    let (cut, cut_bytes) = decoded(&vae, &latent, tiles, &roomy);
    let host = |options| alone(|environment| vae.decode(&latent, options, environment)).unwrap();
    let errors = [error(&whole.unwrap(), &host(DecodeOptions::default())), error(cut.as_ref().unwrap(), &host(tiles))];
    assert!(errors.iter().all(|error| *error < 1e-2), "decoded: {errors:?}");
    assert!(cut_bytes < whole_bytes, "{cut_bytes} of {whole_bytes}");

    // Something else holds so much of a card that whole pictures have no room, as no plan could know.
    let small = card(Some(SEGMENT_BYTES)).unwrap();
    let hold = |bytes: u64| -> Vec<_> { (0..bytes >> 14).map(|_| small.pool().allocate(1 << 14).unwrap()).collect() };
    let others = hold(SEGMENT_BYTES - (cut_bytes + whole_bytes) / 2);
    let (got, _) = decoded(&vae, &latent, DecodeOptions::default(), &small);
    assert!(got.unwrap().to_vec() == cut.unwrap().to_vec(), "the same as in tiles from the start");

    // Less than the smallest tiles take.
    let more = hold((whole_bytes - cut_bytes) / 2 + cut_bytes / 2);
    let error = decoded(&vae, &latent, DecodeOptions::default(), &small).0.unwrap_err();
    assert!(error.to_string().starts_with("no room on the card for "), "{error}");
    assert_eq!(small.pool().stats().buffer_count, (others.len() + more.len()) as u64, "all else came back");
}

/// What a small card has in all: the pool's segment of small buffers.
const SEGMENT_BYTES: u64 = 8 << 20;

/// Pictures of a latent, decoded on a card, and the most that this took.
fn decoded(vae: &Vae, latent: &Latent, options: DecodeOptions, card: &Arc<Card>) -> (Result<Tensor, Error>, u64) {
    card.pool().reset_peak();
    let residency = Residency::one(None).on_card(card.clone());
    let pictures = within(&residency, &mut Heard::default(), |environment| vae.decode(latent, options, environment));
    (pictures, card.pool().stats().live_bytes_peak)
}

/// Relative to the signal, in the mean square.
fn error(got: &Tensor, want: &Tensor) -> f64 {
    let (got, want) = (got.to_vec(), want.to_vec());
    assert_eq!(got.len(), want.len());
    let square = |value: f32| f64::from(value).powi(2);
    let apart: f64 = got.iter().zip(&want).map(|(got, want)| square(got - want)).sum();
    (apart / want.iter().map(|want| square(*want)).sum::<f64>()).sqrt()
}
