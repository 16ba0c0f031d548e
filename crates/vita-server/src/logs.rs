//! The last log lines, for the page's log panel: a ring of 300 and one pinned entry.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer};

/// Entries that are kept besides the pinned one.
const ENTRY_COUNT_MAX: usize = 300;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// When.
    pub time: SystemTime,
    /// The text with its newline.
    pub text: String,
}

/// The last log lines. Clones are the same ring.
#[derive(Clone, Default)]
pub struct LogRing(Arc<Shared>);

type Listener = Box<dyn Fn(&LogEntry) + Send + Sync>;

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    listener: OnceLock<Listener>,
}

#[derive(Default)]
struct Lines {
    pinned: Option<LogEntry>,
    ring: VecDeque<LogEntry>,
}

impl LogRing {
    /// Adds a line; a newline is appended.
    pub fn push(&self, time: SystemTime, text: &str) {
        let entry = LogEntry { time, text: format!("{text}\n") };
        {
            let mut lines = self.lock();
            if lines.ring.len() == ENTRY_COUNT_MAX {
                lines.ring.pop_front();
            }
            lines.ring.push_back(entry.clone());
        }
        self.tell(&entry);
    }

    /// Keeps a line at the top however many follow, in place of an earlier one: where the token is shown.
    pub fn pin(&self, time: SystemTime, text: &str) {
        let entry = LogEntry { time, text: format!("{text}\n") };
        self.lock().pinned = Some(entry.clone());
        self.tell(&entry);
    }

    /// The pinned line, then the others, oldest first.
    pub fn entries(&self) -> Vec<LogEntry> {
        let lines = self.lock();
        lines.pinned.iter().chain(&lines.ring).cloned().collect()
    }

    /// Who hears of each new line; only the first one counts. It must not log.
    pub(crate) fn listen(&self, listener: impl Fn(&LogEntry) + Send + Sync + 'static) {
        let _ = self.0.listener.set(Box::new(listener));
    }

    fn tell(&self, entry: &LogEntry) {
        if let Some(listener) = self.0.listener.get() {
            listener(entry);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.0.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A layer of `tracing` that writes into a ring.
pub struct LogLayer {
    ring: LogRing,
    now: fn() -> SystemTime,
    prefix: &'static str,
}

impl LogLayer {
    /// Writes into `ring`, with the time of `now`.
    pub fn new(ring: LogRing, now: fn() -> SystemTime) -> Self {
        Self { ring, now, prefix: "" }
    }

    /// Writes this before every line.
    #[must_use]
    pub fn with_prefix(self, prefix: &'static str) -> Self {
        Self { prefix, ..self }
    }
}

impl<S: tracing::Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => "[ERROR] ",
            tracing::Level::WARN => "[WARNING] ",
            _ => "",
        };
        self.ring.push((self.now)(), &format!("{level}{}{}{}", self.prefix, line.message, line.fields));
    }
}

/// A message and its fields as text.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.fields += &format!(" {}={value:?}", field.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn the_ring_forgets_the_oldest_and_keeps_the_pinned() {
        let ring = LogRing::default();
        ring.pin(at(0), "token=1");
        for second in 0..400 {
            ring.push(at(second), &second.to_string());
        }
        let entries = ring.entries();
        assert_eq!(entries.len(), ENTRY_COUNT_MAX + 1);
        assert_eq!(entries[0], LogEntry { time: at(0), text: "token=1\n".into() });
        assert_eq!(entries[1].text, "100\n");
        assert_eq!(entries[300].text, "399\n");
    }

    #[test]
    fn the_layer_writes_message_level_and_fields() {
        use tracing_subscriber::layer::SubscriberExt;

        let ring = LogRing::default();
        let subscriber = tracing_subscriber::registry().with(LogLayer::new(ring.clone(), || at(7)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("got prompt");
            tracing::warn!(node = 3, "slow");
        });
        let texts: Vec<_> = ring.entries().into_iter().map(|entry| entry.text).collect();
        assert_eq!(texts, ["got prompt\n", "[WARNING] slow node=3\n"]);
    }
}
