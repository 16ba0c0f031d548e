//! What the text encoder and the autoencoder were said to take against what the pool of buffers measured.
//! Alone in its file, and one test: the pool is the process's.

mod common;

use std::ops::ControlFlow;

use common::{Fixture, checkpoint};
use vita_models::umt5::{self, Umt5};
use vita_models::vae21::{Config, Decoder, Encoder, Options, Progress, decode_cost, encode_cost};
use vita_tensor::{Tensor, memory};
use vita_weights::{Role, VaeFacts, VaeGeneration, Weights};

/// Weights of a base width, all of them zeros: memory does not depend on values.
fn weights(dim: usize) -> Weights {
    let facts = VaeFacts {
        generation: VaeGeneration::Wan21,
        encoder_dim: dim,
        decoder_dim: dim,
        latent_channels: 16,
        image_channels: 3,
    };
    let tensors: Vec<_> =
        facts.layout().iter().map(|(name, dims)| (name.to_string(), Tensor::zeros(&dims[..]))).collect();
    checkpoint("zeros", &tensors).weights(Role::Vae).unwrap()
}

/// Peak of the pool during the work, above what was there before.
fn measured(work: impl FnOnce()) -> usize {
    memory::release_idle();
    memory::reset_peak();
    let before = memory::stats().peak_bytes;
    work();
    memory::stats().peak_bytes - before
}

fn assert_near(said_bytes: usize, measured: usize, what: &str) {
    let ratio = measured as f64 / said_bytes as f64;
    println!("{what}: said {} KiB, measured / said {ratio:.3}", said_bytes >> 10);
    assert!((0.85..1.15).contains(&ratio), "{what}: said {} bytes, measured {measured}", said_bytes);
}

#[test]
fn costs_are_what_is_measured() {
    umt5();
    vae21();
}

fn umt5() {
    let encoder = Umt5::load(&Fixture::open("umt5").weights(Role::TextEncoder)).unwrap();
    for tokens in [300, 700] {
        let peak = measured(|| assert_eq!(encoder.encode(&vec![7; tokens]).unwrap().dims()[0], tokens));
        assert_near(umt5::peak_bytes(encoder.config(), tokens), peak, &format!("umt5 {tokens}"));
    }
}

fn vae21() {
    let ignore = &mut |_: Progress| ControlFlow::Continue(());
    // 5: direct convolutions; 16: by Winograd's method, whose scratch is said for a clip's middle.
    const WHOLE: usize = usize::MAX;
    for (dim, clips) in [
        (5, &[([1, 15, 16], WHOLE), ([2, 10, 12], WHOLE), ([2, 10, 12], 1 << 20)][..]),
        (16, &[([3, 7, 8], WHOLE), ([3, 7, 8], 2 << 20), ([5, 7, 8], 0)]),
    ] {
        let (weights, config) = (weights(dim), Config::with_base_width(dim));
        let (decoder, encoder) = (Decoder::load(&weights).unwrap(), Encoder::load(&weights).unwrap());
        for &(latent, piece_bytes) in clips {
            let (options, what) = (Options { piece_bytes, tile: None }, format!("dim {dim} {latent:?} {piece_bytes}"));
            let [frames, height, width] = latent;
            let z = Tensor::zeros([16, frames, height, width]);
            let peak = measured(|| assert!(decoder.decode_with(&z, options, ignore).unwrap().is_continue()));
            assert_near(decode_cost(&config, latent, options).peak_bytes, peak, &format!("decode {what}"));

            let video = [config.frames(frames), 8 * height, 8 * width];
            let x = Tensor::zeros([video[0], video[1], video[2], 3]);
            let peak = measured(|| assert!(encoder.encode_with(&x, options, ignore).unwrap().is_continue()));
            assert_near(encode_cost(&config, video, options).peak_bytes, peak, &format!("encode {what}"));
        }
    }
}
