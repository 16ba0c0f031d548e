//! Whether the small model's videos show what their prompts say.
//!
//! The pairs of prompt and seed, and the judge's numbers, are in `assets/nano/eval.json`; the training never
//! saw them. `tools/nano/judge.py` is the same judge in Python.

mod clip;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;
use vita_base::Report;
use vita_pipeline::{Cancel, Environment, Models, Paths, Residency, Sampling, VideoRequest, make_video};

use clip::{Clip, Seen, Settings};

/// What to judge.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of the model and of `eval.json`.
    #[arg(long, default_value = "assets/nano")]
    model: PathBuf,
    /// Only the first so many pairs.
    #[arg(long)]
    pairs: Option<usize>,
    /// Steps of sampling, in place of the file's.
    #[arg(long)]
    steps: Option<usize>,
    /// Guidance, in place of the file's.
    #[arg(long)]
    cfg: Option<f64>,
    /// Shift, in place of the file's.
    #[arg(long)]
    shift: Option<f64>,
    /// Print a line for every pair.
    #[arg(long)]
    verbose: bool,
}

#[derive(Deserialize)]
struct Eval {
    /// Share of pairs that must pass.
    goal: f64,
    sampling: EvalSampling,
    judge: Settings,
    pairs: Vec<Pair>,
}

#[derive(Deserialize)]
struct EvalSampling {
    sampler: String,
    scheduler: String,
    steps: usize,
    shift: f64,
    cfg: f64,
}

#[derive(Deserialize)]
struct Pair {
    prompt: String,
    seed: u64,
    language: String,
    colour: String,
    shape: String,
    motion: String,
    width: usize,
    height: usize,
    frames: usize,
}

/// Makes and judges the videos.
///
/// # Errors
/// If a file cannot be read, a video cannot be made, or fewer pairs pass than the goal asks for.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let eval = read(&arguments.model.join("eval.json"))?;
    let file = |name: &str| arguments.model.join(name);
    let models = Models::open(&Paths {
        dit: file("nano-t2v-dit.safetensors"),
        text_encoder: file("nano-umt5.safetensors"),
        vae: file("nano-vae.safetensors"),
        ..Paths::default()
    })?;
    let count = arguments.pairs.unwrap_or(eval.pairs.len()).min(eval.pairs.len());
    let mut tally = Tally::default();
    let start = Instant::now();
    for pair in &eval.pairs[..count] {
        let seen = clip::judge(&make(&models, pair, &eval.sampling, arguments)?, &eval.judge);
        if arguments.verbose {
            println!("{:5} {:60} {seen:?}", tally.count(pair, &seen), pair.prompt);
        } else {
            tally.count(pair, &seen);
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

fn read(path: &std::path::Path) -> Result<Eval, Report> {
    let text = std::fs::read_to_string(path).map_err(|error| Report::new(format!("{}: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| Report::new(format!("{}: {error}", path.display())))
}

fn make(models: &Models, pair: &Pair, sampling: &EvalSampling, arguments: &Arguments) -> Result<Clip, Report> {
    let sampling = Sampling {
        seed: pair.seed,
        steps: arguments.steps.unwrap_or(sampling.steps),
        cfg: arguments.cfg.unwrap_or(sampling.cfg),
        cfg_low: None,
        shift: arguments.shift.unwrap_or(sampling.shift),
        sampler: sampling.sampler.clone(),
        scheduler: sampling.scheduler.clone(),
        denoise: 1.0,
    };
    let request = VideoRequest::of_text(&pair.prompt, [pair.width, pair.height], pair.frames, sampling);
    let mut clip = Clip { width: pair.width, height: pair.height, frames: Vec::new() };
    let mut environment = Environment {
        cancel: &Cancel::default(),
        observer: &mut (),
        clock: &|| Duration::ZERO,
        residency: &Residency::one(None),
    };
    make_video(models, &request, &mut environment, &mut |frame| {
        clip.frames.push(frame.rgb.to_vec());
        Ok(())
    })?;
    Ok(clip)
}

/// Passed and all, over everything and by language, colour and motion.
#[derive(Default)]
struct Tally(BTreeMap<String, (usize, usize)>);

impl Tally {
    const ALL: &str = "colour and motion";

    fn count(&mut self, pair: &Pair, seen: &Seen) -> &'static str {
        let colour = seen.colour.as_deref() == Some(&pair.colour);
        let motion = seen.motion == Some(&pair.motion);
        let shape = seen.shape == Some(&pair.shape);
        let passes = colour && motion;
        for (key, right) in [
            (Self::ALL.to_owned(), passes),
            ("colour alone".to_owned(), colour),
            ("motion alone".to_owned(), motion),
            ("shape alone".to_owned(), shape),
            (format!("language {}", pair.language), passes),
            (format!("colour {}", pair.colour), passes),
            (format!("motion {}", pair.motion), passes),
        ] {
            let (passed, all) = self.0.entry(key).or_default();
            *passed += usize::from(right);
            *all += 1;
        }
        if passes { "pass" } else { "FAIL" }
    }

    fn share(&self) -> f64 {
        self.0.get(Self::ALL).map_or(0.0, |&(passed, all)| passed as f64 / all as f64)
    }

    fn print(&self, elapsed: Duration) {
        for (key, (passed, all)) in &self.0 {
            println!("{key:20} {passed:3} of {all:3}  {:5.1} %", 100.0 * *passed as f64 / *all as f64);
        }
        println!("{:.1} s", elapsed.as_secs_f64());
    }
}
