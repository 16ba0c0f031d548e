//! The parts on their own: what nodes are made of.

use std::sync::atomic::{AtomicBool, Ordering};

use vita_pipeline::image_to_video::{VideoSize, native, wrapper};
use vita_pipeline::{
    Cfg, CfgZeroStar, Conditioning, DecodeOptions, Error, Latent, LatentSpace, Noise, PromptStyle, Residency,
    SampleJob, Schedule, Stage, Steps, TextEncoder, Transformer, Vae, WrapperJob, WrapperSchedule, basic_schedule,
    sample, sample_as_wrapper,
};
use vita_tensor::Tensor;

use crate::support::{Heard, alone, nano, picture, within};

const SIZE: VideoSize = VideoSize { width: 32, height: 32, frames: 9 };

pub fn prompt(text: &str) -> Conditioning {
    let encoder = TextEncoder::open(nano("umt5")).unwrap();
    alone(|environment| encoder.encode(text, PromptStyle::Comfy, environment)).unwrap().into()
}

pub fn job(model: &Transformer) -> SampleJob {
    SampleJob {
        model: model.patched(|patches| patches.shift = Some(3.0)),
        positive: prompt("a red ball"),
        negative: Some(prompt("")),
        cfg: Cfg::Constant(2.5),
        sampler: "euler".into(),
        schedule: Schedule::Named(Steps::new("simple", 4)),
        noise: Noise::Seed(5),
        seed: 5,
        latent: Latent::zeros([16, 3, 4, 4]),
    }
}

fn run(job: &SampleJob) -> Vec<f32> {
    alone(|environment| sample(job, environment)).unwrap().latent.samples.to_vec()
}

/// Norm of the difference over norm of the second.
pub fn difference(a: &[f32], b: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let differences = &mut a.iter().zip(b).map(|(a, b)| f64::from(a - b));
    norm(differences) / norm(&mut b.iter().map(|&b| f64::from(b)))
}

#[test]
fn networks_stay_loaded_between_jobs_and_go_when_told() {
    let residency = Residency::many(None);
    let mut heard = Heard::default();
    let encoder = TextEncoder::open(nano("umt5")).unwrap();
    let model = Transformer::open(nano("t2v-dit")).unwrap();
    let vae = Vae::open(nano("vae")).unwrap();
    within(&residency, &mut heard, |environment| {
        for text in ["a red ball", "a blue ball"] {
            // A file that is opened again is the same network.
            let encoder = if text.contains("red") { encoder.clone() } else { TextEncoder::open(nano("umt5")).unwrap() };
            encoder.encode(text, PromptStyle::Comfy, environment).unwrap();
            let sampled = sample(&job(&model), environment).unwrap();
            let frames = vae.decode(&sampled.latent, DecodeOptions::default(), environment).unwrap();
            assert_eq!(frames.sizes(), [9, 32, 32, 3]);
            assert!(frames.to_vec().iter().all(|value| (0.0..=1.0).contains(value)));
        }
    });
    assert_eq!((heard.loads(), heard.previews), (3, 8));
    let parts: Vec<&str> = residency.loaded().iter().map(|network| network.part).collect();
    assert_eq!(parts, ["text encoder", "diffusion model", "VAE decoder"]);
    assert!(residency.loaded_bytes() > 8 << 20);
    residency.unload_all();
    assert_eq!(residency.loaded_bytes(), 0);
}

#[test]
fn short_memory_keeps_one_network_or_says_no() {
    let text = TextEncoder::open(nano("umt5")).unwrap();
    let model = Transformer::open(nano("t2v-dit")).unwrap();
    let job = job(&model);
    let residency = Residency::many(Some(25 << 20));
    let mut heard = Heard::default();
    let error = within(&residency, &mut heard, |environment| sample(&job, environment)).unwrap_err();
    let Error::Memory { stage: Stage::Sampling, needed_bytes, .. } = error else { panic!("{error}") };
    // Room for the transformer and its work, not for the text encoder beside it.
    residency.set_memory_bytes_max(Some(needed_bytes));
    within(&residency, &mut heard, |environment| {
        text.encode("x", PromptStyle::Comfy, environment).unwrap();
        sample(&job, environment).unwrap();
    });
    let loaded: Vec<&str> = residency.loaded().iter().map(|network| network.part).collect();
    assert_eq!(loaded, ["diffusion model"]);
}

