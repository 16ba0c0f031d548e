//! Long videos in windows, on the small models. A window of one frame is a video of one frame: what windows make of
//! each frame is what a run of that frame alone makes.

use std::sync::Arc;

use vita_pipeline::{
    CacheRule, Conditioning, ContextWindows, Error, KnownFrames, Latent, LatentSpace, LoopShift, ModelPatches, Noise,
    PassCache, Passes, ReuseCache, ReusePlace, SampleJob, Sampled, Schedule, Span, Steps, Transformer, WindowMix,
    WindowSchedule, WindowStart, WrapperJob, WrapperSchedule, sample, sample_as_wrapper,
};
use vita_sampling::noise::Generator;
use vita_tensor::Tensor;

use crate::parts::{difference, job, prompt};
use crate::support::{alone, nano};

const SEED: u64 = 5;

fn windows(schedule: WindowSchedule, frames: usize, overlap: usize) -> ContextWindows {
    ContextWindows {
        schedule,
        frames,
        overlap,
        strides: 1,
        closed: true,
        mix: WindowMix::WrapperLinear,
        free_noise: false,
        start: WindowStart::OfFrame,
        sections: Vec::new(),
    }
}

/// One window for each latent frame.
fn single() -> ContextWindows {
    windows(WindowSchedule::Batched, 1, 0)
}

fn noise(frames: usize) -> Tensor {
    Generator::new(SEED).randn([16, frames, 4, 4])
}

fn native(file: &str, noise: Tensor, positive: Conditioning, windows: Option<ContextWindows>) -> Sampled {
    let job = job(&Transformer::open(nano(file)).unwrap());
    let model = job.model.patched(|patches| patches.windows = windows);
    let latent = Latent::zeros([16, noise.dims()[1], 4, 4]);
    let negative = Some(prompt("").with_image(&positive.image));
    let job = SampleJob { model, positive, negative, noise: Noise::Given(noise), latent, ..job };
    alone(|environment| sample(&job, environment)).unwrap()
}

fn wrapper(noise: Tensor, change: impl FnOnce(&mut ModelPatches)) -> Result<Sampled, Error> {
    let job = WrapperJob {
        model: Transformer::open(nano("t2v-dit")).unwrap().patched(change),
        positive: prompt("a red ball"),
        negative: Some(prompt("")),
        cfg: 2.5.into(),
        schedule: WrapperSchedule::new("euler", 4, 3.0),
        seed: SEED,
        latent: [noise.dims()[1], 4, 4],
        samples: Some(Latent::normalised(noise)),
        add_noise_to_samples: false,
        known_frames: Default::default(),
    };
    alone(|environment| sample_as_wrapper(&job, environment))
}

fn frame(sampled: &Sampled, index: usize) -> Vec<f32> {
    sampled.latent.samples.narrow(1, index, 1).to_vec()
}

/// One latent frame by itself.
fn of_frame(latent: &Tensor, index: usize) -> Tensor {
    let [channels, _, rows, columns] = latent.sizes();
    Tensor::from_vec(latent.narrow(1, index, 1).to_vec(), [channels, 1, rows, columns])
}

fn assert_near(found: &[f32], want: &[f32]) {
    assert!(difference(found, want) < 1e-5, "{}", difference(found, want));
}

#[test]
fn a_window_is_a_video_of_its_own() {
    let noise = noise(3);
    let parted = native("t2v-dit", noise.clone(), prompt("a red ball"), Some(single()));
    assert_eq!(parted.passes, Passes { asked: 4 * 2 * 3, skipped: 0 });
    let of_wrapper = wrapper(noise.clone(), |patches| patches.windows = Some(single())).unwrap();
    for index in 0..3 {
        let part = of_frame(&noise, index);
        let alone = native("t2v-dit", part.clone(), prompt("a red ball"), None);
        assert_near(&frame(&parted, index), &frame(&alone, 0));
        assert_near(&frame(&of_wrapper, index), &frame(&wrapper(part, |_| {}).unwrap(), 0));
    }
    // Windows that hold the whole video do nothing.
    let whole = native("t2v-dit", noise.clone(), prompt("a red ball"), None);
    let wide = windows(WindowSchedule::UniformStandard, 3, 1);
    let wide = native("t2v-dit", noise, prompt("a red ball"), Some(wide));
    assert_eq!(wide.latent.samples.to_vec(), whole.latent.samples.to_vec());
    assert!(difference(&parted.latent.samples.to_vec(), &whole.latent.samples.to_vec()) > 1e-3);
}

