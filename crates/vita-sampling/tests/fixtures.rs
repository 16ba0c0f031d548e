//! Noise, schedules and solvers beside PyTorch and ComfyUI; `tools/reference` says how the numbers were made.

use serde::Deserialize;
use vita_sampling::noise::{BrownianTree, Generator};
use vita_sampling::{Denoised, Error, Flow, SampleOptions, Scheduler, levels, sample, sample_guided};
use vita_tensor::{Dims, Tensor};

fn read<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[derive(Deserialize)]
struct Noise {
    randn: Vec<Draw>,
    rand: Vec<Draw>,
    randperm: Vec<Permutation>,
    sequences: Vec<Sequence>,
    videos: Vec<Video>,
    brownian: Vec<Path>,
}

#[derive(Deserialize)]
struct Draw {
    seed: u64,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct Permutation {
    seed: u64,
    count: usize,
    values: Vec<usize>,
}

#[derive(Deserialize)]
struct Sequence {
    seed: u64,
    draws: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Video {
    seed: u64,
    shape: Vec<usize>,
    hash: String,
    first: Vec<f32>,
}

#[derive(Deserialize)]
struct Path {
    seed: u64,
    shape: Vec<usize>,
    sigmas: Vec<f32>,
    queries: Vec<Query>,
}

#[derive(Deserialize)]
struct Query {
    from: f32,
    to: f32,
    values: Vec<f32>,
}

#[test]
fn noise_is_torchs_bit_for_bit() {
    let noise: Noise = read("noise");
    for Draw { seed, values } in &noise.randn {
        let got = Generator::new(*seed).randn([values.len()]);
        assert_eq!(bits(got.f32s()), bits(values), "randn, seed {seed}, {} values", values.len());
    }
    for Draw { seed, values } in &noise.rand {
        assert_eq!(bits(Generator::new(*seed).rand([values.len()]).f32s()), bits(values), "rand, seed {seed}");
    }
    for Permutation { seed, count, values } in &noise.randperm {
        assert_eq!(&Generator::new(*seed).randperm(*count), values, "randperm, seed {seed}");
    }
    for Sequence { seed, draws } in &noise.sequences {
        let mut generator = Generator::new(*seed);
        for values in draws {
            assert_eq!(bits(generator.randn([values.len()]).f32s()), bits(values), "sequence, seed {seed}");
        }
    }
    for Video { seed, shape, hash, first } in &noise.videos {
        let got = Generator::new(*seed).randn(&shape[..]);
        assert_eq!(bits(&got.f32s()[..3]), bits(first), "video, seed {seed}");
        let sum = got.f32s().iter().fold(0u64, |sum, value| sum.wrapping_mul(31).wrapping_add(value.to_bits().into()));
        assert_eq!(format!("{sum:016x}"), *hash, "video, seed {seed}");
    }
}

#[test]
fn brownian_paths_are_torchsdes() {
    let noise: Noise = read("noise");
    for Path { seed, shape, sigmas, queries } in &noise.brownian {
        let min = sigmas.iter().copied().filter(|&sigma| sigma > 0.0).fold(f32::INFINITY, f32::min);
        let tree = BrownianTree::new(*seed, Dims::from(&shape[..]), min, sigmas[0]);
        for Query { from, to, values } in queries {
            let got = tree.noise(*from, *to);
            // A short interval is a small difference of large numbers, in f32 there.
            let bound = 3e-6 / f64::from(from - to).abs().sqrt();
            let error = relative_error(got.f32s(), values);
            assert!(error < bound, "seed {seed}, {from} to {to}: {error:.1e}, at most {bound:.1e}");
        }
    }
}

#[derive(Deserialize)]
struct Sigmas {
    schedules: Vec<Schedule>,
    runs: Vec<RunOptions>,
}

#[derive(Deserialize)]
struct Schedule {
    scheduler: String,
    steps: usize,
    shift: f64,
    sigmas: Vec<f32>,
}

#[test]
fn schedules_are_comfyuis() {
    let file: Sigmas = read("sigmas");
    for Schedule { scheduler, steps, shift, sigmas } in &file.schedules {
        let got = Scheduler::named(scheduler).unwrap().levels(&Flow::new(*shift).unwrap(), *steps).unwrap();
        assert_levels(&got, sigmas, &format!("{scheduler}, {steps} steps, shift {shift}"));
    }
    for run in &file.runs {
        assert_levels(&levels(&run.options()).unwrap(), run.sigmas.as_ref().unwrap(), &format!("{run:?}"));
    }
}

#[track_caller]
fn assert_levels(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: {got:?}, {want:?}");
    for (got, want) in got.iter().zip(want) {
        // Where a power or logarithm is involved, ComfyUI's own differ by about this between processors.
        assert!((got - want).abs() <= 2.5e-7, "{what}: {got}, want {want}");
    }
}

#[derive(Deserialize)]
struct Solvers {
    cases: Vec<RunOptions>,
}

#[derive(Deserialize, Debug)]
struct RunOptions {
    sampler: String,
    scheduler: String,
    steps: usize,
    shift: f64,
    seed: Option<u64>,
    denoise: Option<f64>,
    start_step: Option<usize>,
    end_step: Option<usize>,
    leftover_noise: Option<bool>,
    add_noise: Option<bool>,
    sigmas: Option<Vec<f32>>,
    shape: Option<Vec<usize>>,
    latent: Option<bool>,
    robust_times: Option<bool>,
    model_calls: Option<Vec<f32>>,
    out: Option<Vec<f32>>,
}

impl RunOptions {
    fn options(&self) -> SampleOptions {
        SampleOptions {
            denoise: self.denoise.unwrap_or(1.0),
            start_step: self.start_step.unwrap_or(0),
            end_step: self.end_step,
            add_noise: self.add_noise.unwrap_or(true),
            leftover_noise: self.leftover_noise.unwrap_or(false),
            ..SampleOptions::new(&self.sampler, &self.scheduler, self.steps, self.shift, self.seed.unwrap_or(0))
        }
    }
}

/// The formula that stands for a network; `solvers.json` states it.
fn clean(x: &Tensor, sigma: f32) -> Tensor {
    let s = f64::from(sigma);
    let keep = (1.0 - s) * 0.49 / ((1.0 - s).powi(2) * 0.49 + s * s);
    let values = x.f32s().iter().map(|&x| {
        let x = f64::from(x);
        (keep * x + 0.3 * s * (1.5 * x + 0.5).tanh()) as f32
    });
    Tensor::from_vec(values.collect(), x.dims())
}

#[test]
fn solvers_are_comfyuis() {
    let file: Solvers = read("solvers");
    assert!(file.cases.len() > 200);
    for case in &file.cases {
        // The batch of one goes away.
        let dims = &case.shape.as_ref().unwrap()[1..];
        let count: usize = dims.iter().product();
        let start = |i: usize| if case.latent == Some(true) { (0.5 * (i as f64).sin()) as f32 } else { 0.0 };
        let latent = Tensor::from_vec((0..count).map(start).collect(), dims);
        let mut calls = Vec::new();
        let result = sample::<Error>(
            &case.options(),
            &latent,
            &mut |x, sigma| {
                calls.push(sigma);
                Ok(clean(x, sigma))
            },
            &mut |_, _| Ok(()),
        );
        let got = result.unwrap();
        assert_levels(&calls, case.model_calls.as_ref().unwrap(), &format!("{case:?}"));
        // A Brownian time on the edge of rounding to six digits may fall either way.
        let bound = if case.robust_times == Some(false) { 1e-2 } else { 1e-5 };
        let error = relative_error(got.f32s(), case.out.as_ref().unwrap());
        assert!(error <= bound, "{error:.1e}: {case:?}");
    }
}

/// What stands for the negative prompt's latent; `comfy_solvers.json` states it.
fn uncond(x: &Tensor, clean: &Tensor, sigma: f32) -> Tensor {
    let values = x.f32s().iter().zip(clean.f32s()).map(|(&x, &clean)| 0.9 * clean - 0.05 * sigma * x + 0.02);
    Tensor::from_vec(values.collect(), x.dims())
}

/// Bounds of solvers that ComfyUI runs in `f32` where rounding is amplified; everything else is within 2e-5.
const LOOSE: &[(&str, f64)] = &[("dpmpp_sde", 3e-4), ("dpmpp_sde_gpu", 3e-4), ("uni_pc", 2e-4), ("uni_pc_bh2", 2e-4)];

#[test]
fn every_solver_is_comfyuis_own() {
    let file: Solvers = read("comfy_solvers");
    let mut failures = Vec::new();
    for case in &file.cases {
        let latent = match case.latent {
            Some(true) => (0..24).map(|i| (0.5 * f64::from(i).sin()) as f32).collect(),
            _ => vec![0.0; 24],
        };
        let mut calls = 0;
        let result = sample_guided::<Error>(
            &case.options(),
            &Tensor::from_vec(latent, [2, 1, 3, 4]),
            &mut |x, sigma| {
                calls += 1;
                let guided = clean(x, sigma);
                Ok(Denoised { uncond: Some(uncond(x, &guided, sigma)), guided })
            },
            &mut |_, _| Ok(()),
        );
        let got = result.unwrap();
        let bound = LOOSE.iter().find(|(name, _)| *name == case.sampler).map_or(2e-5, |(_, bound)| *bound);
        let error = relative_error(got.f32s(), case.out.as_ref().unwrap());
        let calls_wanted = case.model_calls.as_ref().unwrap().len();
        if error.is_nan() || error > bound || calls != calls_wanted {
            failures.push(format!("{} {error:.1e}, {calls} calls of {calls_wanted}: {case:?}", case.sampler));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), file.cases.len(), failures.join("\n"));
}

/// `exp_heun_2_x0` is newer than the ComfyUI of the fixtures: the exact flow of a normal distribution stands in.
#[test]
fn exponential_heun_is_of_second_order() {
    // Data of variance 0.49: along the flow x^2 / ((1 - s)^2 0.49 + s^2) is constant.
    let error = |steps: usize| {
        let options = SampleOptions {
            end_step: Some(steps - 1),
            leftover_noise: true,
            ..SampleOptions::new("exp_heun_2_x0", "sgm_uniform", steps, 1.0, 3)
        };
        let sigmas = levels(&options).unwrap();
        let mut model = |x: &Tensor, sigma: f32| -> Result<Tensor, Error> {
            let s = f64::from(sigma);
            let keep = (1.0 - s) * 0.49 / ((1.0 - s).powi(2) * 0.49 + s * s);
            Ok(Tensor::from_vec(x.f32s().iter().map(|&x| (keep * f64::from(x)) as f32).collect(), x.dims()))
        };
        let end = f64::from(*sigmas.last().unwrap());
        let got = sample::<Error>(&options, &Tensor::zeros([1, 1, 1, 16]), &mut model, &mut |_, _| Ok(())).unwrap();
        let start = Generator::new(3).randn([1, 1, 1, 16]);
        let scale = ((1.0 - end).powi(2) * 0.49 + end * end).sqrt() / (1.0 - end);
        let want: Vec<f32> = start.f32s().iter().map(|&x| (f64::from(x) * scale) as f32).collect();
        relative_error(got.f32s(), &want)
    };
    // Each end lies at one share of the way, so twice the steps of the rest compare at other ends; the rate shows.
    let (coarse, fine) = (error(20), error(80));
    assert!(fine < coarse / 8.0 && fine < 2e-3, "{coarse:.1e}, {fine:.1e}");
}

fn relative_error(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let difference = square(&mut got.iter().zip(want).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    (difference / square(&mut want.iter().map(|&value| value.into()))).sqrt()
}
