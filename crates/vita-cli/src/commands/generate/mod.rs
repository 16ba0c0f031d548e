//! `generate PROMPT`: a video from text, pictures or a video, in one command.

mod loras;
mod output;
mod record;
mod source;
mod system;

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Instant;

use clap::builder::PossibleValuesParser;
use clap::{Args, value_parser};
use vita_base::{Report, bytes_text};
use vita_media::{Frame, FrameRate, SinkOptions, WebpQuality};
use vita_pipeline::{
    Cancel, Defaults, Environment, Models, PRESETS, PromptStyle, Residency, Sampling, Summary, Switch, TextRows,
    VideoRequest, WRAPPER_PREFIX, estimate, make_video,
};
use vita_sampling::{SCHEDULERS, SOLVERS, WRAPPER_SCHEDULERS};

use crate::arguments::{Bytes, Size};
use crate::changes::{Features, Nag};
use crate::progress::Progress;
use crate::{device, logs, machine, terminal};
use output::{Output, default_name};
pub use record::METADATA_KEY;
use record::{Done, Settings, metadata};
use source::Pictures;
use system::{Given, System};

/// Make a video from text, from a picture, or over another video.
///
/// Settings that are not given are the model's own; see the table below. The last line says the
/// file, the seed and the seconds.
#[derive(Args, Debug)]
#[command(after_help = models_text())]
pub struct Arguments {
    /// What should be seen, in English or Chinese; may be empty.
    prompt: String,
    /// What should not be seen.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    negative: String,
    /// Where to: .mp4, .webp (animated), .png (numbered files) or a folder for PNG files [default:
    /// an .mp4 named after prompt and seed].
    ///
    /// A file of that name is replaced. The default is in the current folder and replaces nothing.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Most memory to take, such as 8GiB or 500MB [default: what is free].
    #[arg(long, value_name = "SIZE")]
    memory: Option<Bytes>,
    #[command(flatten)]
    device: device::Arguments,
    /// Print one JSON object instead of the last line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pictures: source::Arguments,
    /// Width and height in pixels, each a multiple of 16 (of 32 for TI2V), at most 16384 [default: the model's, in
    /// the shape of the picture given].
    #[arg(long, value_name = "WxH", help_heading = "Video")]
    size: Option<Size>,
    /// Number of frames, 4 n + 1: 1, 5, 9, ... 81, at most 100000 [default: the model's].
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(..=100_000), help_heading = "Video")]
    frames: Option<u32>,
    /// Frames per second, 0.001 to 1000: 16, 23.976, 30000/1001 [default: the model's].
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = "Video")]
    fps: Option<FrameRate>,
    /// Decode in squares of this many pixels, 16 to 16384: takes less memory, shows faint seams
    /// [default: whole pictures].
    #[arg(long, value_name = "PIXELS", value_parser = value_parser!(u32).range(16..=16384), help_heading = "Video")]
    tile: Option<u32>,
    /// Which noise to start from, 0 to 18446744073709551615 [default: random].
    ///
    /// The low 32 bits count, as in PyTorch. Equal seeds and settings give equal videos.
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    seed: Option<u64>,
    /// Denoising steps, 1 to 10000 [default: the model's].
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    steps: Option<usize>,
    /// Guidance, usually 1 to 8: how strongly the prompt is followed [default: the model's].
    ///
    /// At 1 the negative prompt is not run, which takes half the time.
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = "Sampling")]
    cfg: Option<f64>,
    /// Guidance of the expert for low noise, for models of two [default: that of the other].
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = "Sampling")]
    cfg_low: Option<f64>,
    /// Shift of the noise schedule, above 0, usually 3 to 12 [default: the model's].
    ///
    /// More spends more of the steps on coarse motion, fewer on detail.
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = "Sampling")]
    shift: Option<f64>,
    /// Solver; with wrapper: before its name, a schedule and solver of the Wan wrapper's nodes, in their numbers
    /// [default: the model's].
    #[arg(long, value_name = "S", value_parser = samplers(), help_heading = "Sampling")]
    sampler: Option<String>,
    /// Schedule of noise levels [default: the model's].
    #[arg(long, value_name = "S", value_parser = schedulers(), help_heading = "Sampling")]
    scheduler: Option<String>,
    /// Noise level, 0 to 1, below which the expert for low noise takes over [default: the model's, 0.9 for
    /// pictures and 0.875 for text].
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = "Sampling")]
    boundary: Option<f64>,
    /// First step, from 0, of the expert for low noise, instead of a level.
    #[arg(long, value_name = "N", conflicts_with = "boundary", help_heading = "Sampling")]
    switch_step: Option<usize>,
    #[command(flatten)]
    files: system::Arguments,
    #[command(flatten)]
    loras: loras::Arguments,
    #[command(flatten)]
    features: Features,
    /// Lead away from this text inside the attention to the prompt (NAG); of use where guidance is 1.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Speed and guidance")]
    nag: Option<String>,
    /// How strongly it leads away.
    #[arg(long, value_name = "F", default_value_t = 11.0, requires = "nag", help_heading = "Speed and guidance")]
    nag_scale: f32,
}

