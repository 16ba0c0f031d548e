//! Every system makes a video, from whatever it takes.

use vita_pipeline::{DecodeOptions, Source, Stage, Switch, VideoRequest};
use vita_tensor::Tensor;

use crate::support::{alone, make, models, picture, psnr, request, with_image};

fn images() -> Source {
    Source::Image { start: picture(40, 48), end: Some(picture(48, 40)) }
}

fn video() -> Source {
    let frame = picture(32, 32);
    Source::Video(Tensor::from_vec(frame.to_vec().repeat(5), [5, 32, 32, 3]))
}

#[test]
fn every_system_makes_its_frames_in_either_dialect() {
    use Stage::{Decoding, Image, Loading, Sampling, Text};
    let text: &[Stage] = &[Loading, Text, Sampling, Decoding];
    let image: &[Stage] = &[Loading, Text, Image, Sampling, Decoding];
    for (system, source, stages) in [
        ("t2v", Source::Text, text),
        ("t2v", video(), image),
        ("i2v", with_image(), image),
        ("a14b", with_image(), image),
        ("a14b", images(), image),
        ("ti2v", Source::Text, text),
        ("ti2v", with_image(), image),
    ] {
        let models = models(system);
        for sampler in ["euler", "uni_pc", "wrapper:dpm++", "wrapper:unipc"] {
            let mut request = request(source.clone());
            request.sampling.sampler = sampler.into();
            // Some solvers take two steps at least, of each expert.
            request.sampling.steps = 4;
            request.switch = models.dit_low.is_some().then_some(Switch::Step(2));
            if matches!(source, Source::Video(_)) {
                request.sampling.denoise = 0.6;
            }
            let (frames, summary) = make(&models, &request).unwrap_or_else(|error| panic!("{system}: {error}"));
            assert_eq!(frames.len(), 5, "{system}, {sampler}");
            let ran: Vec<Stage> = summary.stages.iter().map(|(stage, _)| *stage).collect();
            assert_eq!(ran, stages, "{system}, {sampler}");
            let (again, _) = make(&models, &request).unwrap();
            assert!(frames == again, "{system}, {sampler}: equal requests give equal frames");
        }
    }
}

#[test]
fn a_picture_leads_the_video() {
    for system in ["i2v", "a14b", "ti2v"] {
        let models = models(system);
        let of = |start: Tensor| make(&models, &request(Source::Image { start, end: None })).unwrap().0;
        let dark = Tensor::from_vec(vec![0.1; 32 * 32 * 3], [1, 32, 32, 3]);
        assert_ne!(of(picture(32, 32)), of(dark), "{system}");
    }
}

/// The first latent frame is held where each has a timestep of its own, so it is what the autoencoder makes of it.
#[test]
fn the_given_frame_comes_out_as_the_autoencoder_has_it() {
    let models = models("ti2v");
    let flat = Tensor::from_vec([0.8, 0.2, 0.2].repeat(64 * 64), [1, 64, 64, 3]);
    let own = alone(|environment| {
        let options = DecodeOptions::default();
        let latent = models.vae.encode(&flat, options, environment)?;
        models.vae.decode(&latent, options, environment)
    });
    let own: Vec<u8> = own.unwrap().to_vec().iter().map(|value| (value * 255.0 + 0.5) as u8).collect();
    for sampler in ["euler", "wrapper:unipc"] {
        let mut request = request(Source::Image { start: flat.clone(), end: None });
        (request.width, request.height) = (64, 64);
        request.sampling.sampler = sampler.into();
        let (frames, _) = make(&models, &request).unwrap();
        let got = psnr(&frames[0], &own);
        assert!(got > 50.0, "{sampler}: {got} dB");
    }
}

#[test]
fn experts_take_turns_where_they_are_told() {
    let models = models("a14b");
    let of = |change: &dyn Fn(&mut VideoRequest)| {
        let mut request = request(with_image());
        change(&mut request);
        make(&models, &request).unwrap().0
    };
    let own = of(&|_| ());
    let at = |step| of(&move |request| request.switch = Some(Switch::Step(step)));
    let [low_alone, first, second, high_alone] = [0, 1, 2, 3].map(at);
    assert!(low_alone != first && first != second && second != high_alone);
    // 3 steps at shift 3 stand at 1, 0.857 and 0.6.
    assert!(own == first, "0.9 is reached after the first step");
    assert!(of(&|request| request.switch = Some(Switch::Boundary(0.8))) == second);
    // Guidance of the second expert alone.
    let weaker = of(&|request| request.sampling.cfg_low = Some(1.0));
    assert!(weaker != own);
    let all_high = |request: &mut VideoRequest| {
        request.switch = Some(Switch::Step(3));
        request.sampling.cfg_low = Some(1.0);
    };
    assert!(of(&all_high) == high_alone);
}

#[test]
fn less_denoising_keeps_more_of_a_video() {
    let models = models("t2v");
    let given: Vec<u8> = picture(32, 32).to_vec().iter().map(|value| (value * 255.0 + 0.5) as u8).collect();
    let kept = |denoise| {
        let mut request = request(video());
        request.sampling.denoise = denoise;
        psnr(&make(&models, &request).unwrap().0[0], &given)
    };
    let [little, half, all] = [0.1, 0.5, 1.0].map(kept);
    assert!(little > half && half > all, "{little}, {half}, {all} dB");
}

#[test]
fn the_estimate_is_near_what_was_measured() {
    for (system, source) in [("t2v", Source::Text), ("i2v", with_image()), ("ti2v", with_image())] {
        let mut request = request(source);
        (request.width, request.height, request.frames) = (96, 96, 17);
        let (_, summary) = make(&models(system), &request).unwrap();
        let said = summary.estimate.stages.iter().map(|stage| stage.activation_bytes).max().unwrap();
        // Other tests run at the same time and share the counters, so only that it is no more than a guess.
        assert!(said > 1 << 20 && summary.activation_bytes_peak > 1 << 20, "{system}: {said}");
    }
}
