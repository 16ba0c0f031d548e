//! The Wan wrapper's schedules and solvers beside those that it uses; `tools/reference/wrapper_solvers.py` made the
//! numbers.

use serde::Deserialize;
use vita_base::Report;
use vita_sampling::noise::Generator;
use vita_sampling::{Error, Timetable, WRAPPER_SCHEDULERS, WrapperOptions, sample_wrapper};
use vita_tensor::Tensor;

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    scheduler: String,
    steps: usize,
    shift: f64,
    seed: u64,
    sigmas: Vec<f32>,
    timesteps: Vec<f32>,
    out: Vec<f32>,
}

fn options(scheduler: &str, steps: usize, shift: f64) -> WrapperOptions {
    WrapperOptions {
        scheduler: scheduler.into(),
        steps,
        shift,
        sigmas: None,
        start_step: 0,
        end_step: None,
        denoise: 1.0,
        model_dim: 5120,
    }
}

/// The velocity that stands for a network's; the fixtures state it.
fn velocity(x: &Tensor, sigma: f32) -> Tensor {
    let s = f64::from(sigma);
    let keep = (1.0 - s) * 0.49 / ((1.0 - s).powi(2) * 0.49 + s * s);
    let values = x.f32s().iter().map(|&x| {
        let x = f64::from(x);
        ((x - keep * x - 0.3 * s * (1.5 * x + 0.5).tanh()) / s) as f32
    });
    Tensor::from_vec(values.collect(), x.dims())
}

fn run(options: &WrapperOptions, seed: u64) -> Result<(Timetable, Tensor), Error> {
    let timetable = Timetable::new(options)?;
    let mut generator = Generator::new(seed);
    let noise = generator.randn([2, 1, 3, 4]);
    let mut seen = 0;
    let out = sample_wrapper::<Error>(
        &timetable,
        &noise,
        &mut generator,
        &mut |x, step| Ok(velocity(x, step.sigma)),
        &mut |step, _| {
            seen += 1;
            assert_eq!(step, seen);
            Ok(())
        },
    )?;
    assert_eq!(seen, timetable.timesteps.len());
    Ok((timetable, out))
}

