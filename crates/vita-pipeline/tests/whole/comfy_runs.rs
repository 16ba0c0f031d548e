//! Whole sampling runs against ComfyUI's own: masks, frames that are known, two runs that hand a latent over.
//!
//! `tests/fixtures/comfy_runs.safetensors` holds what ComfyUI 0.8.0 (`comfy.sample.sample`, f32 on a processor) was
//! given and gave, on the transformers with random weights of `vita-models/tests/fixtures`.

use std::collections::BTreeMap;
use std::path::Path;

use vita_pipeline::{
    Cfg, Conditioning, ImageConditioning, KnownFrames, Latent, LatentSpace, Noise, SampleJob, Schedule, Steps,
    TextRows, Transformer, sample,
};
use vita_tensor::Tensor;
use vita_weights::{Checkpoint, write_safetensors};

use crate::support::alone;

/// Below the 1e-3 that runs are held to: a mask that is off by a rounding rule shows.
const BOUND: f64 = 1e-4;

pub struct Reference(Checkpoint);

impl Reference {
    fn open() -> Self {
        Self::named("comfy_runs")
    }

    pub fn named(name: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.safetensors"));
        Self(Checkpoint::open(file).unwrap())
    }

    pub fn metadata(&self, key: &str) -> &str {
        &self.0.metadata()[key]
    }

    pub fn get(&self, name: &str) -> Tensor {
        self.0.tensor(name).unwrap().to_contiguous_f32()
    }

    #[track_caller]
    pub fn check(&self, case: &str, latent: &Latent) {
        let want = self.get(&format!("{case}.out"));
        let got = latent.samples_in(LatentSpace::Raw).unwrap();
        assert_eq!(got.dims(), want.dims(), "{case}");
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        let (got, want) = (got.to_vec(), want.to_vec());
        let error = norm(&mut got.iter().zip(&want).map(|(a, b)| f64::from(a - b)))
            / norm(&mut want.iter().map(|&value| f64::from(value)));
        assert!(error < BOUND, "{case}: {error}");
    }

    pub fn prompts(&self) -> [Conditioning; 2] {
        ["rows", "negative_rows"].map(|name| TextRows::new(self.get(name)).into())
    }
}

/// A transformer of the other crate's fixtures, whose weights stand below `w.`.
pub fn transformer(name: &str, shift: f64) -> Transformer {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../vita-models/tests/fixtures/{name}.safetensors"));
    let fixture = Checkpoint::open(file).unwrap();
    let weights: Vec<(&str, Tensor)> = fixture
        .tensors()
        .filter_map(|(key, _)| Some((key.strip_prefix("w.")?, fixture.tensor(key).unwrap())))
        .collect();
    let weights: Vec<(&str, &Tensor)> = weights.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dit.safetensors");
    write_safetensors(&path, &weights, &BTreeMap::new()).unwrap();
    Transformer::open(path).unwrap().patched(|patches| patches.shift = Some(shift))
}

fn job(reference: &Reference, model: &Transformer, seed: u64, steps: usize, cfg: f64, latent: Latent) -> SampleJob {
    let [positive, negative] = reference.prompts();
    SampleJob {
        model: model.clone(),
        positive,
        negative: Some(negative),
        cfg: Cfg::Constant(cfg),
        sampler: "euler".into(),
        schedule: Schedule::Named(Steps::new("simple", steps)),
        noise: Noise::Seed(seed),
        seed,
        latent,
    }
}

fn run(job: &SampleJob) -> Latent {
    alone(|environment| sample(job, environment)).unwrap().latent
}

fn with_image(job: SampleJob, image: &ImageConditioning) -> SampleJob {
    let negative = job.negative.as_ref().map(|negative| negative.with_image(image));
    SampleJob { positive: job.positive.with_image(image), negative, ..job }
}

#[test]
fn latents_that_are_kept_have_a_time_of_their_own() {
    let reference = Reference::open();
    let model = transformer("dit_ti2v", 5.0);
    for (case, sampler, scheduler) in
        [("ti2v", "euler", "simple"), ("ti2v_soft", "uni_pc", "simple"), ("ti2v_resized", "euler", "beta")]
    {
        let mask = reference.get(&format!("{case}.mask"));
        let latent = Latent { noise_mask: Some(mask), ..Latent::raw(reference.get("ti2v.latent")) };
        let job = job(&reference, &model, 3, 4, 3.0, latent);
        let schedule = Schedule::Named(Steps::new(scheduler, 4));
        reference.check(case, &run(&SampleJob { sampler: sampler.into(), schedule, ..job }));
    }
}

#[test]
fn known_frames_go_in_beside_the_noise() {
    let reference = Reference::open();
    let model = transformer("dit_i2v_36_channels", 8.0);
    let job = job(&reference, &model, 5, 4, 3.5, Latent::zeros([16, 3, 4, 2]));
    let mut first = Tensor::zeros([4, 3, 4, 2]);
    first.f32s_mut().chunks_exact_mut(24).for_each(|clip| clip[..8].fill(1.0));
    for (case, mask) in [("concat", first), ("ends", reference.get("ends.mask"))] {
        let known = KnownFrames { latent: reference.get("concat.known"), mask, space: LatentSpace::Raw };
        let image = ImageConditioning { known: Some(known), clip: None };
        reference.check(case, &run(&with_image(job.clone(), &image)));
    }
    reference.check("nothing", &run(&job));

    // The first steps, handed over with their noise; the rest without guidance.
    let steps = Steps::new("simple", 4);
    let first = Steps { end_step: Some(2), leftover_noise: true, ..steps.clone() };
    let half = run(&SampleJob { schedule: Schedule::Named(first), ..job.clone() });
    reference.check("half", &half);
    let rest = Schedule::Named(Steps { start_step: 2, ..steps });
    let cfg = Cfg::Constant(1.0);
    reference.check("rest", &run(&SampleJob { schedule: rest, cfg, noise: Noise::None, latent: half, ..job }));
}

#[test]
fn part_of_a_latent_is_made_over() {
    let reference = Reference::open();
    let model = transformer("dit_i2v_36_channels", 8.0);
    let mask = Some(reference.get("inpaint.mask"));
    let latent = Latent { noise_mask: mask, ..Latent::raw(reference.get("inpaint.latent")) };
    let job = job(&reference, &model, 6, 3, 2.0, latent);
    let schedule = Schedule::Named(Steps { denoise: 0.6, ..Steps::new("simple", 3) });
    reference.check("inpaint", &run(&SampleJob { schedule, ..job }));
}

#[test]
fn a_picture_is_seen_through_clip_too() {
    let reference = Reference::open();
    let model = transformer("dit_i2v_image_branch", 3.0);
    let mut mask = Tensor::zeros([4, 2, 4, 6]);
    mask.f32s_mut().chunks_exact_mut(48).for_each(|clip| clip[..24].fill(1.0));
    let known = KnownFrames { latent: reference.get("clip.known"), mask, space: LatentSpace::Raw };
    let image = ImageConditioning { known: Some(known), clip: Some(reference.get("clip.clip")) };
    let job = job(&reference, &model, 7, 3, 4.0, Latent::zeros([16, 2, 4, 6]));
    reference.check("clip", &run(&with_image(job, &image)));
}