/// Makes the video.
///
/// # Errors
/// If the request cannot be, its files cannot be read, it does not fit in memory, or the video
/// cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let start = Instant::now();
    let given =
        Given { image: arguments.pictures.image.is_some(), last_image: arguments.pictures.last_image.is_some() };
    let choice = arguments.files.choose(given)?;
    let seed = arguments.seed.map_or_else(machine::random_seed, Ok)?;
    let defaults = choice.defaults;
    let pictures = arguments.pictures.read(arguments.frames.map_or(defaults.frames, |frames| frames as usize))?;
    let mut system = choice.open()?;
    arguments.loras.apply(&mut system, &arguments.files.models_dir)?;
    arguments.apply_features(&mut system.models, None);
    let frame_rate = frame_rate(arguments, &pictures, &defaults)?;
    let request = request(arguments, pictures, &system, &defaults, seed);
    request.check()?;
    system.models.check_request(&request)?;
    let host_bytes = arguments.memory.map(|Bytes(bytes)| bytes).or_else(machine::memory_free_bytes);
    let workplace = arguments.device.open_one(&terminal::warn)?;
    let residency = arguments.device.residency(&workplace, Residency::one, host_bytes)?;
    announce(&system, &request, frame_rate, residency.memory_bytes_max())?;

    let path = arguments.output.clone().unwrap_or_else(|| default_name(&request.prompt, seed));
    let settings = Settings::new(&system, &request, &arguments.pictures, frame_rate, arguments.feature_texts());
    let options = SinkOptions {
        width: request.width as u32,
        height: request.height as u32,
        frame_rate,
        mp4_quantizer: MP4_QUANTIZER,
        webp_quality: WEBP_QUALITY,
        metadata: metadata(&system, &settings),
    };
    let mut progress = Progress::new(terminal::stderr_is_terminal() && !logs::are_on());
    let output = Output::open(&path, options, progress.eraser())?;
    let mut environment = Environment {
        cancel: &Cancel::default(),
        observer: &mut progress,
        clock: &|| start.elapsed(),
        residency: &residency,
    };
    if let Some(text) = &arguments.nag {
        let text = system.models.text_encoder.encode(text, arguments.prompt_style(), &mut environment)?;
        arguments.apply_features(&mut system.models, Some(&text));
    }
    let summary = make(&system, &request, environment, &output)?;
    let written = output.finish()?;
    drop(progress);

    let done = Done {
        file: path,
        seed,
        seconds: start.elapsed().as_secs_f64(),
        model: system.name,
        settings,
        frame_count: written.frame_count,
        file_bytes: written.bytes,
        stage_seconds: summary.stages.iter().map(|(stage, time)| (stage.word(), time.as_secs_f64())).collect(),
        memory_estimate_bytes: summary.estimate.peak_bytes(),
        peak_rss_bytes: machine::peak_rss_bytes(),
    };
    if arguments.json { terminal::print_json(&done) } else { terminal::print(&done.line()) }
}

impl Arguments {
    /// Changes the diffusion models. nag: what is led away from inside the attention.
    fn apply_features(&self, models: &mut Models, nag: Option<&TextRows>) {
        let nag = || nag.map(|text| Nag { text: text.clone(), scale: self.nag_scale });
        models.dit = self.features.apply(&models.dit, nag());
        if let Some((low, _)) = &mut models.dit_low {
            *low = self.features.apply(low, nag());
        }
    }

    fn prompt_style(&self) -> PromptStyle {
        match self.sampler.as_deref().is_some_and(|name| name.starts_with(WRAPPER_PREFIX)) {
            true => PromptStyle::Wrapper,
            false => PromptStyle::Comfy,
        }
    }

    fn feature_texts(&self) -> Vec<String> {
        let nag = self.nag.as_ref().map(|text| format!("nag {} away from {text:?}", self.nag_scale));
        self.features.texts().into_iter().chain(nag).collect()
    }
}

/// Hard to tell from the decoder's frames.
const MP4_QUANTIZER: u8 = 18;
/// Close to the frames; half the size of 95.
const WEBP_QUALITY: WebpQuality = WebpQuality::Lossy(90.0);

fn frame_rate(arguments: &Arguments, pictures: &Pictures, defaults: &Defaults) -> Result<FrameRate, Report> {
    match (arguments.fps, pictures.video) {
        (Some(asked), _) => Ok(asked),
        (None, Some((_, own))) => Ok(own),
        (None, None) => Ok(FrameRate::from_f64(defaults.fps)?),
    }
}

