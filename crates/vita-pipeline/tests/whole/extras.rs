//! What may be done at some steps beside guidance, on the small models.

use std::sync::Arc;

use vita_pipeline::{
    CacheRule, Enhance, Error, ModelPatches, NagNumbers, NagPrompt, PassCache, Passes, PromptStyle, ReuseCache,
    ReusePlace, SampleJob, Sampled, SkipInNegative, SkipLayers, Span, TeaMeasure, TextEncoder, Transformer, WrapperJob,
    WrapperSchedule, sample, sample_as_wrapper,
};

use crate::parts::{difference, job, prompt};
use crate::support::{alone, nano};

const WHOLE: Span = Span { start: 0.0, end: 1.0 };

fn native(change: impl FnOnce(&mut ModelPatches)) -> Sampled {
    let job = job(&Transformer::open(nano("t2v-dit")).unwrap());
    let model = job.model.patched(change);
    alone(|environment| sample(&SampleJob { model, ..job }, environment)).unwrap()
}

fn wrapper(change: impl FnOnce(&mut ModelPatches)) -> Result<Sampled, Error> {
    let job = WrapperJob {
        model: Transformer::open(nano("t2v-dit")).unwrap().patched(change),
        positive: prompt("a red ball"),
        negative: Some(prompt("")),
        cfg: 2.5.into(),
        schedule: WrapperSchedule::new("euler", 6, 3.0),
        seed: 5,
        latent: [3, 4, 4],
        samples: None,
        add_noise_to_samples: false,
        known_frames: Default::default(),
    };
    alone(|environment| sample_as_wrapper(&job, environment))
}

fn values(sampled: &Sampled) -> Vec<f32> {
    sampled.latent.samples.to_vec()
}

#[test]
fn skipped_blocks_lead_only_within_their_span() {
    let plain = native(|_| {});
    assert_eq!(plain.passes, Passes { asked: 8, skipped: 0 });
    let skip = |span| SkipLayers { blocks: vec![2, 3], scale: 3.0, span, rescale: 0.0 };
    let led = native(|patches| patches.skip_layers = Some(skip(WHOLE)));
    assert_eq!(led.passes.asked, 12);
    assert!(difference(&values(&led), &values(&plain)) > 1e-3);
    // Of four steps the first alone is at the way's beginning.
    let first = native(|patches| patches.skip_layers = Some(skip(Span { start: 0.0, end: 0.1 })));
    assert_eq!(first.passes.asked, 9);
    // Blocks that are not there leave nothing out: the model is led away from itself.
    let none = SkipLayers { blocks: vec![99], ..skip(WHOLE) };
    let none = native(|patches| patches.skip_layers = Some(none));
    assert!(difference(&values(&none), &values(&plain)) < 1e-5);
}

#[test]
fn the_wrappers_settings_change_what_they_should() {
    let plain = values(&wrapper(|_| {}).unwrap());
    let off = |change: &dyn Fn(&mut ModelPatches)| difference(&values(&wrapper(change).unwrap()), &plain);
    let skip = |blocks: &[usize], span| SkipInNegative { blocks: blocks.to_vec(), span };
    assert!(off(&|patches| patches.skip_in_negative = Some(skip(&[2], WHOLE))) > 1e-3);
    assert_eq!(off(&|patches| patches.skip_in_negative = Some(skip(&[99], WHOLE))), 0.0);
    assert_eq!(off(&|patches| patches.skip_in_negative = Some(skip(&[2], Span { start: 0.9, end: 1.0 }))), 0.0);
    assert!(off(&|patches| patches.enhance = Some(Enhance { weight: 9.0, span: WHOLE })) > 1e-4);
    assert_eq!(off(&|patches| patches.enhance = Some(Enhance { weight: -9.0, span: WHOLE })), 0.0);
    assert!(off(&|patches| patches.riflex = Some(1)) > 1e-4);
    assert_eq!(off(&|patches| patches.riflex = Some(23)), 0.0);
    let encoder = TextEncoder::open(nano("umt5")).unwrap();
    let text = alone(|environment| encoder.encode("blue", PromptStyle::Wrapper, environment)).unwrap();
    let text = Arc::new(text);
    let nag = |alpha| NagPrompt { text: text.clone(), numbers: NagNumbers { scale: 11.0, tau: 2.5, alpha } };
    assert!(off(&|patches| patches.nag = Some(nag(0.25))) > 1e-4);
    assert_eq!(off(&|patches| patches.nag = Some(nag(0.0))), 0.0);
}

#[test]
fn caches_answer_passes_of_their_span() {
    let never = 1e9;
    let tea = CacheRule::TeaCache { threshold: never, measure: TeaMeasure::Plain };
    let mag = CacheRule::MagCache { threshold: never, skips_max: 1, ratios: &[1.0, 1.0] };
    let easy = CacheRule::EasyCache { threshold: never };
    let plain = wrapper(|_| {}).unwrap();
    for (rule, start_step, end_step, skipped) in [
        // Six steps of two prompts: the first of the span is computed.
        (tea.clone(), 0, None, 10),
        (tea, 2, Some(4), 4),
        (mag, 0, None, 6),
        // It learns from the second.
        (easy, 0, None, 8),
    ] {
        let cache = PassCache { rule, start_step, end_step };
        let sampled = wrapper(|patches| patches.pass_cache = Some(cache.clone())).unwrap();
        assert_eq!(sampled.passes, Passes { asked: 12, skipped }, "{cache:?}");
        let off = difference(&values(&sampled), &values(&plain));
        assert!(off.is_finite() && off > 1e-4, "{cache:?}: {off}");
        let none = PassCache { start_step: 99, ..cache };
        let sampled = wrapper(|patches| patches.pass_cache = Some(none)).unwrap();
        assert_eq!(values(&sampled), values(&plain));
    }
}

#[test]
fn steps_of_comfyui_are_reused() {
    let plain = native(|_| {});
    for (place, skipped) in [(ReusePlace::Velocity, 4), (ReusePlace::Guided, 4)] {
        let reuse = |threshold, span| Some(ReuseCache { threshold, span, place });
        // Two computed steps give the rate; the rest is left out.
        let reused = native(|patches| patches.reuse_cache = reuse(1e9, WHOLE));
        assert_eq!(reused.passes, Passes { asked: 8, skipped }, "{place:?}");
        let off = difference(&values(&reused), &values(&plain));
        assert!(off.is_finite() && off > 1e-4, "{place:?}: {off}");
        for (threshold, span) in [(0.0, WHOLE), (1e9, Span { start: 1.0, end: 1.0 })] {
            let computed = native(|patches| patches.reuse_cache = reuse(threshold, span));
            assert_eq!((computed.passes.skipped, values(&computed)), (0, values(&plain)), "{place:?}");
        }
        let error = wrapper(|patches| patches.reuse_cache = reuse(0.2, WHOLE)).unwrap_err();
        assert!(matches!(error, Error::NativeOnly { .. }), "{error}");
    }
}

#[test]
fn nag_is_refused_where_it_does_not_work() {
    let model = Transformer::open(nano("i2v-dit")).unwrap();
    let text = Arc::new(prompt("").text);
    let numbers = NagNumbers { scale: 11.0, tau: 2.5, alpha: 0.25 };
    let model = model.patched(|patches| patches.nag = Some(NagPrompt { text, numbers }));
    let error = alone(|environment| sample(&job(&model), environment)).unwrap_err();
    assert!(matches!(error, Error::NagWithImageBranch { .. }), "{error}");
}
