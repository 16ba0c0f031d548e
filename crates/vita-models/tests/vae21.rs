//! The autoencoder against diffusers, and against itself in pieces, in tiles, and on other dtypes.

mod common;

use std::ops::ControlFlow;

use common::{Fixture, assert_close, to_bf16, to_f32};
use vita_models::vae::{Config, Decoder, Encoder, InputError, Options, Progress, Tile, decode_cost, encode_cost};
use vita_tensor::Tensor;
use vita_weights::Role;

/// A tenth of what modules are held to.
const BOUND: f64 = 1e-5;

/// Single frames wherever frames are parted.
const FRAME_BY_FRAME: Options = Options { piece_bytes: 0, tile: None };

fn decoder(fixture: &Fixture) -> Decoder {
    Decoder::load(&fixture.weights(Role::Vae)).unwrap()
}

fn encoder(fixture: &Fixture) -> Encoder {
    Encoder::load(&fixture.weights(Role::Vae)).unwrap()
}

/// A case's input without its batch axis: the latent `[16, T, h, w]`, or the video `[F, H, W, 3]`.
fn latent_of(fixture: &Fixture, case: &str) -> Tensor {
    fixture.input(case, "z").select(0, 0)
}

fn video_of(fixture: &Fixture, case: &str) -> Tensor {
    fixture.input(case, "x").select(0, 0).permute(&[1, 2, 3, 0])
}

#[test]
fn whole_or_in_pieces_it_matches_diffusers() {
    for name in ["vae21_dim8", "vae21_dim5"] {
        let fixture = Fixture::open(name);
        let (decoder, encoder) = (decoder(&fixture), encoder(&fixture));
        // A few frames at a time, in uneven pieces: 3 full-size frames of the larger cases.
        let few = Options { piece_bytes: 200_000, tile: None };
        for (how, options) in [("whole", Options::WHOLE), ("by frame", FRAME_BY_FRAME), ("few", few)] {
            for case in fixture.cases() {
                let want = fixture.output(&case).select(0, 0);
                let got = match case.starts_with("decode") {
                    true => decoder.decode(&latent_of(&fixture, &case), options).unwrap(),
                    false => encoder.encode(&video_of(&fixture, &case), options).unwrap(),
                };
                assert_close(&got, &want, BOUND, &format!("{name} {case} {how}"));
            }
        }
    }
}

#[test]
fn sizes_are_found() {
    let fixture = Fixture::open("vae21_dim5");
    assert_eq!(*decoder(&fixture).config(), Config::with_base_width(5));
    assert_eq!(*encoder(&fixture).config(), Config::with_base_width(5));
}

