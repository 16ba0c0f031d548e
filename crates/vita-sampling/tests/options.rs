//! Settings that no run can have, settings at the edge, and runs that are ended.

use vita_base::Report;
use vita_sampling::{Denoised, Error, SCHEDULERS, SOLVERS, SampleOptions, levels, sample, sample_guided};
use vita_tensor::Tensor;

fn plain() -> SampleOptions {
    SampleOptions::new("euler", "simple", 4, 8.0, 1)
}

fn message(options: SampleOptions) -> String {
    Report::from(levels(&options).unwrap_err()).to_string()
}

#[test]
fn unusable_settings_are_named() {
    let uni_pc = |options: SampleOptions| SampleOptions { sampler: "uni_pc".into(), ..options };
    for (options, want) in [
        (
            SampleOptions { sampler: "eulre".into(), ..plain() },
            "error: no sampler is called `eulre`\n\nhint: the samplers are: euler, euler_cfg_pp, euler_ancestral, euler_ancestral_cfg_pp, heun, heunpp2, exp_heun_2_x0, exp_heun_2_x0_sde, dpm_2, dpm_2_ancestral, lms, dpm_fast, dpm_adaptive, dpmpp_2s_ancestral, dpmpp_2s_ancestral_cfg_pp, dpmpp_sde, dpmpp_sde_gpu, dpmpp_2m, dpmpp_2m_cfg_pp, dpmpp_2m_sde, dpmpp_2m_sde_gpu, dpmpp_2m_sde_heun, dpmpp_2m_sde_heun_gpu, dpmpp_3m_sde, dpmpp_3m_sde_gpu, ddpm, lcm, ipndm, ipndm_v, deis, res_multistep, res_multistep_cfg_pp, res_multistep_ancestral, res_multistep_ancestral_cfg_pp, gradient_estimation, gradient_estimation_cfg_pp, er_sde, seeds_2, seeds_3, sa_solver, sa_solver_pece, ddim, uni_pc, uni_pc_bh2",
        ),
        (
            SampleOptions { scheduler: String::new(), ..plain() },
            "error: no scheduler is called ``\n\nhint: the schedulers are: simple, sgm_uniform, karras, exponential, ddim_uniform, beta, normal, linear_quadratic, kl_optimal",
        ),
        (SampleOptions { steps: 0, ..plain() }, "error: steps is 0; it must be 1 to 10000"),
        (SampleOptions { steps: usize::MAX, ..plain() }, "error: steps is 18446744073709551615; it must be 1 to 10000"),
        (SampleOptions { denoise: -0.5, ..plain() }, "error: denoise is -0.5; it must be 0 to 1"),
        (SampleOptions { denoise: 1.5, ..plain() }, "error: denoise is 1.5; it must be 0 to 1"),
        (SampleOptions { denoise: f64::NAN, ..plain() }, "error: denoise is NaN; it must be 0 to 1"),
        (
            SampleOptions { denoise: 0.5f64.powi(20), ..plain() },
            "error: 4 steps at denoise 0.00000095367431640625 are the end of a schedule of 4194304 steps; at most 1000000 are possible\n\nhint: use a larger denoise, or 0 to keep the latent as it is",
        ),
        (SampleOptions { shift: 0.0, ..plain() }, "error: shift is 0; it must be 0.01 to 1000"),
        (SampleOptions { shift: f64::INFINITY, ..plain() }, "error: shift is inf; it must be 0.01 to 1000"),
        (SampleOptions { shift: f64::NAN, ..plain() }, "error: shift is NaN; it must be 0.01 to 1000"),
        (
            uni_pc(SampleOptions { steps: 1, ..plain() }),
            "error: `uni_pc` takes at least 2 steps, here 1 would be run\n\nhint: ask for more steps, a wider range of them, or another sampler or scheduler",
        ),
        (
            uni_pc(SampleOptions { start_step: 3, ..plain() }),
            "error: `uni_pc` takes at least 2 steps, here 1 would be run\n\nhint: ask for more steps, a wider range of them, or another sampler or scheduler",
        ),
        (
            SampleOptions { scheduler: "kl_optimal".into(), steps: 1, ..plain() },
            "error: `kl_optimal` takes at least 2 steps, here 1 would be run\n\nhint: ask for more steps, a wider range of them, or another sampler or scheduler",
        ),
    ] {
        assert_eq!(message(options), want);
    }
}

#[test]
fn nothing_to_do_returns_the_latent() {
    let latent = Tensor::from_vec((0..32).map(|i| i as f32).collect(), [2, 1, 4, 4]);
    for options in [
        SampleOptions { denoise: 0.0, ..plain() },
        SampleOptions { start_step: 4, ..plain() },
        SampleOptions { start_step: usize::MAX, ..plain() },
        SampleOptions { end_step: Some(0), ..plain() },
        SampleOptions { start_step: 3, end_step: Some(2), ..plain() },
    ] {
        let got = sample::<Error>(&options, &latent, &mut |_, _| panic!("no step is run"), &mut |_, _| Ok(()));
        assert_eq!(got.unwrap().f32s(), latent.f32s(), "{options:?}");
    }
}

