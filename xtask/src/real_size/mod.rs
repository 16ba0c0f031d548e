//! Systems of true size, with random weights: whether they run on this machine, in the memory that was said, and how
//! soon the first step starts.
//!
//! Weights are written from a seed, in the dialect and under the names of the system's preset. The program then makes
//! five frames of 128 x 128 in two steps with guidance, with nothing of the files in memory; and once more as far as
//! the first step, with what stayed there. Memory is the process's largest resident size: its own buffers, and the pages of mapped files
//! that it has in use, which the system could take back; the program's prediction counts both too.

mod disk;
mod systems;
mod watch;
mod weights;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use vita_base::{Report, bytes_text, seconds_text};
use vita_media::{Frame, Metadata, write_png};
use vita_weights::Checkpoint;

use systems::System;
use watch::{Done, FIRST_STEP, Seen, watch};

/// What to try.
#[derive(clap::Args)]
pub struct Arguments {
    /// Name of the system, as `generate --model` has it.
    system: String,
    /// Where the weights are written; files of the right size that are there are used.
    #[arg(long, default_value_os_t = std::env::temp_dir().join("vitascope-real-size"))]
    folder: PathBuf,
    /// Leave the weights there.
    #[arg(long)]
    keep: bool,
    /// The program.
    #[arg(long, default_value_os_t = crate::program::beside())]
    binary: PathBuf,
    /// What the weights are made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Most seconds before the first step, beside what the disk needs.
const START_SECONDS_MAX: f64 = 3.0;

/// Most that prediction and measurement may differ, as a part of the measurement.
const MEMORY_ERROR_MAX: f64 = 0.1;

/// What is left free on the disk.
const DISK_RESERVE_BYTES: u64 = 1 << 30;

/// How much is read to find the disk's rate.
const RATE_BYTES: u64 = 3 << 30;

/// Where the vocabulary of the text encoder comes from: its ids are below those of the true one.
const VOCABULARY_FILE: &str = "assets/nano/nano-umt5.safetensors";

/// Writes, runs, prints a table, and removes what was written.
///
/// # Errors
/// If the disk refuses, a run fails, or one of the bounds is not kept.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let system = System::named(&arguments.system)?;
    let result = try_system(&system, arguments);
    if !arguments.keep {
        // Only what this chore writes, and the folders that are empty then.
        for file in system.files()? {
            let path = arguments.folder.join(&file.path);
            let _ = fs::remove_file(path.with_extension("part"));
            let _ = fs::remove_file(&path);
            let _ = path.parent().map(fs::remove_dir);
        }
        let _ = fs::remove_file(picture_path(&arguments.folder));
        let _ = fs::remove_file(video_path(&arguments.folder));
        let _ = fs::remove_dir(&arguments.folder);
    }
    result
}

fn try_system(system: &System, arguments: &Arguments) -> Result<(), Report> {
    let folder = &arguments.folder;
    fs::create_dir_all(folder).map_err(|error| failed("write", folder, &error))?;
    let paths = write_all(system, arguments)?;
    write_picture(&picture_path(folder))?;

    let total: u64 = paths.iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum();
    println!("\n{}: {} of files, {} of memory in the machine", system.name, bytes_text(total), machine_text());
    println!("\n{HEAD}");
    let mut problems = Vec::new();
    let rate = || {
        disk::forget(&paths)?;
        disk::mapped_rate(&paths[0], RATE_BYTES)
    };
    let before = rate()?;
    disk::forget(&paths)?;
    let cold = watch(&mut command(system, arguments), true)?;
    let again = watch(&mut command(system, arguments), false)?;
    // Others may use the disk too: of two rates, the faster asks for more.
    let rate = before.max(rate()?);
    for (name, seen) in [("cold", cold), ("again, to the first step", again)] {
        let row = Row::of(&seen, rate)?;
        println!("{}", row.text(name, &seen));
        problems.extend(row.problems(&seen).into_iter().map(|problem| format!("{name}: {problem}")));
    }
    match &problems[..] {
        [] => Ok(()),
        problems => Err(Report::new(problems.join("\n"))),
    }
}

/// Writes what is not there yet. The second of two experts is written with holes if the disk is short: its pages take
/// the same memory, but what is a hole is not read from the disk.
fn write_all(system: &System, arguments: &Arguments) -> Result<Vec<PathBuf>, Report> {
    let vocabulary = vocabulary()?;
    let mut files = system.files()?;
    // What may have holes comes last, when it is known how much room there is.
    files.sort_by_key(|file| file.is_second_expert);
    let mut paths = Vec::new();
    for (seed, file) in (arguments.seed..).zip(&files) {
        let path = arguments.folder.join(&file.path);
        let free = disk::free_bytes(&arguments.folder).map_err(|error| failed("write", &path, &error))?;
        let bytes_max = file.is_second_expert.then(|| free.saturating_sub(DISK_RESERVE_BYTES));
        let written = weights::write(&path, file, &vocabulary, seed, bytes_max)
            .map_err(|error| failed("write", &path, &error))?;
        let holes = match written.hole_bytes {
            0 => String::new(),
            holes => format!(", of them {} zeros that take no place on the disk", bytes_text(holes)),
        };
        println!("{}: {}{holes}", file.path, bytes_text(written.bytes));
        paths.push(path);
    }
    Ok(paths)
}

