//! Against ComfyUI and the wrapper (see `tools/reference/context_windows.py`), and by what must hold for any numbers.

use serde_json::Value;

use super::*;

const REFERENCE: &str = include_str!("../../tests/fixtures/context_windows.json");

fn reference() -> Value {
    serde_json::from_str(REFERENCE).unwrap()
}

fn size(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn windows(frames: usize, overlap: usize, schedule: WindowSchedule, mix: WindowMix) -> ContextWindows {
    ContextWindows {
        schedule,
        frames,
        overlap,
        strides: 1,
        closed: false,
        mix,
        free_noise: false,
        start: WindowStart::OfFrame,
        sections: Vec::new(),
    }
}

fn case(case: &Value) -> ContextWindows {
    let schedule = match case["schedule"].as_str().unwrap() {
        "standard_static" | "static_standard" => WindowSchedule::StaticStandard,
        "standard_uniform" | "uniform_standard" => WindowSchedule::UniformStandard,
        "looped_uniform" | "uniform_looped" => WindowSchedule::UniformLooped,
        _ => WindowSchedule::Batched,
    };
    let mix = match (case["of"].as_str().unwrap(), case["mix"].as_str().unwrap()) {
        ("wrapper", "linear") => WindowMix::WrapperLinear,
        ("wrapper", _) => WindowMix::WrapperPyramid,
        (_, "pyramid") => WindowMix::Pyramid,
        (_, "relative") => WindowMix::Relative,
        (_, "flat") => WindowMix::Flat,
        _ => WindowMix::OverlapLinear,
    };
    let closed = case["closed"].as_bool().unwrap();
    let strides = size(&case["stride"]);
    ContextWindows { strides, closed, ..windows(size(&case["window"]), size(&case["overlap"]), schedule, mix) }
}

/// What stands for the model, see the fixture's `answer`.
fn answer(x: &Tensor) -> Tensor {
    let x = x.f32s();
    let next = |i: usize| x[(i + 1) % x.len()];
    let values = (0..x.len()).map(|i| (3.0 * x[i]).sin() * (1.0 + 0.1 * i as f32) + 0.05 * next(i)).collect();
    Tensor::from_vec(values, [1, x.len(), 1, 1])
}

#[test]
fn windows_and_mixtures_are_the_originals() {
    let mut refused = 0;
    for one in reference()["cases"].as_array().unwrap() {
        let (context, frames) = (case(one), size(&one["frames"]));
        let found = context.at_step(frames, size(&one["step"]));
        let (Some(lists), Some(out)) = (one["windows"].as_array(), one["out"].as_array()) else {
            refused += 1;
            assert!(matches!(found, Err(Error::WindowTooWide { .. } | Error::WindowGap { .. })), "{one}: {found:?}");
            continue;
        };
        let found = found.unwrap();
        let frames_of = |list: &Value| list.as_array().unwrap().iter().map(size).collect::<Vec<_>>();
        let want: Vec<Vec<usize>> = lists.iter().map(frames_of).collect();
        assert_eq!(found.iter().map(|window| window.frames.clone()).collect::<Vec<_>>(), want, "{one}");
        let x = Tensor::from_vec((0..frames).map(|frame| (frame as f64).cos() as f32).collect(), [1, frames, 1, 1]);
        let mixture = mixed(&x, &[500.0], &found, &mut |x, _, _| Ok(answer(x))).unwrap();
        for (found, want) in mixture.to_vec().into_iter().zip(out) {
            let off = (f64::from(found) - want.as_f64().unwrap()).abs();
            assert!(off < 3e-6, "{found} {want}: {one}");
        }
    }
    assert!(refused > 0 && refused < 30, "{refused}");
}

#[test]
fn noise_is_shuffled_as_in_comfyui() {
    for one in reference()["noises"].as_array().unwrap() {
        let [frames, window, overlap] = ["frames", "window", "overlap"].map(|name| size(&one[name]));
        let context = windows(window, overlap, WindowSchedule::StaticStandard, WindowMix::Flat);
        let noise = Tensor::from_vec((0..2 * frames).map(|i| i as f32).collect(), [2, frames, 1, 1]);
        let found = context.shuffle_noise(&noise, &mut Generator::new(one["seed"].as_u64().unwrap())).unwrap();
        let order: Vec<f32> = one["order"].as_array().unwrap().iter().map(|frame| size(frame) as f32).collect();
        let second = order.iter().map(|frame| frame + frames as f32);
        assert_eq!(found.to_vec(), order.iter().copied().chain(second).collect::<Vec<_>>(), "{one}");
    }
}

const SCHEDULES: [WindowSchedule; 4] = [
    WindowSchedule::StaticStandard,
    WindowSchedule::UniformStandard,
    WindowSchedule::UniformLooped,
    WindowSchedule::Batched,
];
const MIXES: [WindowMix; 6] = [
    WindowMix::Flat,
    WindowMix::Pyramid,
    WindowMix::Relative,
    WindowMix::OverlapLinear,
    WindowMix::WrapperLinear,
    WindowMix::WrapperPyramid,
];

/// Every length, window and overlap up to a size, at eight steps.
#[test]
fn shares_in_a_frame_are_one_together() {
    let mut gaps = 0;
    for (frames, window) in (1..=16).flat_map(|frames| (1..=frames + 1).map(move |window| (frames, window))) {
        for (overlap, schedule) in (0..window).flat_map(|overlap| SCHEDULES.map(|schedule| (overlap, schedule))) {
            for (mix, (strides, closed)) in
                MIXES.into_iter().flat_map(|mix| [(1, false), (1, true), (3, true)].map(|rest| (mix, rest)))
            {
                let context = ContextWindows { strides, closed, ..windows(window, overlap, schedule, mix) };
                for step in 0..8 {
                    match context.at_step(frames, step) {
                        Ok(all) => check_shares(&context, &all, frames),
                        Err(Error::WindowTooWide { .. }) => assert!(strides > 1, "{context:?}"),
                        Err(Error::WindowGap { .. }) => gaps += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }
    // Ramps down to nothing, and loops that are not closed, leave frames out where windows share little.
    assert!(gaps > 0);
}

fn check_shares(context: &ContextWindows, all: &[Window], frames: usize) {
    let mut sums = vec![0.0; frames];
    for window in all {
        let lengths = context.lengths(frames);
        assert!(lengths.contains(&window.frames.len()), "{context:?} {lengths:?}: {window:?}");
        for (&frame, &share) in window.frames.iter().zip(&window.shares) {
            assert!(share >= 0.0, "{context:?}: {window:?}");
            sums[frame] += f64::from(share);
        }
    }
    assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5), "{context:?}: {sums:?}");
}

/// With the numbers that the nodes offer first, no step leaves a frame out.
#[test]
fn usual_windows_have_no_gaps() {
    let native = [WindowMix::Flat, WindowMix::Pyramid, WindowMix::Relative, WindowMix::OverlapLinear];
    let wrapper = [WindowMix::WrapperLinear, WindowMix::WrapperPyramid];
    for (frames, step) in (22..=81).flat_map(|frames| (0..40).map(move |step| (frames, step))) {
        for schedule in SCHEDULES {
            for mix in native {
                let context = ContextWindows { closed: true, ..windows(21, 8, schedule, mix) };
                let found = context.at_step(frames, step);
                assert!(found.is_ok(), "{frames} {step} {context:?}");
            }
            // The wrapper has no batches.
            for mix in wrapper.into_iter().filter(|_| schedule != WindowSchedule::Batched) {
                let context = ContextWindows { closed: true, ..windows(21, 4, schedule, mix) };
                let found = context.at_step(frames, step);
                assert!(found.is_ok(), "{frames} {step} {context:?}");
            }
        }
    }
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let of = |frames, overlap| {
        let context = windows(frames, overlap, WindowSchedule::StaticStandard, WindowMix::Flat);
        context.at_step(20, 0).unwrap_err().to_string()
    };
    assert_eq!(of(4, 4), "windows of 4 latent frames cannot share 4 with the next");
    assert_eq!(of(0, 0), "windows of 0 latent frames cannot share 0 with the next");
    let wide = ContextWindows { strides: 2, ..windows(6, 2, WindowSchedule::UniformStandard, WindowMix::Flat) };
    assert_eq!(
        wide.at_step(10, 0).unwrap_err().to_string(),
        "a window of 6 latent frames that lie up to 2 apart does not fit into 10"
    );
}

#[test]
fn a_short_video_is_one_window() {
    let context = windows(21, 4, WindowSchedule::UniformLooped, WindowMix::WrapperLinear);
    let whole = context.at_step(5, 3).unwrap();
    assert_eq!(whole, [Window { frames: (0..5).collect(), shares: vec![1.0; 5] }]);
}

#[test]
fn sections_are_told_by_a_windows_last_frame() {
    let rows = || Arc::new(TextRows::new(Tensor::zeros([1, 2])));
    let mut context = windows(4, 1, WindowSchedule::StaticStandard, WindowMix::Flat);
    context.sections = vec![rows(), rows(), rows()];
    let section = |frames: &[usize]| {
        let window = Window { frames: frames.to_vec(), shares: vec![1.0; frames.len()] };
        context.section(12, &window)
    };
    assert_eq!([section(&[0, 3]), section(&[3, 4]), section(&[9, 2]), section(&[11])], [0, 1, 2, 2]);
}