#[test]
fn windows_start_from_their_own_picture_or_the_videos() {
    let (noise, pictures) = (noise(3), Generator::new(9).randn([16, 3, 4, 4]));
    let mask = Tensor::from_vec((0..4 * 3 * 16).map(|i| (i / 16 % 3 == 0) as u8 as f32).collect(), [4, 3, 4, 4]);
    let led = |from: &Tensor, mask: &Tensor| {
        let known = KnownFrames { latent: from.clone(), mask: mask.clone(), space: LatentSpace::Normalised };
        let mut led = prompt("a red ball");
        led.image.known = Some(known);
        led
    };
    let other = Generator::new(11).randn([16, 1, 4, 4]);
    for (start, picture) in [
        (WindowStart::OfFrame, of_frame(&pictures, 1)),
        (WindowStart::OfVideo, of_frame(&pictures, 0)),
        (WindowStart::Picture(Arc::new(Latent::normalised(other.clone()))), other),
    ] {
        let mask_of = if matches!(start, WindowStart::OfFrame) { of_frame(&mask, 1) } else { of_frame(&mask, 0) };
        let parts = ContextWindows { start: start.clone(), ..single() };
        let parted = native("i2v-dit", noise.clone(), led(&pictures, &mask), Some(parts));
        let second = native("i2v-dit", of_frame(&noise, 1), led(&picture, &mask_of), None);
        assert_near(&frame(&parted, 1), &frame(&second, 0));
        let first = led(&of_frame(&pictures, 0), &of_frame(&mask, 0));
        let first = native("i2v-dit", of_frame(&noise, 0), first, None);
        assert_near(&frame(&parted, 0), &frame(&first, 0));
    }
}

#[test]
fn sections_have_prompts_of_their_own() {
    let noise = noise(4);
    let texts = ["a red ball", "a blue square"].map(|text| Arc::new(prompt(text).text));
    let sections = ContextWindows { sections: texts.to_vec(), ..single() };
    let parted = wrapper(noise.clone(), |patches| patches.windows = Some(sections.clone())).unwrap();
    let of = |text: &str| each_frame(&noise, text);
    assert_near(&frame(&parted, 1), &of("a red ball")[1]);
    assert_near(&frame(&parted, 2), &of("a blue square")[2]);
    let long = ContextWindows { frames: 4, ..sections };
    let error = wrapper(noise, |patches| patches.windows = Some(long)).unwrap_err();
    assert_eq!(error.to_string(), "the prompt has 2 sections, and the video is not sampled in context windows");
}

/// Each frame by itself, by the wrapper, with one prompt.
fn each_frame(noise: &Tensor, text: &str) -> Vec<Vec<f32>> {
    let sections = vec![Arc::new(prompt(text).text)];
    let one = ContextWindows { sections, ..single() };
    let sampled = wrapper(noise.clone(), |patches| patches.windows = Some(one)).unwrap();
    (0..noise.dims()[1]).map(|index| frame(&sampled, index)).collect()
}

#[test]
fn noise_repeats_in_another_order() {
    let model = Transformer::open(nano("t2v-dit")).unwrap();
    let parts = ContextWindows { free_noise: true, ..windows(WindowSchedule::StaticStandard, 2, 1) };
    let shuffled = parts.shuffle_noise(&noise(6), &mut Generator::new(SEED)).unwrap();
    let run = |noise: Noise, parts: ContextWindows| {
        let job = SampleJob { noise, latent: Latent::zeros([16, 6, 4, 4]), ..job(&model) };
        let model = job.model.patched(|patches| patches.windows = Some(parts));
        alone(|environment| sample(&SampleJob { model, ..job }, environment)).unwrap()
    };
    let given = run(Noise::Given(shuffled), ContextWindows { free_noise: false, ..parts.clone() });
    let drawn = run(Noise::Seed(SEED), parts);
    assert_eq!(drawn.latent.samples.to_vec(), given.latent.samples.to_vec());
}