#[test]
fn frames_come_in_order_and_the_work_can_be_stopped() {
    let fixture = Fixture::open("vae21_dim8");
    let (decoder, latent) = (decoder(&fixture), latent_of(&fixture, "decode_5x3x2"));
    let (mut counts, mut fractions) = (Vec::new(), Vec::new());
    let mut watch = |progress: Progress| {
        fractions.push(progress.fraction);
        if let Some(frames) = progress.frames {
            assert_eq!(frames.dims()[1..], [24, 16, 3]);
            counts.push(frames.dims()[0]);
        }
        ControlFlow::Continue(())
    };
    assert!(decoder.decode_with(&latent, FRAME_BY_FRAME, &mut watch).unwrap().is_continue());
    assert_eq!(counts, [1; 17]);
    assert!(fractions.is_sorted() && (fractions[fractions.len() - 1] - 1.0).abs() < 1e-9, "{fractions:?}");

    let mut seen = 0;
    let mut stop = |progress: Progress| {
        seen += usize::from(progress.frames.is_some());
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(decoder.decode_with(&latent, FRAME_BY_FRAME, &mut stop).unwrap().is_break());
    assert_eq!(seen, 3);
}

#[test]
fn frames_that_fill_no_latent_frame_are_dropped() {
    let fixture = Fixture::open("vae21_dim8");
    let (encoder, video) = (encoder(&fixture), video_of(&fixture, "encode_3x3x2"));
    let want = encoder.encode(&video.narrow(0, 0, 5), Options::WHOLE).unwrap();
    let got = encoder.encode(&video.narrow(0, 0, 8), FRAME_BY_FRAME).unwrap();
    assert_eq!(want.dims()[1], 2);
    assert_close(&got, &want, 1e-5, "8 frames are 5");
}

#[test]
fn tiles_are_the_parts_and_blend_where_they_overlap() {
    let fixture = Fixture::open("vae21_dim8");
    let (decoder, encoder) = (decoder(&fixture), encoder(&fixture));
    let latent = latent_of(&fixture, "decode_1x3x5");
    let tiled = |size, overlap| Options { tile: Some(Tile { size, overlap }), ..FRAME_BY_FRAME };
    // A tile that holds all is no tile.
    let whole = decoder.decode(&latent, FRAME_BY_FRAME).unwrap();
    assert_eq!(decoder.decode(&latent, tiled(40, 8)).unwrap().to_vec(), whole.to_vec());
    // Latent columns 0..3 and 2..5: pixel columns 16..24 are in both.
    let got = decoder.decode(&latent, tiled(24, 8)).unwrap();
    let [left, right] = [0, 2].map(|start| decoder.decode(&latent.narrow(3, start, 3), Options::WHOLE).unwrap());
    assert_close(&got.narrow(3, 0, 16), &left.narrow(3, 0, 16), 1e-5, "left");
    assert_close(&got.narrow(3, 24, 16), &right.narrow(3, 8, 16), 1e-5, "right");
    for column in 0..8 {
        let (right_weight, left_weight) = ((column + 1) as f64, (8 - column) as f64);
        let (left, right) = (left.at(&[1, 0, 9, 16 + column]), right.at(&[1, 0, 9, column]));
        let want = (left * left_weight + right * right_weight) / 9.0;
        assert!((got.at(&[1, 0, 9, 16 + column]) - want).abs() < 1e-4);
    }

    let video = video_of(&fixture, "encode_3x3x2");
    let got = encoder.encode(&video, tiled(16, 8)).unwrap();
    let top = encoder.encode(&video.narrow(1, 0, 16), Options::WHOLE).unwrap();
    assert_eq!(got.dims(), fixture.output("encode_3x3x2").select(0, 0).dims());
    assert_close(&got.narrow(2, 0, 1), &top.narrow(2, 0, 1), 1e-5, "top");
}

#[test]
fn bf16_weights_are_those_weights_widened() {
    let fixture = Fixture::open("vae21_dim8");
    let latent = latent_of(&fixture, "decode_2x2x3");
    let load = |change: fn(&Tensor) -> Tensor| {
        Decoder::load(&fixture.weights_as(Role::Vae, |_, weight| Some(change(&weight)))).unwrap()
    };
    let (narrow, wide) = (load(to_bf16), load(|weight| to_f32(&to_bf16(weight))));
    assert!(narrow.size_bytes() < wide.size_bytes());
    let [got, want] = [&narrow, &wide].map(|decoder| decoder.decode(&latent, Options::WHOLE).unwrap());
    // The attention's linear layers add in another order for stored f32 than for weights that are widened.
    assert_close(&got, &want, 1e-5, "bf16");
}

#[test]
fn halves_are_loaded_apart() {
    let fixture = Fixture::open("vae21_dim5");
    let without =
        |part: &'static str| fixture.weights_as(Role::Vae, move |key, w| (!key.starts_with(part)).then_some(w));
    assert!(Decoder::load(&without("encoder.")).is_ok());
    assert!(Encoder::load(&without("decoder.")).is_ok());
    let error = Decoder::load(&without("decoder.")).err().unwrap().to_string();
    assert!(error.contains("`decoder.conv1.weight` is missing"), "{error}");
}

#[test]
fn a_misshapen_or_empty_tensor_is_named() {
    let fixture = Fixture::open("vae21_dim5");
    for (name, dims, want) in [
        ("decoder.head.0.gamma", &[6, 1, 1, 1][..], "`decoder.head.0.gamma` is [6, 1, 1, 1], expected [5, 1, 1, 1]"),
        ("decoder.middle.1.proj.weight", &[20, 20, 1], "is [20, 20, 1], expected [20, 20, 1, 1]"),
        ("decoder.upsamples.1.residual.6.weight", &[0, 20, 3, 3, 3], "upsamples.1.residual.6.weight` is [0, 20"),
        ("decoder.upsamples.0.residual.6.weight", &[0, 20, 3, 3, 3], "upsamples.0.residual.6.weight` is [0, 20"),
    ] {
        let change = |key: &str, weight| Some(if key == name { Tensor::zeros(dims) } else { weight });
        let error = Decoder::load(&fixture.weights_as(Role::Vae, change)).err().unwrap().to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn wrong_clips_are_refused() {
    let fixture = Fixture::open("vae21_dim5");
    let (decoder, encoder) = (decoder(&fixture), encoder(&fixture));
    for dims in [&[8, 1, 2, 2][..], &[16, 0, 2, 2], &[1, 16, 1, 2, 2], &[16, 2, 2]] {
        let error = decoder.decode(&Tensor::zeros(dims), Options::WHOLE).unwrap_err();
        assert!(matches!(error, InputError::Latent { channels: 16, .. }), "{dims:?}: {error}");
    }
    for dims in [&[1, 8, 8, 4][..], &[0, 8, 8, 3], &[3, 1, 8, 8], &[8, 8, 3]] {
        let error = encoder.encode(&Tensor::zeros(dims), Options::WHOLE).unwrap_err();
        assert!(matches!(error, InputError::Video { channels: 3, .. }), "{dims:?}: {error}");
    }
    let error = encoder.encode(&Tensor::zeros([1, 8, 20, 3]), Options::WHOLE).unwrap_err();
    assert_eq!(error.to_string(), "the video is 20x8 pixels, not multiples of 8");
    assert_eq!(vita_base::Hint::hint(&error).unwrap(), "the nearest size that fits is 24x8");
    let tile = Some(Tile { size: 64, overlap: 64 });
    let error = decoder.decode(&Tensor::zeros([16, 1, 2, 2]), Options { tile, ..Options::WHOLE }).unwrap_err();
    assert_eq!(error.to_string(), "tiles of 64 pixels that overlap by 64 do not cover a picture");
}

#[test]
fn costs_of_the_published_size() {
    let config = Config::wan21();
    // Counted by hand from the table of blocks: one frame of one latent pixel.
    let residual = |pixels: usize, inputs: usize, outputs: usize| {
        pixels * (27 * (inputs + outputs) * outputs + if inputs == outputs { 0 } else { inputs * outputs })
    };
    let (c1, c2, c4) = (96, 192, 384);
    let macs = 16 * 16
        + 27 * 16 * c4
        + 2 * residual(1, c4, c4)
        + 4 * c4 * c4
        + 2 * c4
        + 3 * residual(1, c4, c4)
        + 4 * 9 * c4 * c2
        + residual(4, c2, c4)
        + 2 * residual(4, c4, c4)
        + 16 * 9 * c4 * c2
        + 3 * residual(16, c2, c2)
        + 64 * 9 * c2 * c1
        + 3 * residual(64, c1, c1)
        + 64 * 27 * c1 * 3;
    assert_eq!(decode_cost(&config, [1, 1, 1], Options::WHOLE).flops, 2.0 * macs as f64);

    // Pieces change the memory, not the work.
    let [whole, apart] = [Options::WHOLE, FRAME_BY_FRAME].map(|options| decode_cost(&config, [21, 60, 104], options));
    assert!((whole.flops / apart.flops - 1.0).abs() < 1e-12 && apart.peak_bytes * 4 < whole.peak_bytes);
    let longer = decode_cost(&config, [41, 60, 104], FRAME_BY_FRAME);
    assert!(longer.peak_bytes < apart.peak_bytes + (20 * 60 * 104 * 16 * 4 * 30), "memory does not grow with time");
    let budget = 8 << 30;
    let options = Options::within(budget, |options| decode_cost(&config, [21, 60, 104], options)).unwrap();
    assert!(options.piece_bytes > 0 && decode_cost(&config, [21, 60, 104], options).peak_bytes <= budget);
    assert_eq!(Options::within(1 << 20, |options| encode_cost(&config, [81, 480, 832], options)), None);
}