#[test]
fn schedules_and_solvers_are_the_wrappers() {
    let path = format!("{}/tests/fixtures/wrapper_solvers.json", env!("CARGO_MANIFEST_DIR"));
    let file: File = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut failures = Vec::new();
    for case in &file.cases {
        let (timetable, got) = run(&options(&case.scheduler, case.steps, case.shift), case.seed).unwrap();
        let what = format!("{}, {} steps, shift {}", case.scheduler, case.steps, case.shift);
        for (got, want, bound) in
            [(&timetable.sigmas, &case.sigmas, 3e-7), (&timetable.timesteps, &case.timesteps, 2e-4)]
        {
            let same = got.len() == want.len() && got.iter().zip(want).all(|(a, b)| (a - b).abs() <= bound);
            if !same {
                failures.push(format!("{what}: {got:?}, want {want:?}"));
            }
        }
        let error = relative_error(got.f32s(), &case.out);
        // diffusers' `deis` forms e^h near level 1 in f32, and a single step is nothing but that.
        let bound = match (case.scheduler.as_str(), case.steps) {
            ("deis", 1) => 2e-2,
            ("deis", _) => 2e-4,
            _ => 2e-5,
        };
        if error.is_nan() || error > bound {
            failures.push(format!("{what}: {error:.1e}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Values of the wrapper that were measured where its own files are not at hand.
#[test]
fn measured_levels_are_met() {
    let levels = |name, steps| Timetable::new(&options(name, steps, 5.0)).unwrap();
    let close = |got: &[f32], want: &[f32]| got.iter().zip(want).all(|(a, b)| (a - b).abs() < 2e-6);
    let res = levels("res_multistep", 6);
    assert!(close(&res.sigmas, &[1.0, 0.961538, 0.909462, 0.833887, 0.715201, 0.503576]), "{:?}", res.sigmas);
    let distill = levels("flowmatch_distill", 4);
    assert!(close(&distill.sigmas, &[0.9998, 0.9375, 0.833333, 0.625, 0.0]), "{:?}", distill.sigmas);
    assert_eq!(levels("flowmatch_causvid", 3).timesteps, [999.0, 934.0, 862.0]);
}

#[test]
fn parts_of_a_schedule_are_parts_of_its_levels() {
    for scheduler in WRAPPER_SCHEDULERS {
        let steps = 4;
        let whole = Timetable::new(&options(scheduler.name, steps, 5.0)).unwrap();
        assert_eq!((whole.sigmas.len(), whole.timesteps.len()), (steps + 1, steps), "{}", scheduler.name);
        assert!(whole.sigmas.windows(2).all(|pair| pair[0] > pair[1]), "{}: {:?}", scheduler.name, whole.sigmas);
        let part = WrapperOptions { start_step: 1, end_step: Some(3), ..options(scheduler.name, steps, 5.0) };
        let (part, out) = run(&part, 7).unwrap();
        assert_eq!(part.sigmas, whole.sigmas[1..4]);
        assert!(out.f32s().iter().all(|value| value.is_finite()), "{}", scheduler.name);
        let half = WrapperOptions { denoise: 0.5, ..options(scheduler.name, steps, 5.0) };
        assert_eq!(Timetable::new(&half).unwrap().first_step, 1);
    }
}

#[test]
fn unusable_settings_are_named() {
    let plain = || options("euler", 6, 5.0);
    for (options, want) in [
        (
            options("flowmatch_pusa", 6, 5.0),
            "error: no scheduler of the Wan wrapper is called `flowmatch_pusa`, or it is for another model\n\nhint: the schedulers are: unipc, unipc/beta, dpm++, dpm++/beta, dpm++_sde, dpm++_sde/beta, euler, euler/beta, longcat_distill_euler, deis, lcm, lcm/beta, res_multistep, er_sde, flowmatch_causvid, flowmatch_distill, sa_ode_stable, rcm, vibt_unipc",
        ),
        (WrapperOptions { steps: 0, ..plain() }, "error: steps is 0; it must be 1 to 10000"),
        (WrapperOptions { shift: 0.0, ..plain() }, "error: shift is 0; it must be a number above 0"),
        (WrapperOptions { denoise: 2.0, ..plain() }, "error: denoise_strength is 2; it must be 0 to 1"),
        (
            WrapperOptions { start_step: 6, ..plain() },
            "error: steps 6 to 6 of a schedule of 6 are none\n\nhint: let the first step be below the end, and the end at most the steps",
        ),
        (
            WrapperOptions { end_step: Some(7), ..plain() },
            "error: steps 0 to 7 of a schedule of 6 are none\n\nhint: let the first step be below the end, and the end at most the steps",
        ),
        (
            WrapperOptions { sigmas: Some(vec![1.0]), ..plain() },
            "error: sigmas is [1.0]; it must be two or more of 0 to 1",
        ),
        (
            options("flowmatch_distill", 6, 5.0),
            "error: `flowmatch_distill` is made for 4 steps, not 6\n\nhint: ask for 4 steps, or take another scheduler",
        ),
        (
            WrapperOptions { sigmas: Some(vec![1.0, 0.0]), ..options("flowmatch_distill", 4, 5.0) },
            "error: `flowmatch_distill` has levels of its own and takes no others\n\nhint: leave the levels away, or take another scheduler",
        ),
    ] {
        assert_eq!(Report::from(Timetable::new(&options).unwrap_err()).to_string(), want);
    }
}

fn relative_error(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let difference = square(&mut got.iter().zip(want).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    (difference / square(&mut want.iter().map(|&value| value.into()))).sqrt()
}