fn request(arguments: &Arguments, pictures: Pictures, system: &System, defaults: &Defaults, seed: u64) -> VideoRequest {
    let own = Size { width: defaults.width, height: defaults.height };
    let size = pictures.size(arguments.size, own, 2 * system.models.vae.spatial_factor());
    let own_frames = pictures.video.map_or(defaults.frames, |(count, _)| count);
    let name = |given: &Option<String>, default: &str| given.clone().unwrap_or_else(|| default.to_owned());
    VideoRequest {
        prompt: arguments.prompt.clone(),
        negative_prompt: arguments.negative.clone(),
        width: size.width,
        height: size.height,
        frames: arguments.frames.map_or(own_frames, |frames| frames as usize),
        source: pictures.source,
        sampling: Sampling {
            seed,
            steps: arguments.steps.unwrap_or(defaults.steps),
            cfg: arguments.cfg.unwrap_or(defaults.cfg),
            cfg_low: arguments.cfg_low.or(defaults.cfg_low.filter(|_| arguments.cfg.is_none())),
            shift: arguments.shift.unwrap_or(defaults.shift),
            sampler: name(&arguments.sampler, defaults.sampler),
            scheduler: name(&arguments.scheduler, defaults.scheduler),
            denoise: arguments.pictures.denoise(),
        },
        switch: arguments.switch_step.map(Switch::Step).or(arguments.boundary.map(Switch::Boundary)),
        tile: arguments.tile.map(|side| side as usize),
    }
}

/// Runs the pipeline, frame by frame into the output.
fn make(
    system: &System,
    request: &VideoRequest,
    mut environment: Environment<'_>,
    output: &Output,
) -> Result<Summary, Report> {
    let mut refused = None;
    let made = make_video(&system.models, request, &mut environment, &mut |frame| {
        let picture = Frame::new(frame.width as u32, frame.height as u32, frame.rgb);
        picture.and_then(|picture| output.push(picture)).map_err(|error| {
            // Kept, since its hint would be lost on the way through the pipeline.
            refused = Some(Report::from(error));
            "refused".into()
        })
    });
    match (refused, made) {
        (Some(report), Err(_)) => Err(report),
        (_, made) => Ok(made?),
    }
}

/// Says what is about to be made, and what memory it takes.
fn announce(
    system: &System,
    request: &VideoRequest,
    frame_rate: FrameRate,
    free_bytes: Option<u64>,
) -> Result<(), Report> {
    let VideoRequest { width, height, frames, sampling, .. } = request;
    let seconds = frame_rate.seconds(*frames as u64);
    let plural = if *frames == 1 { "" } else { "s" };
    terminal::note(&format!(
        "{}: {width}x{height}, {frames} frame{plural} at {frame_rate} a second ({seconds:.1} s), {} steps of {}, seed {}",
        system.name, sampling.steps, sampling.sampler, sampling.seed
    ));
    let needed = bytes_text(estimate(&system.models, request, free_bytes)?.peak_bytes());
    terminal::note(&match free_bytes {
        Some(free) => format!("memory: about {needed} needed, {} free", bytes_text(free)),
        None => format!("memory: about {needed} needed"),
    });
    Ok(())
}

fn samplers() -> PossibleValuesParser {
    static OF_WRAPPER: LazyLock<Vec<String>> = LazyLock::new(|| {
        WRAPPER_SCHEDULERS.iter().map(|scheduler| format!("{WRAPPER_PREFIX}{}", scheduler.name)).collect()
    });
    let own = SOLVERS.iter().map(|solver| solver.name);
    PossibleValuesParser::new(own.chain(OF_WRAPPER.iter().map(String::as_str)))
}

fn schedulers() -> PossibleValuesParser {
    PossibleValuesParser::new(SCHEDULERS.iter().map(|scheduler| scheduler.name))
}

/// The models with their own settings, for the end of the help.
fn models_text() -> String {
    let rows = PRESETS.iter().map(|preset| {
        let own = preset.defaults;
        format!(
            "  {:<25} {:>8}  {:>6}  {:>3}  {:>5}  {:>3}  {:>5}  {}",
            preset.name,
            format!("{}x{}", own.width, own.height),
            own.frames,
            own.fps,
            own.steps,
            own.cfg,
            own.shift,
            match own.sampler.starts_with(WRAPPER_PREFIX) {
                true => own.sampler.to_owned(),
                false => format!("{}, {}", own.sampler, own.scheduler),
            }
        )
    });
    let head = "Models:                         size  frames  fps  steps  cfg  shift  sampler, scheduler".to_owned();
    [head].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}
