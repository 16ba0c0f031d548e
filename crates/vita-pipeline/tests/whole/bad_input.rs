//! Requests that a system does not answer, and files that do not belong together, each by its message.

use vita_base::Hint;
use vita_pipeline::{Error, Models, Paths, Source, Switch, VideoRequest};

use crate::support::{make, models, nano, paths, picture, request, with_image};

#[track_caller]
fn check(error: &Error, message: &str, hint: &str) {
    let said = error.to_string();
    let mut rest = said.as_str();
    // Folders of this machine stand before each file's name.
    for part in message.split("..") {
        let at = rest.find(part).unwrap_or_else(|| panic!("{said}\nlacks: {part}"));
        rest = &rest[at + part.len()..];
    }
    assert!(error.hint().is_some_and(|said| said.contains(hint)), "{:?}", error.hint());
}

#[test]
fn requests_that_a_system_does_not_answer() {
    let both = || Source::Image { start: picture(32, 32), end: Some(picture(32, 32)) };
    type Change = fn(&mut VideoRequest);
    let none: Change = |_| ();
    let cases: Vec<(&str, Source, Change, &str, &str)> = vec![
        ("i2v", Source::Text, none, "nano-i2v-dit..which needs an image to start from", "give it an image"),
        ("a14b", Source::Text, none, "nano-i2v-high..which needs an image to start from", "give it an image"),
        ("i2v", Source::Video(picture(32, 32)), none, "which needs an image", "give it an image"),
        (
            "t2v",
            with_image(),
            none,
            "nano-t2v-dit..makes videos of text alone and takes no image",
            "leave the image out",
        ),
        ("i2v", both(), none, "takes an image to start from, and none to end with", "leave the last image out"),
        ("ti2v", both(), none, "takes an image to start from, and none to end with", "leave the last image out"),
        (
            "t2v",
            Source::Text,
            |r| r.sampling.cfg_low = Some(3.0),
            "a second guidance is for systems of two experts, and",
            "leave it out",
        ),
        (
            "t2v",
            Source::Text,
            |r| r.switch = Some(Switch::Step(1)),
            "a place to switch is for systems of two experts",
            "leave it out",
        ),
        ("t2v", Source::Text, |r| r.sampling.sampler = "wrapper:dpm".into(), "`dpm`", "dpm++"),
    ];
    for (system, source, change, message, hint) in cases {
        let mut request = request(source);
        change(&mut request);
        check(&make(&models(system), &request).unwrap_err(), message, hint);
    }
    let odd = VideoRequest { width: 48, ..request(Source::Text) };
    let error = make(&models("ti2v"), &odd).unwrap_err().to_string();
    assert_eq!(error, "width 48 is not a multiple of 32; the nearest are 32 and 64");
}

#[test]
fn files_that_do_not_belong_together() {
    let of = |system: &str, change: &dyn Fn(&mut Paths)| {
        let mut paths = paths(system);
        change(&mut paths);
        Models::open(&paths).err().expect("files that do not belong together")
    };
    let error = of("t2v", &|paths| paths.vae = nano("vae22"));
    check(&error, "nano-t2v-dit..has 16 latent channels, but the VAE..nano-vae22..has 48", "`wan_2.1_vae.safetensors`");
    let error = of("ti2v", &|paths| paths.vae = nano("vae"));
    check(&error, "nano-ti2v-dit..has 48 latent channels, but the VAE..nano-vae..has 16", "`wan2.2_vae.safetensors`");
    let error = of("a14b", &|paths| (paths.dit, paths.dit_low) = (nano("i2v-low"), Some(nano("i2v-high"))));
    check(
        &error,
        "the experts are swapped:..i2v-low..was given for high noise,..i2v-high..for low noise",
        "the other's place",
    );
    let error = of("a14b", &|paths| paths.dit_low = Some(nano("t2v-dit")));
    check(
        &error,
        "the experts do not belong together:..i2v-high..is Wan..but..nano-t2v-dit..is Wan",
        "the same system",
    );
    let error = of("i2v", &|paths| paths.clip_vision = Some(nano("vae")));
    check(&error, "nano-vae..is not a..CLIP", "VAE");

    let alone = Models::open(&Paths { clip_vision: None, ..paths("i2v") }).unwrap();
    let error = make(&alone, &request(with_image())).unwrap_err();
    check(&error, "nano-i2v-dit..which needs a CLIP vision encoder beside it", "clip_vision_h");
}
