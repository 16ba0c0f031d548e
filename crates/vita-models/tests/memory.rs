//! What the text encoder and the autoencoder were said to take against what the pool of buffers measured.
//! Alone in its file, and one test: the pool is the process's.

mod common;

use std::ops::ControlFlow;

use common::{Fixture, checkpoint};
use vita_models::clip_vision::{self, ClipVision};
use vita_models::umt5::{self, Umt5};
use vita_models::vae::{Decoder, Encoder, Options, Progress, VaeGeneration, decode_cost, encode_cost};
use vita_tensor::{Tensor, memory};
use vita_weights::{ClipVisionFacts, Layout, Role, VaeFacts, Weights};

/// Weights that are all zeros: memory does not depend on values.
fn zeros(layout: &Layout, role: Role) -> Weights {
    let tensors: Vec<_> = layout.iter().map(|(name, dims)| (name.to_string(), Tensor::zeros(&dims[..]))).collect();
    checkpoint("zeros", &tensors).weights(role).unwrap()
}

/// An autoencoder of a base width.
fn vae_weights(generation: VaeGeneration, dim: usize) -> Weights {
    let (latent_channels, image_channels) = match generation {
        VaeGeneration::Wan21 => (16, 3),
        VaeGeneration::Wan22 => (48, 12),
    };
    let facts = VaeFacts { generation, encoder_dim: dim, decoder_dim: dim, latent_channels, image_channels };
    zeros(&facts.layout(), Role::Vae)
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
    clip_vision();
    // 5: direct convolutions; 16: by Winograd's method, whose scratch is said for a clip's middle.
    const WHOLE: usize = usize::MAX;
    vae(VaeGeneration::Wan21, 5, &[([1, 15, 16], WHOLE), ([2, 10, 12], WHOLE), ([2, 10, 12], 1 << 20)]);
    vae(VaeGeneration::Wan21, 16, &[([3, 7, 8], WHOLE), ([3, 7, 8], 2 << 20), ([5, 7, 8], 0)]);
    // Even there, the convolution of 48 latent channels goes by the latter.
    vae(VaeGeneration::Wan22, 5, &[([1, 15, 16], WHOLE), ([2, 10, 12], WHOLE), ([3, 10, 12], 1 << 20)]);
    vae(VaeGeneration::Wan22, 16, &[([3, 7, 8], WHOLE), ([3, 7, 8], 8 << 20), ([4, 7, 8], 0)]);
}

fn clip_vision() {
    let config = clip_vision::Config { layers: 3, ffn_dim: 400, dim: 160, heads: 2, ..clip_vision::Config::vit_h_14() };
    let facts = ClipVisionFacts {
        dim: config.dim,
        ffn_dim: config.ffn_dim,
        head_count: config.heads,
        layer_count: config.layers,
        patch_size: config.patch_size,
        image_size: config.image_size,
        position_count: config.token_count(),
        fused_qkv: false,
        image_channels: 3,
        embedding_dims: [[config.dim][..].into(), [config.token_count(), config.dim][..].into()],
        unused: Vec::new(),
    };
    let encoder = ClipVision::load(&zeros(&facts.layout(), Role::ClipVision)).unwrap();
    assert_eq!(*encoder.config(), config);
    let pixels = Tensor::zeros([3, 224, 224]);
    let peak = measured(|| assert_eq!(encoder.forward(&pixels).unwrap().sizes(), [257, 160]));
    assert_near(clip_vision::peak_bytes(&config), peak, "clip_vision");
}

fn umt5() {
    let encoder = Umt5::load(&Fixture::open("umt5").weights(Role::TextEncoder)).unwrap();
    for tokens in [300, 700] {
        let peak = measured(|| assert_eq!(encoder.encode(&vec![7; tokens]).unwrap().dims()[0], tokens));
        assert_near(umt5::peak_bytes(encoder.config(), tokens), peak, &format!("umt5 {tokens}"));
    }
}

fn vae(generation: VaeGeneration, dim: usize, clips: &[([usize; 3], usize)]) {
    let ignore = &mut |_: Progress| ControlFlow::Continue(());
    let weights = vae_weights(generation, dim);
    let (decoder, encoder) = (Decoder::load(&weights).unwrap(), Encoder::load(&weights).unwrap());
    let (config, factor) = (decoder.config(), decoder.config().spatial_factor());
    assert_eq!((config, config.widths[0]), (encoder.config(), dim));
    for &(latent, piece_bytes) in clips {
        let options = Options { piece_bytes, tile: None };
        let what = format!("{generation:?} dim {dim} {latent:?} {piece_bytes}");
        let [frames, height, width] = latent;
        let z = Tensor::zeros([config.latent_channels, frames, height, width]);
        let peak = measured(|| assert!(decoder.decode_with(&z, options, ignore).unwrap().is_continue()));
        assert_near(decode_cost(config, latent, options).peak_bytes, peak, &format!("decode {what}"));

        let video = [config.frames(frames), factor * height, factor * width];
        let x = Tensor::zeros([video[0], video[1], video[2], 3]);
        let peak = measured(|| assert!(encoder.encode_with(&x, options, ignore).unwrap().is_continue()));
        assert_near(encode_cost(config, video, options).peak_bytes, peak, &format!("encode {what}"));
    }
}
