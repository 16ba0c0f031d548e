//! Whole sampling runs in context windows against ComfyUI's own; `tools/reference/comfy_window_runs.py` made them.

use serde_json::Value;
use vita_pipeline::{
    Cfg, Conditioning, ContextWindows, ImageConditioning, KnownFrames, Latent, LatentSpace, Noise, SampleJob, Schedule,
    Steps, WindowMix, WindowSchedule, WindowStart, sample,
};
use vita_tensor::Tensor;

use crate::comfy_runs::{Reference, transformer};
use crate::support::alone;

const SIZE: [usize; 3] = [9, 4, 6];

#[test]
fn windows_of_comfyui() {
    let reference = Reference::named("comfy_window_runs");
    let told: Value = serde_json::from_str(reference.metadata("runs")).unwrap();
    let cases = told["cases"].as_object().unwrap();
    assert_eq!(cases.len(), 6);
    for (name, case) in cases {
        let text = |key: &str| case[key].as_str().unwrap();
        let model = transformer(text("weights"), told["shift"].as_f64().unwrap());
        let image = match text("weights") {
            "dit_t2v" => ImageConditioning::default(),
            _ => first_frame(&reference),
        };
        let [positive, negative] = reference.prompts().map(|prompt: Conditioning| prompt.with_image(&image));
        let seed = case["seed"].as_u64().unwrap();
        let [frames, rows, columns] = SIZE;
        let job = SampleJob {
            model: model.patched(|patches| patches.windows = Some(windows(case))),
            positive,
            negative: Some(negative),
            cfg: Cfg::Constant(told["cfg"].as_f64().unwrap()),
            sampler: text("sampler").into(),
            schedule: Schedule::Named(Steps::new("simple", told["steps"].as_u64().unwrap() as usize)),
            noise: Noise::Seed(seed),
            seed,
            latent: Latent::zeros([16, frames, rows, columns]),
        };
        reference.check(name, &alone(|environment| sample(&job, environment)).unwrap().latent);
    }
}

fn windows(case: &Value) -> ContextWindows {
    let latent_frames = |key: &str| case[key].as_u64().unwrap().div_ceil(4) as usize;
    let schedule = match case["schedule"].as_str().unwrap() {
        "standard_static" => WindowSchedule::StaticStandard,
        "standard_uniform" => WindowSchedule::UniformStandard,
        "looped_uniform" => WindowSchedule::UniformLooped,
        _ => WindowSchedule::Batched,
    };
    let mix = match case["mix"].as_str().unwrap() {
        "pyramid" => WindowMix::Pyramid,
        "relative" => WindowMix::Relative,
        "flat" => WindowMix::Flat,
        _ => WindowMix::OverlapLinear,
    };
    ContextWindows {
        schedule,
        frames: latent_frames("length"),
        overlap: latent_frames("overlap"),
        strides: case["stride"].as_u64().unwrap() as usize,
        closed: case["loop"].as_bool().unwrap(),
        mix,
        free_noise: case["freenoise"].as_bool().unwrap(),
        start: WindowStart::OfFrame,
        sections: Vec::new(),
    }
}

/// A video whose first latent frame is known.
fn first_frame(reference: &Reference) -> ImageConditioning {
    let [frames, rows, columns] = SIZE;
    let plane = rows * columns;
    let mut mask = Tensor::zeros([4, frames, rows, columns]);
    mask.f32s_mut().chunks_exact_mut(frames * plane).for_each(|clip| clip[..plane].fill(1.0));
    let known = KnownFrames { latent: reference.get("known"), mask, space: LatentSpace::Raw };
    ImageConditioning { known: Some(known), clip: None }
}
