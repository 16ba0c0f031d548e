//! Progress on stderr: a bar on a terminal, lines elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use vita_base::seconds_text;
use vita_pipeline::{Event, Observer, Stage};

use crate::terminal;

/// Shows the events of a run.
pub enum Progress {
    /// One line that changes in place and is gone in the end.
    Bar(ProgressBar),
    /// A line when a stage begins, and another now and then while it lasts.
    Lines(Lines),
}

/// What was said last.
#[derive(Default)]
pub struct Lines {
    stage: Option<Stage>,
    said: Duration,
}

/// How often the bar moves its clock. Slow enough for a remote terminal, fast enough to look alive.
pub const TICK: Duration = Duration::from_millis(200);

/// How often lines tell of a long stage.
pub const LINE_EVERY: Duration = Duration::from_secs(60);

impl Progress {
    /// A bar where stderr is a terminal that nothing else writes to.
    pub fn new(has_bar: bool) -> Self {
        if !has_bar {
            return Self::Lines(Lines::default());
        }
        let bar = ProgressBar::new(0);
        bar.set_style(style());
        Self::Bar(bar)
    }

    /// Takes the bar away; may be called from any thread.
    pub fn eraser(&self) -> impl Fn() + Send + 'static {
        let bar = match self {
            Self::Bar(bar) => Some(bar.clone()),
            Self::Lines(_) => None,
        };
        move || bar.iter().for_each(ProgressBar::finish_and_clear)
    }
}

impl Observer for Progress {
    fn observe(&mut self, event: Event<'_>) {
        match (self, event) {
            (Self::Bar(bar), Event::Step { stage, step, total, elapsed }) => {
                if step == 0 {
                    bar.reset_elapsed();
                    bar.set_prefix(stage.word());
                    bar.enable_steady_tick(TICK);
                }
                bar.set_length(total as u64);
                bar.set_position(step as u64);
                bar.set_message(left_text(step, total, elapsed).unwrap_or_default());
            }
            (Self::Bar(bar), Event::Warning(text)) => bar.suspend(|| terminal::note(&format!("warning: {text}"))),
            (Self::Lines(lines), Event::Step { stage, step, total, elapsed }) => {
                lines.step(stage, step, total, elapsed)
            }
            (Self::Lines(_), Event::Warning(text)) => terminal::note(&format!("warning: {text}")),
            (_, Event::Preview { .. }) => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.eraser()();
    }
}

impl Lines {
    fn step(&mut self, stage: Stage, step: usize, total: usize, elapsed: Duration) {
        if step == 0 {
            // Weights are loaded before each stage; that is worth a line only where it takes long.
            if stage != Stage::Loading && self.stage != Some(stage) {
                terminal::note(stage.word());
            }
            *self = Self { stage: Some(stage), said: Duration::ZERO };
        } else if elapsed >= self.said + LINE_EVERY {
            let left = left_text(step, total, elapsed).map_or_else(String::new, |left| format!(", {left}"));
            terminal::note(&format!("{stage} {step}/{total}{left}"));
            self.said = elapsed;
        }
    }
}

/// "1.2 s a step, 10 s left" while there is something left to judge by.
pub fn left_text(step: usize, total: usize, elapsed: Duration) -> Option<String> {
    let left = total.checked_sub(step).filter(|&left| left > 0 && step > 0)?;
    let step_seconds = elapsed.as_secs_f64() / step as f64;
    Some(format!("{} left", seconds_text(step_seconds * left as f64)))
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:>8} {bar:30} {pos}/{len}  {elapsed}  {msg}")
        .expect("a template that is right once is right always")
        .progress_chars("━╸ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_told_once_a_step_is_done_and_until_the_last() {
        let at = |step, total| left_text(step, total, Duration::from_secs(6));
        assert_eq!(at(0, 4), None);
        assert_eq!(at(1, 4).as_deref(), Some("18.0 s left"));
        assert_eq!(at(3, 4).as_deref(), Some("2.0 s left"));
        assert_eq!(at(4, 4), None);
    }

    #[test]
    fn the_template_is_right() {
        style();
    }
}
