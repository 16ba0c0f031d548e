//! What happens around the work of a card: it is lost, it is full, and nothing stays behind job after job.

mod hollow;
#[path = "whole/support.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod support;

use std::collections::BTreeMap;

use hollow::Hollow;
use support::{Heard, models, nano, picture, request, within};
use vita_base::Hint;
use vita_pipeline::{
    ClipCrop, ClipVision, Error, Models, PromptStyle, Residency, Source, Stage, TextEncoder, VideoRequest, make_video,
};
use vita_tensor::Tensor;
use vita_weights::write_safetensors;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn quick(prompt: &str) -> VideoRequest {
    let mut request = VideoRequest { prompt: prompt.into(), ..request(Source::Text) };
    (request.sampling.steps, request.width, request.height, request.frames) = (1, 16, 16, 1);
    request
}

fn run(residency: &Residency, models: &Models, request: &VideoRequest) -> Result<Heard, Error> {
    let mut heard = Heard::default();
    within(residency, &mut heard, |environment| make_video(models, request, environment, &mut |_| Ok(())))?;
    Ok(heard)
}

#[test]
fn a_card_that_is_lost_ends_the_job_with_its_words_and_nothing_else() {
    let models = models("t2v");
    let mut ended = 0;
    for launches in [0, 1, 20, 200] {
        let hollow = Hollow::new(GIB);
        let card = hollow.card();
        let residency = Residency::many(None).on_card(card.clone());
        assert!(card.lost().is_none());
        hollow.lose_after(launches);
        let Err(error) = run(&residency, &models, &quick("a ball")) else { continue };
        ended += 1;
        assert!(error.to_string().contains("unspecified launch failure (CUDA_ERROR_LAUNCH_FAILED)"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("nvidia-smi")), "{error}");
        assert!(card.lost().is_some_and(|lost| lost.is_device_lost()), "after {launches} kernels");
        // Its memory is let go of without a word, and so is the card.
        residency.unload_all();
        drop((residency, card));
        assert_eq!(hollow.used_bytes(), 0, "after {launches} kernels");
    }
    assert!(ended >= 3, "the job has fewer kernels than that");
    // Another card, or the processor, works on.
    for residency in [Residency::many(None).on_card(Hollow::new(GIB).card()), Residency::many(None)] {
        run(&residency, &models, &quick("a ball")).unwrap();
    }
}

#[test]
fn fifty_jobs_leave_no_growth() {
    let (t2v, i2v) = (models("t2v"), models("a14b"));
    let hollow = Hollow::new(GIB);
    let card = hollow.card();
    let residency = Residency::many(None).on_card(card.clone());
    let job = |index: usize| match index % 3 {
        0 => run(&residency, &t2v, &quick("a ball")),
        1 => {
            run(&residency, &i2v, &VideoRequest { source: support::with_image(), ..quick("a longer prompt of a cat") })
        }
        _ => run(&residency, &t2v, &VideoRequest { width: 32, ..quick("a red ball moves to the right") }),
    };
    let after = |index: usize| {
        job(index).unwrap();
        let stats = card.pool().stats();
        (stats.live_bytes, stats.buffer_count, residency.loaded().len())
    };
    // The first of each kind loads networks.
    for index in 0..3 {
        job(index).unwrap();
    }
    let (first, held_bytes) = (after(0), card.pool().stats().held_bytes);
    for index in 1..50 {
        assert_eq!(after(index), first, "after job {index}");
    }
    assert!(card.pool().stats().held_bytes <= held_bytes, "{:?}", card.pool().stats());
    residency.unload_all();
    assert_eq!((card.pool().stats().buffer_count, hollow.used_bytes()), (0, 0));
}

#[test]
fn loras_stay_on_the_card_for_as_long_as_the_same_are_asked_for() {
    let plain = models("t2v");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("style.safetensors");
    let dim = plain.dit.config().dim;
    let [up, down] = [[dim, 2], [2, dim]].map(|sizes| Tensor::from_vec(vec![0.1; 2 * dim], sizes));
    let of_text = Tensor::from_vec(vec![0.1; 4], [2, 2]);
    let tensors = [
        ("diffusion_model.blocks.0.self_attn.q.lora_B.weight", &up),
        ("diffusion_model.blocks.0.self_attn.q.lora_A.weight", &down),
        ("lora_te_text_model.lora_up.weight", &of_text),
    ];
    write_safetensors(&path, &tensors, &BTreeMap::new()).unwrap();
    let with = |strength| Models { dit: plain.dit.with_lora(&path, strength).unwrap(), ..plain.clone() };
    let (weak, strong) = (with(0.5), with(1.0));

    let card = Hollow::new(GIB).card();
    let residency = Residency::many(None).on_card(card.clone());
    let mut steps = Vec::new();
    for models in [&plain, &plain, &weak, &weak, &strong, &plain] {
        let heard = run(&residency, models, &quick("a ball")).unwrap();
        let loaded = heard.began.iter().filter(|stage| **stage == Stage::Loading).count();
        steps.push((loaded, heard.warnings.len(), card.pool().stats().buffer_count));
    }
    let [first, again, weak, weak_again, strong, last] = steps[..] else { panic!("six jobs") };
    assert!(first.0 > 1 && first.1 == 0, "all networks are loaded: {first:?}");
    assert_eq!((again.0, again.2), (0, first.2), "all are there");
    // The transformer is loaded again, and a key that fits nothing is told of each time.
    assert_eq!([(weak.0, weak.1), (weak_again.0, weak_again.1), (strong.0, strong.1)], [(1, 1), (0, 1), (1, 1)]);
    assert_eq!((weak.2, strong.2), (first.2 + 2, first.2 + 2), "one network, and the two matrices of a LoRA");
    assert_eq!(last, (1, 0, first.2));
}