fn vocabulary() -> Result<Vec<u8>, Report> {
    let checkpoint = Checkpoint::open(Path::new(VOCABULARY_FILE))?;
    match checkpoint.stored("spiece_model") {
        Some(stored) => Ok(stored.bytes.to_vec()),
        None => Err(Report::new(format!("`{VOCABULARY_FILE}` has no vocabulary"))),
    }
}

/// A picture of slopes.
fn write_picture(path: &Path) -> Result<(), Report> {
    const SIDE: u32 = 128;
    let pixels = (0..SIDE * SIDE).flat_map(|i| [(2 * (i % SIDE)) as u8, (2 * (i / SIDE)) as u8, 128]);
    let rgb: Vec<u8> = pixels.collect();
    write_png(path, Frame::new(SIDE, SIDE, &rgb)?, &Metadata::new())?;
    Ok(())
}

fn picture_path(folder: &Path) -> PathBuf {
    folder.join("first.png")
}

fn video_path(folder: &Path) -> PathBuf {
    folder.join("video.mp4")
}

fn command(system: &System, arguments: &Arguments) -> Command {
    let folder = &arguments.folder;
    let mut command = Command::new(&arguments.binary);
    command.args(["generate", "a red ball moves to the right", "--negative", "blurry, dark", "--model", system.name]);
    command.arg("--models-dir").arg(folder).arg("--output").arg(video_path(folder)).arg("--json");
    command.args(["--size", "128x128", "--frames", "5", "--steps", "2", "--cfg", "4", "--seed", "1"]);
    if system.needs_image() {
        command.arg("--image").arg(picture_path(folder));
    }
    if system.has_experts() {
        command.args(["--switch-step", "1"]);
    }
    command.env_remove("VITASCOPE_LOG").env_remove("VITASCOPE_MODELS_DIR");
    command
}

/// What is judged of a run.
struct Row {
    /// Bytes a second.
    rate: f64,
    /// From the start of the process to the first step.
    first_step: Duration,
    /// Bytes that had to come from the disk until then.
    first_step_read_bytes: u64,
    /// Time that the text and the picture took until then, reading included.
    encoding: Duration,
}

const HEAD: &str = "| run | disk, GB/s | until the first step, s | read until then, GB | of it the disk's, s | text and \
                    picture, s | processors until then, s | all, s | read, GB | major faults | memory: said / measured, \
                    GiB (own + files) |\n\
                    | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";

impl Row {
    fn of(seen: &Seen, rate: f64) -> Result<Self, Report> {
        let at = |word: &str| seen.lines.iter().find(|line| line.text == word);
        let (Some(text), Some(sampling)) = (at("text"), at(FIRST_STEP)) else {
            return Err(Report::new("the program did not say when it began to sample"));
        };
        Ok(Self {
            rate,
            first_step: sampling.at,
            first_step_read_bytes: sampling.read_bytes,
            encoding: sampling.at.saturating_sub(text.at),
        })
    }

    fn disk_seconds(&self) -> f64 {
        self.first_step_read_bytes as f64 / self.rate
    }

    fn text(&self, name: &str, seen: &Seen) -> String {
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        let gibibytes = |bytes: u64| bytes as f64 / (1u64 << 30) as f64;
        let rest = match &seen.done {
            None => "| | | |".to_owned(),
            Some(done) => format!(
                "{:.1} | {:.1} | {} | {:.2} / {:.2} ({:.2} + {:.2}) |",
                seen.total.as_secs_f64(),
                gigabytes(seen.read_bytes),
                seen.major_faults,
                gibibytes(done.memory_estimate_bytes),
                gibibytes(measured_bytes(done, seen)),
                gibibytes(seen.peak.own_bytes),
                gibibytes(seen.peak.file_bytes),
            ),
        };
        format!(
            "| {name} | {:.2} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {rest}",
            self.rate / 1e9,
            self.first_step.as_secs_f64(),
            gigabytes(self.first_step_read_bytes),
            self.disk_seconds(),
            self.encoding.as_secs_f64(),
            seen.first_step_cpu_seconds,
        )
    }

    /// Which bounds are not kept.
    fn problems(&self, seen: &Seen) -> Vec<String> {
        let mut problems = Vec::new();
        let (first_step, disk) = (self.first_step.as_secs_f64(), self.disk_seconds());
        if first_step > START_SECONDS_MAX + disk {
            problems.push(format!(
                "the first step started after {}, of which the disk needed {}",
                seconds_text(first_step),
                seconds_text(disk)
            ));
        }
        if let Some(done) = &seen.done {
            let (said, measured) = (done.memory_estimate_bytes, measured_bytes(done, seen));
            if said.abs_diff(measured) as f64 > MEMORY_ERROR_MAX * measured as f64 {
                problems.push(format!("{} were said and {} measured", bytes_text(said), bytes_text(measured)));
            }
        }
        if seen.swapped_pages > 0 || seen.peak.swapped_bytes > 0 {
            problems.push(format!("{} pages were swapped", seen.swapped_pages));
        }
        problems
    }
}

/// The system's own count of the largest moment, or the largest that was seen from outside.
fn measured_bytes(done: &Done, seen: &Seen) -> u64 {
    done.peak_rss_bytes.unwrap_or(0).max(seen.peak.resident_bytes)
}

fn machine_text() -> String {
    watch::machine_bytes().map_or_else(|| "unknown".to_owned(), bytes_text)
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Report {
    Report::new(format!("cannot {what} `{}`: {error}", path.display()))
}
