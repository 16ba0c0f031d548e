//! A run of the wrapper's sampler: what its forms share. A form that takes settings from elsewhere puts them among
//! its inputs first.

mod schedules;

use vita_graph::{Context, Inputs, NodeError, Outputs, Value};
use vita_pipeline::{
    Cfg, Conditioning, Enhance, Error, Latent, LoopShift, Passes, SkipInNegative, Stage, WindowSchedule, WrapperJob,
    WrapperSchedule, sample_as_wrapper,
};

pub use schedules::{refusals, schedule_fields, schedule_of, scheduler};

use super::context_windows::ContextOptions;
use super::data::{CacheArgs, Experiments, ImageEmbeds, TextEmbeds};
use super::fields::{OrElse, offload};
use crate::data::{Latents, Sigmas, Transformer};
use crate::work::{node_error, not_yet, run};

/// Inputs of models that are not built in: name, type, and whose they are.
pub const FOREIGN: [(&str, &str, &str); 5] = [
    ("unianimate_poses", "UNIANIMATE_POSE", "UniAnimate"),
    ("fantasytalking_embeds", "FANTASYTALKING_EMBEDS", "FantasyTalking"),
    ("uni3c_embeds", "UNI3C_EMBEDS", "Uni3C"),
    ("multitalk_embeds", "MULTITALK_EMBEDS", "MultiTalk"),
    ("freeinit_args", "FREEINITARGS", "FreeInit"),
];

/// Runs the sampler with its inputs; an input that may be left out has its default of the original's method.
///
/// # Errors
/// What is not built in, inputs that do not fit each other, or as the pipeline's `sample_as_wrapper`.
pub fn sample(inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
    check(inputs)?;
    let embeds = inputs.object::<ImageEmbeds>("image_embeds")?;
    let samples = samples(inputs)?;
    let mut job = job(inputs, &embeds, samples)?;
    job.cfg = cfg(inputs, &job)?;
    let sampled = run(context, Stage::Sampling, |environment| sample_as_wrapper(&job, environment))?;
    if let Passes { asked, skipped: skipped @ 1.. } = sampled.passes {
        context.say(&format!("{skipped} of {asked} passes through the model were left out."));
    }
    offload(inputs, context, |residency| job.model.offload(residency))?;
    let slots = [sampled.latent, sampled.denoised];
    let patches = job.model.patches();
    let goes_round = patches.windows.as_ref().is_some_and(|windows| windows.schedule == WindowSchedule::UniformLooped);
    let is_looped = goes_round || patches.loop_shift.is_some();
    let with = |latent: Latent| Latents::from(latent).with_end_frame(embeds.has_end_frame()).with_loop(is_looped);
    Ok(Outputs::values(slots.map(|latent| with(latent).into())))
}

fn check(inputs: &Inputs) -> Result<(), NodeError> {
    if inputs.has("flowedit_args") {
        return Err(NodeError::value("FlowEdit (`flowedit_args`) was removed from the original, and is not built in"));
    }
    if let Some((name, _, what)) = FOREIGN.into_iter().find(|(name, ..)| inputs.has(name)) {
        return Err(not_yet(&format!("{what} (`{name}`)")));
    }
    Ok(())
}

fn job(inputs: &Inputs, embeds: &ImageEmbeds, samples: Option<Latent>) -> Result<WrapperJob, NodeError> {
    let model = (*inputs.object::<Transformer>("model")?).clone();
    let experiments = inputs.optional::<Experiments>("experimental_args")?;
    let zero_star = experiments.and_then(|experiments| experiments.cfg_zero_star);
    let text = inputs.optional::<TextEmbeds>("text_embeds")?.ok_or_else(|| NodeError::Failed {
        kind: "ValueError",
        message: "there are no prompts at the input `text_embeds`".into(),
        hint: Some("connect WanVideoTextEncode".into()),
    })?;
    let riflex = riflex(inputs)?;
    let skip = inputs.optional::<SkipInNegative>("slg_args")?;
    let enhance = inputs.optional::<Enhance>("feta_args")?;
    let cache = match inputs.optional::<CacheArgs>("cache_args")? {
        Some(cache) => Some(cache),
        None => inputs.optional::<CacheArgs>("teacache_args")?,
    };
    let cache = cache.map(|cache| cache.for_model(&model));
    let windows = inputs.optional::<ContextOptions>("context_options")?;
    let windows = windows.and_then(|options| options.windows(embeds.size, &text));
    let loop_shift = inputs.optional::<LoopShift>("loop_args")?.map(|shift| *shift);
    if loop_shift.is_some() && windows.as_ref().is_some_and(|it| it.schedule != WindowSchedule::UniformLooped) {
        return Err(not_yet("`loop_args` with windows that do not go round (other than `uniform_looped`)"));
    }
    if let (None, sections @ 1..) = (&windows, text.sections.len()) {
        return Err(node_error(Error::SectionsWithoutWindows { sections }));
    }
    let model = model.patched(|patches| {
        patches.cfg_zero_star = zero_star.or(patches.cfg_zero_star);
        patches.riflex = riflex;
        patches.skip_in_negative = skip.map(|skip| (*skip).clone());
        patches.enhance = enhance.map(|enhance| *enhance);
        patches.pass_cache = cache;
        patches.nag = text.nag.clone();
        patches.windows = windows;
        patches.loop_shift = loop_shift;
    });
    let [positive, negative] = embeds.conditioning();
    Ok(WrapperJob {
        positive: Conditioning { text: text.positive.clone(), image: positive },
        negative: text.negative.clone().map(|text| Conditioning { text, image: negative }),
        cfg: Cfg::Constant(1.0),
        schedule: schedule(inputs)?,
        seed: inputs.seed("seed")?,
        latent: embeds.latent_size(&model)?,
        samples,
        add_noise_to_samples: inputs.bool_or("add_noise_to_samples", false)?,
        known_frames: embeds.known_frames()?,
        model,
    })
}

