//! The Wan 2.2 autoencoder against diffusers, and against itself in pieces, in tiles, and by its memory's estimate.
//! What it shares with Wan 2.1's is held in `vae21.rs`.

mod common;

use std::ops::ControlFlow;

use common::{Fixture, assert_close};
use vita_models::vae::{
    BlockConfig, Config, Decoder, Encoder, Error, InputError, Options, Progress, ShortcutConfig, Tile, Vae,
    VaeGeneration, WAN22, decode_cost,
};
use vita_tensor::Tensor;
use vita_weights::Role;

/// A tenth of what modules are held to.
const BOUND: f64 = 1e-5;

const FRAME_BY_FRAME: Options = Options { piece_bytes: 0, tile: None };

const FIXTURES: [&str; 2] = ["vae22_dim4", "vae22_dim8"];

fn vae(fixture: &Fixture) -> Vae {
    Vae::of(fixture.weights(Role::Vae)).unwrap()
}

/// A case's input without its batch axis: the latent `[48, T, h, w]`, or the video `[F, H, W, 3]`.
fn latent_of(fixture: &Fixture, case: &str) -> Tensor {
    fixture.input(case, "z").select(0, 0)
}

fn video_of(fixture: &Fixture, case: &str) -> Tensor {
    fixture.input(case, "x").select(0, 0).permute(&[1, 2, 3, 0])
}

#[test]
fn whole_or_in_pieces_it_matches_diffusers() {
    for name in FIXTURES {
        let fixture = Fixture::open(name);
        let vae = vae(&fixture);
        let (decoder, encoder) = (vae.load_decoder().unwrap(), vae.load_encoder().unwrap());
        for piece_bytes in [usize::MAX, 0, 20_000, 60_000, 150_000] {
            let options = Options { piece_bytes, tile: None };
            for case in fixture.cases() {
                let want = fixture.output(&case).select(0, 0);
                let got = match case.starts_with("decode") {
                    true => decoder.decode(&latent_of(&fixture, &case), options).unwrap(),
                    false => encoder.encode(&video_of(&fixture, &case), options).unwrap(),
                };
                assert_close(&got, &want, BOUND, &format!("{name} {case} {piece_bytes}"));
            }
        }
    }
}

#[test]
fn a_file_tells_which_one_it_is() {
    let fixture = Fixture::open("vae22_dim4");
    let vae22 = vae(&fixture);
    assert_eq!(*vae22.encoder_config(), Config::wan22_with_base_width(4));
    assert_eq!(*vae22.decoder_config(), Config::wan22_with_base_width(8));
    assert_eq!((vae22.generation(), vae22.spatial_factor(), vae22.time_factor()), (VaeGeneration::Wan22, 16, 4));
    assert_eq!((vae22.latent_channels(), vae22.frames(3), vae22.latent_frames(12)), (48, 9, 3));
    assert_eq!(vae22.latent_dims([9, 64, 48]), [48, 3, 4, 3]);
    let latent = fixture.output("encode_1x2x3").select(0, 0);
    assert_close(&vae22.denormalize(&vae22.normalize(&latent)), &latent, 1e-5, "there and back");
    assert_close(&vae22.normalize(&latent), &WAN22.normalize(&latent), 0.0, "of its own scale");
    assert_eq!(vae22.preview(&latent, 0).sizes(), [2, 3, 3]);
    let stored: u64 = vae22.weights().all().map(|(_, stored)| stored.bytes.len() as u64).sum();
    assert_eq!(vae22.encoder_bytes() + vae22.decoder_bytes(), stored);

    let vae21 = vae(&Fixture::open("vae21_dim8"));
    assert_eq!((vae21.generation(), vae21.spatial_factor(), vae21.latent_channels()), (VaeGeneration::Wan21, 8, 16));
    assert_eq!(vae21.latent_dims([5, 64, 48]), [16, 2, 8, 6]);
}

#[test]
fn halves_run_through_one_type() {
    let fixture = Fixture::open("vae22_dim8");
    let vae = vae(&fixture);
    let want = fixture.output("encode_2x1x1").select(0, 0);
    let got = vae.encode(&video_of(&fixture, "encode_2x1x1"), Options::WHOLE).unwrap();
    assert_close(&got, &want, BOUND, "encode");
    let mut counts = Vec::new();
    let mut watch = |progress: Progress| {
        if let Some(frames) = progress.frames {
            assert_eq!(frames.dims()[1..], [16, 32, 3]);
            counts.push(frames.dims()[0]);
        }
        ControlFlow::Continue(())
    };
    let flow = vae.decode_with(&latent_of(&fixture, "decode_3x1x2"), FRAME_BY_FRAME, &mut watch).unwrap();
    assert!(flow.is_continue());
    assert_eq!(counts, [1; 9]);
    let error = vae.encode(&Tensor::zeros([1, 16, 24, 3]), Options::WHOLE).unwrap_err();
    assert!(matches!(error, Error::Input(InputError::Size { factor: 16, .. })), "{error}");
}