#[test]
fn each_window_has_caches_of_its_own() {
    let rule = CacheRule::MagCache { threshold: 1e9, skips_max: 1, ratios: &[1.0, 1.0] };
    let cache = PassCache { rule, start_step: 0, end_step: None };
    let sampled = wrapper(noise(6), |patches| {
        patches.pass_cache = Some(cache);
        patches.windows = Some(windows(WindowSchedule::StaticStandard, 3, 1));
    });
    // Of four steps, every second, of two prompts in three windows.
    assert_eq!(sampled.unwrap().passes, Passes { asked: 4 * 2 * 3, skipped: 2 * 2 * 3 });
}

/// Where each frame is a window, which of them the video begins with is nothing to the model.
#[test]
fn a_video_that_is_turned_is_turned_back() {
    let turn = |skip, end| Some(LoopShift { skip, span: Span { start: 0.0, end } });
    let run = |windows: Option<ContextWindows>, loop_shift| {
        let run = wrapper(noise(5), |patches| (patches.windows, patches.loop_shift) = (windows, loop_shift));
        run.unwrap().latent.samples.to_vec()
    };
    assert_near(&run(Some(single()), turn(2, 1.0)), &run(Some(single()), None));
    let plain = run(None, None);
    assert_eq!(run(None, turn(0, 1.0)), plain);
    // The first step that turns does not turn yet.
    assert_eq!(run(None, turn(2, 0.1)), plain);
    assert!(difference(&run(None, turn(2, 1.0)), &plain) > 1e-3);
}

#[test]
fn known_frames_stay_in_windows() {
    let model = Transformer::open(nano("ti2v-dit")).unwrap();
    let known = Generator::new(3).randn([48, 1, 2, 2]);
    let job = WrapperJob {
        model: model.patched(|patches| {
            let start = WindowStart::OfVideo;
            patches.windows = Some(ContextWindows { start, ..windows(WindowSchedule::UniformStandard, 3, 1) });
        }),
        positive: prompt("a red ball"),
        negative: Some(prompt("")),
        cfg: 2.5.into(),
        schedule: WrapperSchedule::new("unipc", 3, 3.0),
        seed: SEED,
        latent: [6, 2, 2],
        samples: None,
        add_noise_to_samples: false,
        known_frames: [(0, known.clone())].into(),
    };
    let sampled = alone(|environment| sample_as_wrapper(&job, environment)).unwrap();
    assert_eq!(frame(&sampled, 0), known.to_vec());
    assert!(sampled.latent.samples.to_vec().iter().all(|value| value.is_finite()));
}

#[test]
fn what_does_not_go_together_is_said() {
    let model = Transformer::open(nano("t2v-dit")).unwrap();
    let run = |change: &dyn Fn(&mut ModelPatches)| {
        let job = SampleJob { latent: Latent::zeros([16, 6, 4, 4]), ..job(&model) };
        let model = job.model.patched(change);
        let schedule = Schedule::Named(Steps::new("simple", 2));
        alone(|environment| sample(&SampleJob { model, schedule, ..job }, environment))
    };
    let parts = windows(WindowSchedule::StaticStandard, 3, 1);
    let reuse = |place| ReuseCache { threshold: 0.2, span: Span { start: 0.0, end: 1.0 }, place };
    let with = |place| {
        run(&|patches: &mut ModelPatches| {
            patches.windows = Some(parts.clone());
            patches.reuse_cache = Some(reuse(place));
        })
    };
    assert!(matches!(with(ReusePlace::Velocity), Err(Error::CacheInWindows)));
    assert!(with(ReusePlace::Guided).is_ok());
    let error = run(&|patches| patches.windows = Some(ContextWindows { overlap: 3, ..parts.clone() })).unwrap_err();
    assert_eq!(error.to_string(), "windows of 3 latent frames cannot share 3 with the next");
}