#[test]
fn explicit_sigmas_batches_and_handover_are_the_named_run() {
    let model = Transformer::open(nano("t2v-dit")).unwrap();
    let whole = job(&model);
    let want = run(&whole);
    let sigmas = basic_schedule(&whole.model, "simple", 4, 1.0).unwrap();
    assert_eq!(run(&SampleJob { schedule: Schedule::Sigmas(sigmas), ..whole.clone() }), want);
    let one_of_one = Noise::OfBatch { seed: 5, index: 0, count: 1 };
    assert_eq!(run(&SampleJob { noise: one_of_one, ..whole.clone() }), want);
    let second = run(&SampleJob { noise: Noise::OfBatch { seed: 5, index: 1, count: 2 }, ..whole.clone() });
    assert_ne!(second, want);

    // KSamplerAdvanced twice: two steps that leave their noise in, then the rest.
    let steps = Steps::new("simple", 4);
    let first = Steps { end_step: Some(2), leftover_noise: true, ..steps.clone() };
    let first = SampleJob { schedule: Schedule::Named(first), ..whole.clone() };
    let half = alone(|environment| sample(&first, environment)).unwrap();
    let rest = Steps { start_step: 2, ..steps };
    let raw = Latent::raw(half.latent.samples_in(LatentSpace::Raw).unwrap());
    let rest = SampleJob { schedule: Schedule::Named(rest), noise: Noise::None, latent: raw, ..whole };
    let off = difference(&run(&rest), &want);
    assert!(off < 1e-4, "{off}");
}

#[test]
fn guidance_by_the_step_and_guidance_that_stands_still() {
    let model = Transformer::open(nano("t2v-dit")).unwrap();
    let job = job(&model);
    let with = |cfg: Cfg| run(&SampleJob { cfg, ..job.clone() });
    assert_eq!(with(Cfg::PerStep(vec![2.5])), with(Cfg::Constant(2.5)));
    assert_eq!(with(Cfg::PerStep(vec![1.0; 4])), with(Cfg::Constant(1.0)));
    assert_ne!(with(Cfg::PerStep(vec![2.5, 1.0])), with(Cfg::Constant(2.5)));
    let none = SampleJob { negative: None, ..job.clone() };
    assert!(matches!(alone(|environment| sample(&none, environment)), Err(Error::NoNegative)));
    let zero_star = |zero_steps| {
        let model = job.model.patched(|patches| patches.cfg_zero_star = Some(CfgZeroStar { zero_steps }));
        run(&SampleJob { model, ..job.clone() })
    };
    assert_ne!(zero_star(0), zero_star(1));
    assert_ne!(zero_star(0), run(&job));
}

#[test]
fn the_wrapper_goes_on_where_it_stopped() {
    let model = Transformer::open(nano("t2v-dit")).unwrap();
    let whole = WrapperJob {
        model,
        positive: prompt("a red ball"),
        negative: Some(prompt("")),
        cfg: Cfg::Constant(2.5),
        schedule: WrapperSchedule::new("euler", 4, 5.0),
        seed: 3,
        latent: [3, 4, 4],
        samples: None,
        add_noise_to_samples: false,
        known_frames: Default::default(),
    };
    let run = |scheduler: &str, start_step, end_step, samples| {
        let schedule = WrapperSchedule { start_step, end_step, ..WrapperSchedule::new(scheduler, 4, 5.0) };
        let job = WrapperJob { schedule, samples, ..whole.clone() };
        alone(|environment| sample_as_wrapper(&job, environment)).unwrap().latent
    };
    let values = |latent: &Latent| latent.samples.to_vec();
    let all = run("euler", 0, None, None);
    let half = run("euler", 0, Some(2), None);
    assert!(difference(&values(&run("euler", 2, None, Some(half))), &values(&all)) < 1e-5);

    // Its steps draw noise, from the generator that made the first.
    let half = run("dpm++_sde", 0, Some(2), None);
    let went_on = run("dpm++_sde", 2, None, Some(half.clone()));
    let forgotten = run("dpm++_sde", 2, None, Some(Latent { noise_state: None, ..half }));
    assert_ne!(values(&went_on), values(&forgotten));
}