#[test]
fn tiles_are_the_parts_and_blend_where_they_overlap() {
    let fixture = Fixture::open("vae22_dim4");
    let decoder = vae(&fixture).load_decoder().unwrap();
    let latent = latent_of(&fixture, "decode_1x3x2");
    let tiled = Options { tile: Some(Tile { size: 32, overlap: 16 }), ..FRAME_BY_FRAME };
    let got = decoder.decode(&latent, tiled).unwrap();
    let top = decoder.decode(&latent.narrow(2, 0, 2), Options::WHOLE).unwrap();
    assert_close(&got.narrow(2, 0, 16), &top.narrow(2, 0, 16), 1e-5, "top");
}

#[test]
fn latents_of_no_known_scale_are_refused() {
    let change = |key: &str, weight: Tensor| {
        let [z, out, kt, kh, kw] = match key {
            "decoder.conv1.weight" => [12, 32, 3, 3, 3],
            _ => return Some(weight),
        };
        Some(Tensor::zeros([out, z, kt, kh, kw]))
    };
    let error = Vae::of(Fixture::open("vae22_dim4").weights_as(Role::Vae, change)).err().unwrap();
    assert_eq!(error.to_string(), "the latents of `vae22_dim4` have 12 channels, expected 48");
}

#[test]
fn stages_that_no_shortcut_leads_around_are_found_not_to_fit() {
    for (name, dims) in [
        ("encoder.downsamples.1.downsamples.0.residual.6.weight", &[7, 8, 3, 3, 3][..]),
        ("decoder.upsamples.2.upsamples.0.residual.6.weight", &[7, 8, 3, 3, 3]),
        ("decoder.upsamples.2.upsamples.0.residual.6.weight", &[0, 8, 3, 3, 3]),
        ("decoder.head.2.weight", &[13, 8, 3, 3, 3]),
        ("encoder.conv1.weight", &[4, 2, 3, 3, 3]),
    ] {
        let change = |key: &str, weight| Some(if key == name { Tensor::zeros(dims) } else { weight });
        let weights = Fixture::open("vae22_dim4").weights_as(Role::Vae, change);
        let error = match name.starts_with("encoder") {
            true => Encoder::load(&weights).err(),
            false => Decoder::load(&weights).err(),
        };
        let text = error.unwrap().to_string();
        assert!(text.contains(name) && text.contains("expected"), "{text}");
    }
}

#[test]
fn costs_of_the_published_size() {
    let (encoder, decoder) = (Config::wan22_encoder(), Config::wan22_decoder());
    assert_eq!((encoder.spatial_factor(), decoder.spatial_factor()), (16, 16));
    let forks = |blocks: Vec<(String, BlockConfig)>| -> Vec<ShortcutConfig> {
        let fork = |block| match block {
            BlockConfig::Fork(shortcut) => Some(shortcut),
            _ => None,
        };
        blocks.into_iter().filter_map(|(_, block)| fork(block)).collect()
    };
    let facts = |of: &[ShortcutConfig]| -> Vec<[usize; 4]> {
        of.iter().map(|shortcut| [shortcut.inputs, shortcut.outputs, shortcut.space, shortcut.time]).collect()
    };
    // `avg_shortcut` of each stage of `Wan2_2_VAE`.
    let up = facts(&forks(decoder.decoder_blocks()));
    assert_eq!(up, [[1024, 1024, 2, 2], [1024, 1024, 2, 2], [1024, 512, 2, 1]]);
    let down = facts(&forks(encoder.encoder_blocks()));
    assert_eq!(down, [[160, 160, 2, 1], [160, 320, 2, 2], [320, 640, 2, 2], [640, 640, 1, 1]]);

    let vae_cost = |options| decode_cost(&decoder, [31, 44, 80], options);
    let [whole, apart] = [Options::WHOLE, FRAME_BY_FRAME].map(vae_cost);
    // The work is the same, the memory is not: 121 frames of 1280 x 704 pixels in less than 9 GiB, most of it
    // the two frames that each convolution keeps.
    assert!((whole.flops / apart.flops - 1.0).abs() < 1e-12);
    assert!(apart.peak_bytes < 9 << 30 && whole.peak_bytes > 10 * apart.peak_bytes, "{whole:?} {apart:?}");
}
