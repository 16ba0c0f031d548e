//! The CLIP vision encoder against transformers, and its preprocessing against PyTorch's.

mod common;

use common::{Fixture, assert_close, relative_error};
use vita_base::Hint;
use vita_models::clip_vision::{ClipVision, Config, Crop, InputError, preprocess};
use vita_tensor::Tensor;
use vita_weights::Role;

/// A fifth of what modules are held to.
const BOUND: f64 = 2e-5;

const FIXTURES: [&str; 3] = ["clip_vision", "clip_vision_official_names", "clip_vision_open_clip_names"];

fn encoder(fixture: &Fixture) -> ClipVision {
    ClipVision::load(&fixture.weights(Role::ClipVision)).unwrap()
}

fn crop_of(case: &str) -> Crop {
    if case.ends_with("center") { Crop::Center } else { Crop::None }
}

#[test]
fn every_dialect_matches_transformers() {
    for name in FIXTURES {
        let fixture = Fixture::open(name);
        let encoder = encoder(&fixture);
        let (pixels, want) = (fixture.input("batch_of_two", "pixel_values"), fixture.output("batch_of_two"));
        for index in 0..2 {
            let got = encoder.forward(&pixels.select(0, index)).unwrap();
            assert_close(&got, &want.select(0, index), BOUND, &format!("{name} {index}"));
        }
    }
}

#[test]
fn pictures_are_prepared_like_pytorch_does() {
    let fixture = Fixture::open("clip_vision");
    let encoder = encoder(&fixture);
    let mut count = 0;
    for case in fixture.cases().iter().filter(|case| case.starts_with("image")) {
        let image = fixture.input(case, "image").select(0, 0);
        let want = fixture.answer(case, "pixels").select(0, 0);
        let pixels = preprocess(&image, 35, crop_of(case)).unwrap();
        // A value half way between two 255ths may be rounded to either.
        assert_close(&pixels, &want, 1e-3, case);
        let different = pixels.to_vec().iter().zip(want.to_vec()).filter(|(a, b)| (*a - b).abs() > 1e-4).count();
        assert!(different <= 2, "{case}: {different} values");
        assert_close(&encoder.encode(&image, crop_of(case)).unwrap(), &fixture.output(case).select(0, 0), 1e-3, case);
        count += 1;
    }
    assert_eq!(count, 6);
    // The crop matters.
    let image = fixture.input("image_21x64_center", "image").select(0, 0);
    let [center, none] = [Crop::Center, Crop::None].map(|crop| preprocess(&image, 35, crop).unwrap());
    assert!(relative_error(&none, &center) > 0.1);
}

#[test]
fn sizes_are_found() {
    let encoder = encoder(&Fixture::open("clip_vision_official_names"));
    let want = Config { dim: 160, ffn_dim: 96, heads: 2, layers: 2, patch_size: 14, image_size: 28 };
    assert_eq!(*encoder.config(), want);
    assert_eq!(want.token_count(), 5);
}

#[test]
fn misshapen_tensors_are_named() {
    let fixture = Fixture::open("clip_vision_official_names");
    for (name, dims, want) in [
        ("visual.transformer.0.attn.to_qkv.weight", &[479, 160][..], "is [479, 160], expected [480, 160]"),
        ("visual.pos_embedding", &[1, 2, 400], "`visual.pos_embedding` is [1, 2, 400], expected [5, 160]"),
        ("visual.cls_embedding", &[1, 1, 80], "`visual.cls_embedding` is [1, 1, 80], expected [1, 160]"),
        ("visual.pre_norm.bias", &[1], "`visual.pre_norm.bias` is [1], expected [160]"),
    ] {
        let change = |key: &str, weight| Some(if key == name { Tensor::zeros(dims) } else { weight });
        let error = ClipVision::load(&fixture.weights_as(Role::ClipVision, change)).err().unwrap().to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn wrong_pictures_are_refused() {
    let encoder = encoder(&Fixture::open("clip_vision"));
    let error = encoder.forward(&Tensor::zeros([3, 35, 36])).unwrap_err();
    assert_eq!(error.to_string(), "the pixels are [3, 35, 36], expected [3, 35, 35]");
    assert!(error.hint().is_some());
    let error = encoder.encode(&Tensor::zeros([3, 35, 35]), Crop::Center).unwrap_err();
    assert!(matches!(error, InputError::Image { .. }), "{error}");
}
