//! Passes of the video transformer in which something is done otherwise.

mod common;

use std::ops::ControlFlow;

use common::{Fixture, assert_close, relative_error};
use vita_models::wan::{
    CacheRule, Cached, Context, HIDDEN_BYTES_MAX, Layout, LayoutOptions, Nag, NagNumbers, Pass, Prompt, StepCache,
    TeaMeasure, Wan,
};
use vita_tensor::Tensor;
use vita_weights::{Role, Weights};

struct Bench {
    wan: Wan,
    layout: Layout,
    context: Context,
    x: Tensor,
}

impl Bench {
    fn of(weights: &Weights) -> Self {
        let wan = Wan::load(weights, &mut |_, _| ControlFlow::Continue(())).unwrap();
        let layout = wan.layout([3, 4, 4], LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX }).unwrap();
        let context = wan.context(&Prompt::new(&wavy(&[5, 64], 0.37), 507).unwrap(), None).unwrap();
        Self { wan, layout, context, x: wavy(&[16, 3, 4, 4], 0.53) }
    }

    fn pass(&self, x: &Tensor, timestep: f32, pass: Pass) -> Tensor {
        let go_on = &mut |_, _| ControlFlow::Continue(());
        self.wan.pass(x, &[timestep], &self.context, &self.layout, pass, go_on).unwrap()
    }

    fn plain(&self) -> Tensor {
        self.pass(&self.x, 500.0, Pass::default())
    }
}

fn wavy(dims: &[usize], turn: f64) -> Tensor {
    let count = dims.iter().product();
    Tensor::from_vec((0..count).map(|i: usize| ((i * i % 8191) as f64 * turn).sin() as f32).collect(), dims)
}

/// A model of two blocks.
fn fixture() -> Fixture {
    Fixture::open("dit_t2v")
}

#[test]
fn a_skipped_block_is_a_block_that_is_not_there() {
    let both = Bench::of(&fixture().weights(Role::DiffusionModel));
    for skipped in [0usize, 1] {
        // The same network without the block: the other one is its only block.
        let (gone, kept) = (format!("blocks.{skipped}."), format!("blocks.{}.", 1 - skipped));
        let tensors: Vec<(String, Tensor)> = {
            let weights = fixture().weights(Role::DiffusionModel);
            let all = weights.all().map(|(name, _)| name.to_owned()).filter(|name| !name.starts_with(&gone));
            all.map(|name| (name.replace(&kept, "blocks.0."), weights.checkpoint().tensor(&name).unwrap())).collect()
        };
        let alone = Bench::of(&common::checkpoint("alone", &tensors).weights(Role::DiffusionModel).unwrap());
        let got = both.pass(&both.x, 500.0, Pass { skipped_blocks: &[skipped], ..Pass::default() });
        assert_close(&got, &alone.plain(), 1e-6, &format!("without block {skipped}"));
        assert!(relative_error(&got, &both.plain()) > 1e-3);
    }
    let got = both.pass(&both.x, 500.0, Pass { skipped_blocks: &[2, 9], ..Pass::default() });
    assert_eq!(got.to_vec(), both.plain().to_vec());
}

#[test]
fn a_pass_that_is_left_out_adds_what_the_last_one_added() {
    let bench = Bench::of(&fixture().weights(Role::DiffusionModel));
    let never = 1e9;
    for rule in [
        CacheRule::TeaCache { threshold: never, measure: TeaMeasure::Plain },
        CacheRule::MagCache { threshold: never, skips_max: 9, ratios: &[1.0, 0.9] },
        CacheRule::EasyCache { threshold: never },
    ] {
        let mut cache = StepCache::new(rule.clone());
        let mut run = |x: &Tensor, step_index| {
            let cache = Some(Cached { cache: &mut cache, step_index, step_count: 4 });
            bench.pass(x, 500.0, Pass { cache, ..Pass::default() })
        };
        let first = run(&bench.x, 0);
        assert_eq!(first.to_vec(), bench.plain().to_vec(), "{rule:?}");
        // EasyCache learns its rate from a second computed pass.
        let second = run(&bench.x, 1);
        assert_close(&second, &first, 1e-5, &format!("{rule:?}"));
        let other = wavy(&[16, 3, 4, 4], 0.71);
        let (got, full) = (run(&other, 2), bench.pass(&other, 500.0, Pass::default()));
        match rule {
            // The rate of no change by no change is no number, so nothing is left out.
            CacheRule::EasyCache { .. } => assert_eq!((cache.skipped(), got.to_vec()), (0, full.to_vec())),
            _ => {
                assert_eq!(cache.skipped(), 2);
                assert!(relative_error(&got, &full) > 1e-3, "{rule:?}");
            }
        }
    }
}

#[test]
fn a_pass_is_computed_when_the_cache_says_so() {
    let bench = Bench::of(&fixture().weights(Role::DiffusionModel));
    let mut cache = StepCache::new(CacheRule::TeaCache { threshold: 1e-9, measure: TeaMeasure::Plain });
    for (step_index, timestep) in [900.0, 500.0, 100.0].into_iter().enumerate() {
        let cache = Some(Cached { cache: &mut cache, step_index, step_count: 3 });
        let got = bench.pass(&bench.x, timestep, Pass { cache, ..Pass::default() });
        assert_eq!(got.to_vec(), bench.pass(&bench.x, timestep, Pass::default()).to_vec());
    }
    assert_eq!(cache.skipped(), 0);
}

#[test]
fn what_changes_nothing_changes_nothing() {
    let bench = Bench::of(&fixture().weights(Role::DiffusionModel));
    let plain = bench.plain();
    let negative = bench.wan.context(&Prompt::new(&wavy(&[3, 64], 0.91), 509).unwrap(), None).unwrap();
    let nag = |context, scale, alpha| {
        let numbers = NagNumbers { scale, tau: 2.5, alpha };
        bench.pass(&bench.x, 500.0, Pass { nag: Some(Nag { context, numbers }), ..Pass::default() })
    };
    assert_eq!(nag(&negative, 11.0, 0.0).to_vec(), plain.to_vec());
    assert_close(&nag(&negative, 1.0, 1.0), &plain, 1e-6, "scale 1");
    assert_close(&nag(&bench.context, 3.0, 1.0), &plain, 1e-4, "away from itself");
    assert!(relative_error(&nag(&negative, 11.0, 0.25), &plain) > 1e-4);
    let enhanced = |weight| bench.pass(&bench.x, 500.0, Pass { enhance: Some(weight), ..Pass::default() });
    // Far below 0 the factor is held at 1.
    assert_eq!(enhanced(-9.0).to_vec(), plain.to_vec());
    assert!(relative_error(&enhanced(9.0), &plain) > 1e-4);
}