/// Which frequency RIFLEx slows down.
fn riflex(inputs: &Inputs) -> Result<Option<usize>, NodeError> {
    /// Pairs of a head that turn with the frame.
    const FREQUENCIES: i128 = 22;
    match inputs.int_or("riflex_freq_index", 0)? {
        0 => Ok(None),
        index @ 1..=FREQUENCIES => Ok(Some(index as usize)),
        index => Err(NodeError::value(format!("`riflex_freq_index` is {index}; there are {FREQUENCIES} frequencies"))),
    }
}

fn samples(inputs: &Inputs) -> Result<Option<Latent>, NodeError> {
    let Some(latents) = inputs.optional::<Latents>("samples")? else { return Ok(None) };
    match latents.items() {
        [latent] if latent.noise_mask.is_some() => Err(not_yet("keeping what a mask of `samples` leaves out")),
        [latent] => Ok(Some(latent.clone())),
        several => Err(NodeError::value(format!("`samples` are {} videos; one is expected", several.len()))),
    }
}

/// Levels and steps: of a node that made them, or of the sampler's own widgets.
fn schedule(inputs: &Inputs) -> Result<WrapperSchedule, NodeError> {
    let denoise = inputs.float_or("denoise_strength", 1.0)?;
    if let Some(Value::Object(_)) = inputs.get("scheduler") {
        return match denoise < 1.0 {
            true => Err(NodeError::value("a `denoise_strength` below 1 and a scheduler node exclude each other")),
            false => Ok((*inputs.object::<WrapperSchedule>("scheduler")?).clone()),
        };
    }
    let schedule = schedules::of_widgets(inputs)?;
    if denoise < 1.0 && schedule.start_step != 0 {
        let message =
            format!("`start_step` {} and a `denoise_strength` below 1 exclude each other", schedule.start_step);
        let hint = Some("set one of them to its default: 0, or 1".into());
        return Err(NodeError::Failed { kind: "ValueError", message, hint });
    }
    Ok(WrapperSchedule { denoise, ..schedule })
}

/// Guidance: a number, or one for each step that is run; the last one goes on.
fn cfg(inputs: &Inputs, job: &WrapperJob) -> Result<Cfg, NodeError> {
    let Some(Value::Json(list)) = inputs.get("cfg") else { return Ok(Cfg::Constant(inputs.float("cfg")?)) };
    let numbers = list.as_array().and_then(|list| list.iter().map(serde_json::Value::as_f64).collect());
    let numbers: Vec<f64> = numbers
        .filter(|numbers: &Vec<f64>| !numbers.is_empty())
        .ok_or_else(|| NodeError::value("`cfg` is neither a number nor a list of numbers"))?;
    // The pipeline counts from the schedule's beginning, the list from the run's.
    let first = job.timetable().map_err(node_error)?.first_step;
    Ok(Cfg::PerStep(std::iter::repeat_n(numbers[0], first).chain(numbers.iter().copied()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_built_in_is_named() {
        let with = |name: &str, value| {
            let mut inputs = Inputs::default();
            inputs.set(name, vec![value]);
            check(&inputs)
        };
        let error = with("uni3c_embeds", Value::object(())).unwrap_err();
        assert_eq!(error.to_string(), "Uni3C (`uni3c_embeds`) is not built in yet");
    }

    #[test]
    fn riflex_has_as_many_frequencies_as_frames_turn_with() {
        let with = |index| {
            let mut inputs = Inputs::default();
            inputs.set("riflex_freq_index", vec![Value::Int(index)]);
            riflex(&inputs).map_err(|error| error.to_string())
        };
        assert_eq!([0, 1, 22].map(with), [Ok(None), Ok(Some(1)), Ok(Some(22))]);
        assert_eq!(with(23).unwrap_err(), "`riflex_freq_index` is 23; there are 22 frequencies");
    }
}