#[test]
fn known_frames_of_comfys_nodes() {
    let vae = Vae::open(nano("vae")).unwrap();
    let start = picture(20, 30);
    let (none, one, ends) = alone(|environment| {
        let none = native::image_to_video(&vae, None, SIZE, environment).unwrap();
        let one = native::image_to_video(&vae, Some(&start), SIZE, environment).unwrap().unwrap();
        let ends = native::first_last_frame(&vae, Some(&start), Some(&start), SIZE, environment).unwrap();
        (none, one, ends)
    });
    assert!(none.is_none());
    assert_eq!((one.latent.sizes(), one.mask.sizes(), one.space), ([16, 3, 4, 4], [4, 3, 4, 4], LatentSpace::Raw));
    let planes = |mask: &Tensor| -> Vec<f32> { mask.to_vec().chunks(16).map(|plane| plane[0]).collect() };
    assert_eq!(planes(&one.mask), [1., 0., 0., 1., 0., 0., 1., 0., 0., 1., 0., 0.]);
    assert_eq!(planes(&ends.mask), [1., 0., 0., 1., 0., 0., 1., 0., 0., 1., 0., 1.]);
    // The first latent frame sees the first picture alone; it is the same with an end and without.
    let first = |latent: &Tensor| latent.narrow(1, 0, 1).to_vec();
    assert!(difference(&first(&one.latent), &first(&ends.latent)) < 1e-6);
    assert!(difference(&one.latent.to_vec(), &ends.latent.to_vec()) > 1e-2);
}

#[test]
fn known_frames_of_the_wrapper() {
    let vae = Vae::open(nano("vae")).unwrap();
    let start = picture(32, 32);
    let encode = |start: Option<&Tensor>, end: Option<&Tensor>, options: &wrapper::EncodeOptions| {
        alone(|environment| wrapper::image_to_video(&vae, start, end, SIZE, options, environment)).unwrap()
    };
    let plain = wrapper::EncodeOptions::default();
    let one = encode(Some(&start), None, &plain);
    assert_eq!((one.latent.sizes(), one.space), ([16, 3, 4, 4], LatentSpace::Normalised));
    // Pictures of whole 255ths in the size asked for are the same in both dialects.
    let whole =
        Tensor::from_vec(start.to_vec().iter().map(|value| (value * 255.0).trunc() / 255.0).collect(), [1, 32, 32, 3]);
    let native = alone(|environment| native::image_to_video(&vae, Some(&whole), SIZE, environment)).unwrap().unwrap();
    let native = Latent::raw(native.latent).samples_in(LatentSpace::Normalised).unwrap();
    assert!(difference(&one.latent.to_vec(), &native.to_vec()) < 1e-5);

    let behind = encode(Some(&start), Some(&start), &wrapper::EncodeOptions { end_is_frame: false, ..plain.clone() });
    assert_eq!((behind.latent.sizes(), behind.mask.sizes()), ([16, 4, 4, 4], [4, 4, 4, 4]));
    let half = encode(Some(&start), None, &wrapper::EncodeOptions { start_strength: 0.5, ..plain });
    let [half, one] = [half, one].map(|known| known.latent.narrow(1, 0, 1).to_vec());
    assert!(half.iter().zip(&one).all(|(half, one)| *half == one * 0.5));
}

