//! A run of `vitascope generate`, watched from outside: when its stages begin, what it reads, what it keeps in memory.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use vita_base::Report;

/// How often memory is looked at.
const EVERY: Duration = Duration::from_millis(50);

/// What was seen of a run.
pub struct Seen {
    /// From the start of the process to its end.
    pub total: Duration,
    /// Each line of stderr, when it came, and how many bytes had been read from the disk by then.
    pub lines: Vec<Line>,
    /// The largest resident size, and its parts at that moment.
    pub peak: Memory,
    /// Faults that had to wait for the disk.
    pub major_faults: u64,
    /// Bytes read from the disk in all.
    pub read_bytes: u64,
    /// Pages that the whole machine swapped meanwhile, in and out.
    pub swapped_pages: u64,
    /// Processor seconds until the first step, those of the system for it included.
    pub first_step_cpu_seconds: f64,
    /// What it printed; `None` if it was stopped at its first step.
    pub done: Option<Done>,
}

/// A line of stderr.
pub struct Line {
    pub text: String,
    pub at: Duration,
    pub read_bytes: u64,
}

/// What a process keeps in memory.
#[derive(Clone, Copy, Default)]
pub struct Memory {
    pub resident_bytes: u64,
    /// Its own: buffers, packed weights.
    pub own_bytes: u64,
    /// Pages of mapped files.
    pub file_bytes: u64,
    /// Of its own, those that lie in swap.
    pub swapped_bytes: u64,
}

/// The end of `--json`.
#[derive(Deserialize)]
pub struct Done {
    pub memory_estimate_bytes: u64,
    pub peak_rss_bytes: Option<u64>,
}

/// The line that says that the first step begins.
pub const FIRST_STEP: &str = "sampling";

/// Runs a command to its end, or until its first step begins.
///
/// # Errors
/// If it cannot be started, fails, or prints something else than its summary.
pub fn watch(command: &mut Command, to_the_end: bool) -> Result<Seen, Report> {
    let swapped_before = swapped_pages();
    let start = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| {
            Report::new(format!("cannot start `{}`: {error}", command.get_program().to_string_lossy()))
                .with_hint("build it with `cargo build --release`, or name another with --binary")
        })?;
    let id = child.id();
    let (stderr, mut stdout) = (child.stderr.take().expect("piped"), child.stdout.take().expect("piped"));
    let summary = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let (stop, stopped) = mpsc::channel::<()>();
    let sampler = thread::spawn(move || sample(id, &stopped));
    let mut lines = Vec::new();
    let mut first_step_cpu_seconds = 0.0;
    for text in BufReader::new(stderr).lines().map_while(Result::ok) {
        let begins = text == FIRST_STEP && first_step_cpu_seconds == 0.0;
        lines.push(Line { text, at: start.elapsed(), read_bytes: read_bytes(id).unwrap_or(0) });
        if begins {
            first_step_cpu_seconds = cpu_seconds(id).unwrap_or(f64::NAN);
            if !to_the_end {
                let _ = child.kill();
            }
        }
    }
    let status = child.wait();
    let total = start.elapsed();
    drop(stop);
    let (peak, major_faults, all_read) = sampler.join().unwrap_or_default();
    let text = summary.join().ok().and_then(Result::ok).unwrap_or_default();
    let has_begun = lines.iter().any(|line| line.text == FIRST_STEP);
    let done = match status {
        Ok(status) if status.success() => Some(
            serde_json::from_str(&text)
                .map_err(|error| Report::new(format!("the program printed something unexpected: {error}")))?,
        ),
        Ok(_) if !to_the_end && has_begun => None,
        Ok(status) => {
            let said: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
            return Err(Report::new(format!("the program ended with {status}:\n{}", said.join("\n"))));
        }
        Err(error) => return Err(Report::new(format!("cannot wait for the program: {error}"))),
    };
    let swapped_pages = swapped_pages().saturating_sub(swapped_before);
    Ok(Seen { total, lines, peak, major_faults, read_bytes: all_read, swapped_pages, first_step_cpu_seconds, done })
}

/// Looks at a process until it is gone: its largest moment, its major faults, its bytes read.
fn sample(id: u32, stopped: &mpsc::Receiver<()>) -> (Memory, u64, u64) {
    let mut seen = (Memory::default(), 0, 0);
    while stopped.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
        if let Some(now) = memory(id)
            && now.resident_bytes > seen.0.resident_bytes
        {
            let swapped_bytes = now.swapped_bytes.max(seen.0.swapped_bytes);
            seen.0 = Memory { swapped_bytes, ..now };
        }
        seen.1 = major_faults(id).unwrap_or(seen.1);
        seen.2 = read_bytes(id).unwrap_or(seen.2);
    }
    seen
}

fn memory(id: u32) -> Option<Memory> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    Some(Memory {
        resident_bytes: kilobytes(&text, "VmRSS:")?,
        own_bytes: kilobytes(&text, "RssAnon:")?,
        file_bytes: kilobytes(&text, "RssFile:")?,
        swapped_bytes: kilobytes(&text, "VmSwap:")?,
    })
}

/// "VmRSS:   123 kB" -> bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// Bytes that a process had to have from the disk, read-ahead for mapped files included.
fn read_bytes(id: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/io")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("read_bytes: "))?.trim().parse().ok()
}

fn major_faults(id: u32) -> Option<u64> {
    stat(id, 12)
}

/// Of the process and of the system for it; the ticks of Linux are hundredths of a second.
fn cpu_seconds(id: u32) -> Option<f64> {
    Some((stat(id, 14)? + stat(id, 15)?) as f64 / 100.0)
}

/// A field of `/proc/ID/stat`, counted from 1.
fn stat(id: u32, field: usize) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second is the name, which may hold spaces.
    text.rsplit_once(") ")?.1.split_whitespace().nth(field - 3)?.parse().ok()
}

fn swapped_pages() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    number("pswpin ").unwrap_or(0) + number("pswpout ").unwrap_or(0)
}

/// Memory of the machine.
pub fn machine_bytes() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}
