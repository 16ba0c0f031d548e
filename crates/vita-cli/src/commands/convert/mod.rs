//! `convert IN OUT`: a checkpoint in another dialect, or with fewer bits.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use vita_base::{Cancel, Report, bytes_text};
use vita_weights::{Checkpoint, Conversion, Dialect, Numbers, Role};

use crate::progress::LINE_EVERY;
use crate::{disk, logs, terminal};

/// Rewrite a model's file: smaller, or with the names of another program.
///
/// Works tensor by tensor, so that any size fits in memory. What decides most about a picture and takes little room
/// stays precise: norms, biases, modulation, patch, time and text embeddings, the head. The text encoder's vocabulary
/// goes along. LoRAs are not converted; all of their dialects are read as they are.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The file: .safetensors, .gguf, .pth, the .index.json of several files, or a folder of a part of diffusers.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The new file: .gguf for q8_0, .safetensors for all else.
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Whose names its tensors get.
    #[arg(long, value_enum, default_value_t = To::Comfy)]
    to: To,
    /// How its large matrices are stored [default: as they are].
    #[arg(long, value_enum)]
    dtype: Option<Dtype>,
    /// Replace OUT if it is there.
    #[arg(long)]
    force: bool,
}

/// Whose names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// ComfyUI's repackaged files.
    Comfy,
    /// Kijai's, for the Wan wrapper.
    Kijai,
    /// The authors'.
    Official,
    /// Those of diffusers and transformers.
    Diffusers,
}

/// How matrices are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dtype {
    /// 8-bit floats with a scale a matrix: half of 16 bits.
    #[value(name = "fp8_scaled")]
    Fp8Scaled,
    /// 8-bit floats without scales, which lose more.
    #[value(name = "fp8_e4m3fn")]
    Fp8,
    /// 16 bits, the range of f32.
    Bf16,
    /// 16 bits, more digits and less range.
    F16,
    /// 32 bits.
    F32,
    /// 8 bits with a scale every 32 numbers, in a GGUF file: a little larger than fp8_scaled, and closer.
    #[value(name = "q8_0")]
    Q8_0,
}

/// Converts.
///
/// # Errors
/// If the input is no single model, cannot be stored so, or the output cannot be written or may not be replaced.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let Arguments { input, output, force, .. } = arguments;
    check_output(input, output, *force, arguments.dtype)?;
    let checkpoint = open(input)?;
    let plan = Conversion::plan(&checkpoint, arguments.to.into(), arguments.dtype.map(Numbers::from))?;
    let (before, after) = (bytes_text(checkpoint.size_bytes()), bytes_text(plan.size_bytes()));
    let types = plan.types().into_iter().filter(|&(_, bytes)| bytes > 0);
    let types: Vec<String> = types.map(|(dtype, bytes)| format!("{} of {dtype}", bytes_text(bytes))).collect();
    terminal::note(&format!("{}: {before}, will be {after}: {}", plan.system(), types.join(", ")));
    check_disk(output, plan.size_bytes())?;

    let cancel = Cancel::default();
    let shared = cancel.clone();
    let handler = ctrlc::set_handler(move || shared.cancel());
    handler.map_err(|error| Report::new(format!("cannot watch for Ctrl-C: {error}")))?;
    let mut progress = Progress::new(plan.size_bytes());
    let is_done = plan.write(output, &mut |bytes| {
        progress.tell(bytes);
        if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    drop(progress);
    if !is_done {
        terminal::note("stopped");
        process::exit(INTERRUPTED);
    }
    terminal::print(&format!("{}: {after}", output.display()))
}

/// As shells have it for programs ended by Ctrl-C: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

fn open(input: &Path) -> Result<Checkpoint, Report> {
    if input.join("model_index.json").is_file() {
        let report = Report::new(format!("`{}` is a pipeline of several models", input.display()));
        return Err(
            report.with_hint(format!("choose one of its folders, such as {}", input.join("transformer").display()))
        );
    }
    // In the folder of a part, the file is found whatever the part is.
    Ok(Checkpoint::open_component(input, Role::DiffusionModel, false)?)
}

fn check_output(input: &Path, output: &Path, force: bool, dtype: Option<Dtype>) -> Result<(), Report> {
    let ending = output.extension().unwrap_or_default().to_ascii_lowercase();
    let wanted = if dtype == Some(Dtype::Q8_0) { "gguf" } else { "safetensors" };
    if ending != wanted {
        let report = Report::new(format!("`{}` does not end in .{wanted}", output.display()));
        let reason = match dtype {
            Some(Dtype::Q8_0) => "q8_0 is a storage of GGUF files",
            _ => "of GGUF's storages, q8_0 alone is written",
        };
        return Err(report.with_hint(format!("{reason}: call it {}", output.with_extension(wanted).display())));
    }
    let is_same = || Some(fs::canonicalize(input).ok()? == fs::canonicalize(output).ok()?);
    if is_same() == Some(true) {
        let report = Report::new(format!("`{}` is the input too", output.display()));
        return Err(report.with_hint("choose another name; the input is read while the output is written"));
    }
    if output.exists() && (!force || output.is_dir()) {
        let report = Report::new(format!("`{}` is there already", output.display()));
        return Err(report.with_hint("add --force to replace it, or choose another name"));
    }
    Ok(())
}

fn check_disk(output: &Path, needed: u64) -> Result<(), Report> {
    let folder = output.parent().unwrap_or(Path::new(""));
    match disk::free_bytes(folder) {
        Some(free) if free < needed => {
            let (needed, free) = (bytes_text(needed), bytes_text(free));
            let report = Report::new(format!("`{}` needs {needed}, and {free} are free there", output.display()));
            Err(report.with_hint("free some space, or choose another disk or a smaller --dtype"))
        }
        _ => Ok(()),
    }
}

/// How far it is: a bar on a terminal, a line a minute elsewhere.
struct Progress {
    total: u64,
    bar: Option<ProgressBar>,
    began: Instant,
    said: Duration,
}

impl Progress {
    fn new(total: u64) -> Self {
        let has_bar = terminal::stderr_is_terminal() && !logs::are_on();
        let bar = has_bar.then(|| ProgressBar::new(total).with_style(style()));
        Self { total, bar, began: Instant::now(), said: Duration::ZERO }
    }

    fn tell(&mut self, bytes: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(bytes),
            None if self.began.elapsed() >= self.said + LINE_EVERY => {
                self.said = self.began.elapsed();
                terminal::note(&format!("{} of {} written", bytes_text(bytes), bytes_text(self.total)));
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(
        " convert {bar:30} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left",
    )
    .expect("a template that is right once is right always")
    .progress_chars("━╸ ")
}

impl From<To> for Dialect {
    fn from(to: To) -> Self {
        match to {
            To::Comfy => Self::Comfy,
            To::Kijai => Self::Kijai,
            To::Official => Self::Official,
            To::Diffusers => Self::Diffusers,
        }
    }
}

impl From<Dtype> for Numbers {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::Fp8Scaled => Self::Fp8Scaled,
            Dtype::Fp8 => Self::Fp8,
            Dtype::Bf16 => Self::Bf16,
            Dtype::F16 => Self::F16,
            Dtype::F32 => Self::F32,
            Dtype::Q8_0 => Self::Q8_0,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_is_right() {
        super::style();
    }
}