#[test]
fn what_is_told_to_leave_the_card_is_gone_and_comes_back_when_it_is_used() {
    let models = models("t2v");
    let card = Hollow::new(GIB).card();
    let residency = Residency::many(None).on_card(card.clone());
    for _ in 0..2 {
        run(&residency, &models, &quick("a ball")).unwrap();
        assert_eq!(residency.loaded().len(), 3, "{:?}", residency.loaded());
        models.text_encoder.offload(&residency);
        models.dit.offload(&residency);
        let left: Vec<_> = residency.loaded().iter().map(|loaded| loaded.part).collect();
        assert_eq!(left, ["VAE decoder"]);
        models.vae.offload(&residency);
        assert_eq!((residency.loaded().len(), card.pool().stats().held_bytes), (0, 0));
    }
    // The processor's memory is managed otherwise.
    let residency = Residency::many(None);
    run(&residency, &models, &quick("a ball")).unwrap();
    models.vae.offload(&residency);
    assert_eq!(residency.loaded().len(), 3);
}

fn encode_text(residency: &Residency) -> Heard {
    let encoder = TextEncoder::open(nano("umt5")).unwrap();
    let mut heard = Heard::default();
    within(residency, &mut heard, |environment| encoder.encode("a red ball", PromptStyle::Comfy, environment)).unwrap();
    heard
}

fn encode_picture(residency: &Residency) -> Heard {
    let encoder = ClipVision::open(nano("clip-vision")).unwrap();
    let mut heard = Heard::default();
    let picture = picture(32, 32);
    within(residency, &mut heard, |environment| encoder.encode(&picture, ClipCrop::Center, environment)).unwrap();
    heard
}

type Work = fn(&Residency) -> Heard;

#[test]
fn encoders_make_room_and_work_on_the_processor_where_there_is_none() {
    let both: [(&str, Work, Work); 2] =
        [("text encoder", encode_text, encode_picture), ("CLIP vision encoder", encode_picture, encode_text)];
    for (name, work, other) in both {
        let parts = |residency: &Residency| residency.loaded().iter().map(|loaded| loaded.part).collect::<Vec<_>>();
        let hollow = Hollow::new(GIB);
        let card = hollow.card();
        let residency = Residency::many(None).on_card(card.clone());
        other(&residency);
        // The other one leaves, and there is room.
        hollow.refuse(1);
        let heard = work(&residency);
        assert_eq!((parts(&residency), heard.warnings), (vec![name], vec![]), "{name}");
        assert!(card.pool().stats().live_bytes > 0, "{name} stays on the card");

        // There is none in any case, which shows in mid-run or before.
        for (refused, taken, why) in [(u64::MAX, 0, "no room on the card"), (0, GIB - 9 * MIB, "this run needs about")]
        {
            other(&residency);
            hollow.refuse(refused);
            hollow.let_others_take(taken);
            let heard = work(&residency);
            let want = format!("the {name} works on the processor: {why}");
            assert!(heard.warnings[0].starts_with(&want), "{:?}", heard.warnings);
            assert_eq!((parts(&residency), card.pool().stats().buffer_count), (vec![], 0), "{name}");
            hollow.refuse(0);
            hollow.let_others_take(0);
        }

        // The next job looks anew.
        assert_eq!((work(&residency).warnings, parts(&residency)), (vec![], vec![name]));
    }
}

#[test]
fn a_full_card_is_said_with_who_has_it() {
    let hollow = Hollow::new(24 * GIB);
    hollow.let_others_take(24 * GIB - 30 * MIB);
    let residency = Residency::many(None).on_card(hollow.card());
    let mut request = quick("a ball");
    (request.width, request.height, request.frames) = (512, 512, 81);
    let error = run(&residency, &models("t2v"), &request).err().expect("too little room");
    assert!(error.to_string().ends_with(" MiB of the card's 24.0 GiB may be taken"), "{error}");
    // It is looked at anew for each job.
    hollow.let_others_take(0);
    run(&residency, &models("t2v"), &quick("a ball")).unwrap();
}

#[test]
fn a_budget_is_kept_however_much_is_free() {
    let card = Hollow::new(24 * GIB).card();
    let residency = Residency::many(Some(3 * GIB)).on_card(card);
    assert_eq!(residency.memory_bytes_max(), Some(3 * GIB));
    assert_eq!(Residency::many(None).on_card(Hollow::new(GIB).card()).memory_bytes_max(), Some(GIB));
    assert_eq!(Residency::many(Some(7)).memory_bytes_max(), Some(7));
}
