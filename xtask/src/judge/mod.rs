//! Whether the small models' videos show what their prompts and start pictures say.
//!
//! The pairs of prompt and seed, the start pictures, and the judge's numbers are in `assets/nano/eval*.json`; the
//! training never saw them. `tools/nano/judge.py` is the same judge in Python.

mod clip;
mod eval;
mod loss;
mod scene;
mod systems;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use vita_base::Report;
use vita_pipeline::{Cancel, Environment, Models, Residency, Sampling, Source, VideoRequest, make_video, pictures};

use clip::{Clip, Seen};
use eval::{Eval, EvalSampling, Pair};
use systems::{Half, SYSTEMS, System};

/// What to judge.
#[derive(clap::Args)]
pub struct Arguments {
    /// Which of the small models.
    #[arg(long, default_value = "nano-t2v", value_parser = SYSTEMS.map(|system| system.name))]
    system: String,
    /// Folder of the models and of the lists.
    #[arg(long, default_value = "assets/nano")]
    model: PathBuf,
    /// Only the first so many pairs.
    #[arg(long)]
    pairs: Option<usize>,
    /// Of two experts, one for all steps.
    #[arg(long, value_enum)]
    half: Option<Half>,
    /// Give no start picture, to a model that makes videos of text too.
    #[arg(long)]
    text: bool,
    /// The loss of two experts, together and of each alone, in place of videos.
    #[arg(long, conflicts_with_all = ["half", "text"])]
    loss: bool,
    /// Steps of sampling, in place of the list's.
    #[arg(long)]
    steps: Option<usize>,
    /// Guidance, in place of the list's.
    #[arg(long)]
    cfg: Option<f64>,
    /// Shift, in place of the list's.
    #[arg(long)]
    shift: Option<f64>,
    /// Print a line for every pair.
    #[arg(long)]
    verbose: bool,
}

/// Makes and judges the videos.
///
/// # Errors
/// If a file cannot be read, a video cannot be made, or fewer pairs pass than the goal asks for.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let system = System::named(&arguments.system)?;
    let eval = eval::read(&arguments.model.join(system.list))?;
    let models = system.open(&arguments.model, arguments.half)?;
    let count = arguments.pairs.unwrap_or(eval.pairs.len()).min(eval.pairs.len());
    let pairs = &eval.pairs[..count];
    let bench = Bench { residency: Residency::many(None), models, sampling: arguments.sampling(&eval.sampling) };
    if arguments.loss {
        return loss::run(&bench, pairs, &eval.judge);
    }
    let mut tally = Tally::default();
    let start = Instant::now();
    for pair in pairs {
        let picture =
            pair.start.as_ref().filter(|_| !arguments.text).map(|start| scene::draw(pair, start, &eval.judge));
        let clip = bench.make(pair, picture.as_ref())?;
        let seen = clip::judge(&clip, &eval.judge);
        let first = picture.map(|picture| psnr(&clip.frames[0], &picture.frames[0]));
        let verdict = tally.count(pair, &seen, first, &eval);
        if arguments.verbose {
            println!("{verdict:5} {:60} {first:.1?} {seen:?}", pair.prompt);
        }
    }
    tally.print(start.elapsed());
    match tally.share() >= eval.goal {
        true => Ok(()),
        false => {
            Err(Report::new(format!("{:.1} % pass, the goal is {:.0} %", 100.0 * tally.share(), 100.0 * eval.goal)))
        }
    }
}

impl Arguments {
    fn sampling(&self, list: &EvalSampling) -> EvalSampling {
        EvalSampling {
            steps: self.steps.unwrap_or(list.steps),
            cfg: self.cfg.unwrap_or(list.cfg),
            shift: self.shift.unwrap_or(list.shift),
            ..list.clone()
        }
    }
}

/// A system, and how it is run.
struct Bench {
    models: Models,
    sampling: EvalSampling,
    residency: Residency,
}

impl Bench {
    fn make(&self, pair: &Pair, picture: Option<&Clip>) -> Result<Clip, Report> {
        let EvalSampling { sampler, scheduler, steps, shift, cfg, .. } = self.sampling.clone();
        let sampling = Sampling { seed: pair.seed, steps, cfg, cfg_low: None, shift, sampler, scheduler, denoise: 1.0 };
        let mut request = VideoRequest::of_text(&pair.prompt, [pair.width, pair.height], pair.frames, sampling);
        if let Some(picture) = picture {
            let start = pictures([1, picture.height, picture.width], &picture.frames[0]);
            request.source = Source::Image { start, end: None };
        }
        request.switch = self.models.dit_low.as_ref().and_then(|_| self.sampling.switch());
        let mut clip = Clip { width: pair.width, height: pair.height, frames: Vec::new() };
        self.within(|environment| {
            make_video(&self.models, &request, environment, &mut |frame| {
                clip.frames.push(frame.rgb.to_vec());
                Ok(())
            })
        })?;
        Ok(clip)
    }

    fn within<T>(&self, work: impl FnOnce(&mut Environment) -> T) -> T {
        work(&mut Environment {
            cancel: &Cancel::default(),
            observer: &mut (),
            clock: &|| Duration::ZERO,
            residency: &self.residency,
        })
    }
}

/// In decibels, of bytes.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let square: f64 = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    10.0 * (255.0f64.powi(2) / (square / a.len() as f64)).log10()
}

/// Passed and all, over everything and by language, colour and motion.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<String, (usize, usize)>,
    passed: usize,
    all: usize,
    first_frames: Vec<f64>,
}

impl Tally {
    /// Without a start picture, colour and motion decide; with one, the first frame and motion.
    fn count(&mut self, pair: &Pair, seen: &Seen, first: Option<f64>, eval: &Eval) -> &'static str {
        let colour = seen.colour.as_deref() == Some(&pair.colour);
        let motion = seen.motion == Some(&pair.motion);
        let shape = seen.shape == Some(&pair.shape);
        let starts = first.is_none_or(|first| first > eval.first_frame_goal_db);
        let passes = motion && if first.is_some() { starts } else { colour };
        self.passed += usize::from(passes);
        self.all += 1;
        self.first_frames.extend(first);
        for (key, right) in [
            ("colour and motion".to_owned(), colour && motion),
            ("colour alone".to_owned(), colour),
            ("motion alone".to_owned(), motion),
            ("shape alone".to_owned(), shape),
            (format!("language {}", pair.language), passes),
            (format!("colour {}", pair.colour), passes),
            (format!("motion {}", pair.motion), passes),
        ]
        .into_iter()
        .chain(first.map(|_| ("first frame alone".to_owned(), starts)))
        {
            let (passed, all) = self.counts.entry(key).or_default();
            *passed += usize::from(right);
            *all += 1;
        }
        if passes { "pass" } else { "FAIL" }
    }

    fn share(&self) -> f64 {
        self.passed as f64 / self.all.max(1) as f64
    }

    fn print(&self, elapsed: Duration) {
        for (key, (passed, all)) in &self.counts {
            println!("{key:20} {passed:3} of {all:3}  {:5.1} %", 100.0 * *passed as f64 / *all as f64);
        }
        if !self.first_frames.is_empty() {
            let mean = self.first_frames.iter().sum::<f64>() / self.first_frames.len() as f64;
            let least = self.first_frames.iter().copied().fold(f64::INFINITY, f64::min);
            println!("first frame          mean {mean:.1} dB, least {least:.1} dB");
        }
        println!("{:20} {:3} of {:3}  {:5.1} %", "pass", self.passed, self.all, 100.0 * self.share());
        println!("{:.1} s", elapsed.as_secs_f64());
    }
}