#[test]
fn a_latent_of_a_picture_keeps_its_first_frames() {
    let vae = Vae::open(nano("vae22")).unwrap();
    let size = VideoSize { width: 64, height: 32, frames: 9 };
    let latent = alone(|environment| native::image_latent(&vae, Some(&picture(50, 50)), size, environment)).unwrap();
    assert_eq!(latent.sizes().unwrap(), [48, 3, 2, 4]);
    let mask = latent.noise_mask.as_ref().unwrap().to_vec();
    assert_eq!(mask, [vec![0.0; 8], vec![1.0; 16]].concat());
    // What is to be made is nothing on the transformer's scale.
    let normalised = latent.samples_in(LatentSpace::Normalised).unwrap();
    assert!(normalised.narrow(1, 1, 2).to_vec().iter().all(|value| value.abs() < 1e-6));

    let model = Transformer::open(nano("ti2v-dit")).unwrap();
    let masked = SampleJob { latent: latent.clone(), ..job(&model) };
    let sampled = alone(|environment| sample(&masked, environment)).unwrap().latent;
    let first = |samples: &Tensor| samples.narrow(1, 0, 1).to_vec();
    assert!(difference(&first(&sampled.samples), &first(&normalised)) < 1e-6);
    let none = alone(|environment| native::image_latent(&vae, None, size, environment)).unwrap();
    assert!(none.noise_mask.is_none() && none.samples.to_vec().iter().all(|&value| value == 0.0));
}

#[test]
fn a_cancelled_job_stops() {
    let model = Transformer::open(nano("t2v-dit")).unwrap();
    let residency = Residency::one(None);
    let cancelled = AtomicBool::new(false);
    struct StopAtOnce<'a>(&'a vita_pipeline::Cancel, &'a AtomicBool);
    impl vita_pipeline::Observer for StopAtOnce<'_> {
        fn observe(&mut self, event: vita_pipeline::Event<'_>) {
            if let vita_pipeline::Event::Step { stage: Stage::Sampling, step: 1, .. } = event {
                self.0.cancel();
                self.1.store(true, Ordering::Relaxed);
            }
        }
    }
    let cancel = vita_pipeline::Cancel::default();
    let mut environment = vita_pipeline::Environment {
        cancel: &cancel,
        observer: &mut StopAtOnce(&cancel, &cancelled),
        clock: &|| std::time::Duration::ZERO,
        residency: &residency,
    };
    let error = sample(&job(&model), &mut environment).unwrap_err();
    assert!(matches!(error, Error::Cancelled) && cancelled.load(Ordering::Relaxed));
}

#[test]
fn prompts_of_both_dialects() {
    let encoder = TextEncoder::open(nano("umt5")).unwrap();
    let residency = Residency::one(None);
    let mut heard = Heard::default();
    let mut rows = |text: &str, style| {
        within(&residency, &mut heard, |environment| encoder.encode(text, style, environment)).unwrap()
    };
    let plain = rows("a red ball", PromptStyle::Official).rows().to_vec();
    assert_eq!(rows("a red ball", PromptStyle::Comfy).rows().to_vec(), plain);
    let weighted = rows("a (red:1.5) ball", PromptStyle::Wrapper).rows().to_vec();
    assert!(weighted.iter().zip(&plain).all(|(weighted, plain)| *weighted == plain * 1.5));
    let words = rows("a (red:1.5) ball", PromptStyle::Comfy);
    assert_ne!(words.rows().to_vec(), weighted);
    assert_eq!(words.zeroed().rows().element_count(), 0);
    let long = "ball ".repeat(700);
    assert!(rows(&long, PromptStyle::Comfy).rows().dims()[0] > 512);
    assert_eq!(rows(&long, PromptStyle::Official).rows().dims()[0], 512);
    assert_eq!(heard.warnings.len(), 1);
}