/// A model whose negative prompt changes nothing.
fn both(guided: Tensor) -> Denoised {
    Denoised { uncond: Some(guided.clone()), guided }
}

/// Whatever the settings, a run ends with finite numbers or says what is wrong before the model is called.
#[test]
fn every_combination_runs_or_says_why() {
    let latent = Tensor::zeros([1, 1, 4, 5]);
    let mut ran = 0;
    for solver in SOLVERS {
        for scheduler in SCHEDULERS {
            for (steps, shift, denoise) in
                [(1, 8.0, 1.0), (2, 1.0, 1.0), (3, 0.05, 1.0), (5, 1000.0, 0.3), (7, 5.0, 0.05), (3, 3.0, 0.001)]
            {
                for (start_step, end_step, leftover_noise) in
                    [(0, None, false), (1, Some(3), true), (0, Some(2), false)]
                {
                    let options = SampleOptions {
                        denoise,
                        start_step,
                        end_step,
                        leftover_noise,
                        ..SampleOptions::new(solver.name, scheduler.name, steps, shift, u64::MAX)
                    };
                    let mut model = |x: &Tensor, _: f32| {
                        let values = x.f32s().iter().map(|x| x.tanh());
                        Ok(both(Tensor::from_vec(values.collect(), x.dims())))
                    };
                    let mut steps_seen = Vec::new();
                    let result = sample_guided::<Error>(&options, &latent, &mut model, &mut |step, _| {
                        steps_seen.push(step);
                        Ok(())
                    });
                    let Ok(got) = result else {
                        assert!(levels(&options).is_err() && steps_seen.is_empty(), "{options:?}");
                        continue;
                    };
                    let step_count = levels(&options).unwrap().len().saturating_sub(1);
                    if solver.name == "dpm_adaptive" {
                        // How many steps it takes is not known beforehand.
                        assert!(steps_seen.is_sorted() && steps_seen.last() <= Some(&step_count), "{options:?}");
                    } else {
                        assert_eq!(steps_seen, Vec::from_iter(1..=step_count), "{options:?}");
                    }
                    assert!(got.f32s().iter().all(|value| value.is_finite()), "{options:?}: {:?}", got.f32s());
                    ran += 1;
                }
            }
        }
    }
    assert!(ran > 1500, "{ran} ran");
}

#[derive(Debug, PartialEq)]
enum Ended {
    Sampling(Error),
    Model(usize),
    Step(usize),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Sampling(error)
    }
}

#[test]
fn an_error_ends_the_run_at_once() {
    let latent = Tensor::zeros([1, 1, 2, 2]);
    for solver in SOLVERS {
        let options = SampleOptions { sampler: solver.name.into(), steps: 6, ..plain() };
        for last in 1..=3 {
            let mut calls = 0;
            let mut model = |x: &Tensor, _: f32| {
                calls += 1;
                if calls == last { Err(Ended::Model(calls)) } else { Ok(both(x.clone())) }
            };
            let ended = sample_guided(&options, &latent, &mut model, &mut |_, _| Ok(())).unwrap_err();
            assert_eq!((ended, calls), (Ended::Model(last), last), "{}", solver.name);

            let mut steps = 0;
            let mut on_step = |step: usize, _: &Tensor| {
                steps += 1;
                if step == last { Err(Ended::Step(step)) } else { Ok(()) }
            };
            if solver.name == "dpm_adaptive" && last > 1 {
                // Nothing changes along this model's way, so it may be gone in one step.
                continue;
            }
            let ended = sample_guided(&options, &latent, &mut |x, _| Ok(both(x.clone())), &mut on_step).unwrap_err();
            assert_eq!((ended, steps), (Ended::Step(last), last), "{}", solver.name);
        }
    }
    let options = SampleOptions { sampler: "euler_cfg_pp".into(), ..plain() };
    let error = sample::<Error>(&options, &latent, &mut |x, _| Ok(x.clone()), &mut |_, _| Ok(())).unwrap_err();
    let want = "error: `euler_cfg_pp` goes by the negative prompt's latent, which this run does not make\n\nhint: take `euler`";
    assert_eq!(Report::from(error).to_string(), want);
    let ended = sample(&SampleOptions { steps: 0, ..plain() }, &latent, &mut |x, _| Ok(x.clone()), &mut |_, _| Ok(()));
    assert!(matches!(ended, Err(Ended::Sampling(Error::Number { what: "steps", .. }))));
}
