//! Progress of a download on stderr: a bar on a terminal, lines elsewhere.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use vita_base::bytes_text;
use vita_hub::Event;

use crate::progress::{LINE_EVERY, TICK};
use crate::terminal;

/// Shows how far one file is. May be told from several threads.
pub struct Progress {
    name: String,
    size_bytes: u64,
    bar: Option<ProgressBar>,
    told: Mutex<Told>,
}

/// What was shown last.
struct Told {
    is_check: bool,
    at: Instant,
}

impl Progress {
    /// A bar where stderr is a terminal that nothing else writes to.
    pub fn new(name: &str, size_bytes: u64, has_bar: bool) -> Self {
        let bar = has_bar.then(|| {
            let bar = ProgressBar::new(size_bytes);
            bar.set_style(style());
            bar.set_prefix("download");
            bar.set_message(name.to_owned());
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { name: name.to_owned(), size_bytes, bar, told: Mutex::new(Told { is_check: false, at: Instant::now() }) }
    }

    /// Takes an event.
    pub fn observe(&self, event: Event) {
        let (is_check, bytes) = match event {
            Event::Received(bytes) => (false, bytes),
            Event::Checked(bytes) => (true, bytes),
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let turned = is_check && !told.is_check;
        told.is_check |= is_check;
        match &self.bar {
            Some(bar) => {
                if turned {
                    bar.set_prefix("check");
                    bar.reset_eta();
                }
                bar.set_position(bytes);
            }
            None if told.at.elapsed() >= LINE_EVERY => {
                told.at = Instant::now();
                let (done, all) = (bytes_text(bytes), bytes_text(self.size_bytes));
                let verb = if is_check { "checked" } else { "received" };
                terminal::note(&format!("{}: {done} of {all} {verb}", self.name));
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
        "{prefix:>8} {bar:30} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left  {msg}",
    )
    .expect("a template that is right once is right always")
    .progress_chars("━╸ ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_is_right() {
        super::style();
    }
}
