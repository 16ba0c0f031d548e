//! A worker that is stepped, a queue that is stopped at named points, and how both look as text.

mod crashes;
mod failures;
mod lost;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use indexmap::IndexMap;
use serde_json::json;
use tempfile::TempDir;
use vita_base::Cancel;
use vita_graph::{End, Event, Observer, Outcome};

use crate::probe::{Point, Verdict};
use crate::store::Store;
use crate::{
    Durability, HistoryEntry, HistoryLimit, HistoryQuery, Job, Place, Queue, QueueEvent, QueueOptions, Runner, Step,
    Submission, Worker,
};

/// A folder with a queue in it that is opened again and again.
struct Bench {
    folder: TempDir,
    /// What happens at which point, once.
    fault: Arc<Mutex<Option<(Point, Verdict)>>>,
    /// What the runner did.
    ran: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), fault: Arc::default(), ran: Arc::default() }
    }

    /// Opens the queue, without any fault before it is open.
    fn open(&self) -> Queue {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Queue, crate::QueueError> {
        let time_ms = AtomicU64::new(1000);
        let options = QueueOptions {
            path: self.folder.path().join("queue.sqlite"),
            clock: Arc::new(move || time_ms.fetch_add(1, Ordering::Relaxed)),
            durability: Durability::ProcessKill,
            history_limit: HistoryLimit::default(),
            history_memory_bytes: 1 << 20,
        };
        let fault = self.fault.clone();
        let probe = move |point| match fault.lock().unwrap().take_if(|(at, _)| *at == point) {
            Some((_, verdict)) => verdict,
            None => Verdict::GoOn,
        };
        let store = Store::open_probed(&options, Some(Arc::new(probe)))?;
        Queue::with_store(options, store)
    }

    fn set_fault(&self, point: Point, verdict: Verdict) {
        *self.fault.lock().unwrap() = Some((point, verdict));
    }

    fn worker(&self, queue: &Queue) -> Worker {
        Worker::new(queue.clone(), Box::new(Recorder(self.ran.clone())))
    }

    /// What the runner did since the last time.
    fn take_ran(&self) -> String {
        std::mem::take(&mut *self.ran.lock().unwrap()).join(" ")
    }
}

/// Notes what it runs. `panic...` panics, `stop...` is interrupted as if someone had asked.
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Runner for Recorder {
    fn run(&mut self, job: &Job, cancel: &Cancel, observer: &mut dyn Observer) -> Outcome {
        self.0.lock().unwrap().push(job.id.to_string());
        observer.observe(Event::Cached(&[]));
        assert!(!job.id.starts_with("panic"), "asked to panic");
        let interrupted = End::Interrupted { node: "9".into(), class: "Toy".into(), executed: Vec::new() };
        let end = if cancel.is_cancelled() || job.id.starts_with("stop") { interrupted } else { End::Success };
        let ui = json!({"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]});
        Outcome { outputs: IndexMap::from([("9".to_owned(), ui)]), end }
    }

    fn free(&mut self, unload_models: bool, free_memory: bool) {
        self.0.lock().unwrap().push(format!("free({unload_models},{free_memory})"));
    }
}

fn submission(id: &str, place: Place) -> Submission {
    let prompt = json!({"9": {"class_type": "Toy", "inputs": {}}});
    Submission { id: id.into(), prompt, extra_data: serde_json::Map::new(), outputs: vec!["9".into()], place }
}

/// Steps until there is nothing to do, and says how often.
fn drain(worker: &mut Worker) -> usize {
    (0..1000).take_while(|_| !matches!(worker.step(), Step::Idle | Step::Closed | Step::Held)).count()
}

/// Has SQLite itself refuse from here on, or take again.
fn set_pragma(queue: &Queue, name: &'static str, value: i64) {
    let set = move |keeper: &mut crate::keeper::Keeper| {
        keeper.store().set_pragma(name, value);
        Ok(())
    };
    queue.call(set).unwrap();
}

/// What the keeper does by itself a second after something could not be written.
fn retry(queue: &Queue) {
    let retry = |keeper: &mut crate::keeper::Keeper| {
        keeper.retry();
        Ok(())
    };
    queue.call(retry).unwrap();
}

/// The whole queue as text: `running a(0)`, `pending b(1) c(2)`, `history d(-1) completed`.
fn picture(queue: &Queue) -> String {
    let snapshot = queue.snapshot();
    let mut text = String::new();
    let jobs =
        |jobs: &[Arc<Job>]| -> String { jobs.iter().map(|job| format!(" {}({})", job.id, job.number)).collect() };
    if snapshot.paused {
        text += "paused\n";
    }
    if !snapshot.running.is_empty() {
        let _ = writeln!(text, "running{}", jobs(&snapshot.running));
    }
    if !snapshot.pending.is_empty() {
        let _ = writeln!(text, "pending{}", jobs(&snapshot.pending));
    }
    for entry in queue.history(HistoryQuery::default()).unwrap() {
        let _ = writeln!(text, "history {}({}) {}", entry.job.id, entry.job.number, ending(&entry));
    }
    text.trim_end().to_owned()
}

fn ending(entry: &HistoryEntry) -> String {
    match entry.failure() {
        Some(failure) => format!("failed: {}", failure.message),
        None => format!("{:?}", entry.status()).to_lowercase(),
    }
}

/// Collects what a queue tells, a line each.
fn listen(queue: &Queue) -> Arc<Mutex<Vec<String>>> {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines = heard.clone();
    queue.subscribe(move |event: &QueueEvent<'_>| {
        let line = match event {
            QueueEvent::StatusChanged { remaining } => format!("status {remaining}"),
            QueueEvent::Started { job, at_ms } => format!("started {} at {at_ms}", job.id),
            QueueEvent::Node { job, at_ms, event } => format!("{} at {at_ms}: {event:?}", job.id),
            QueueEvent::Finished { job, entry } => format!("finished {}: {}", job.id, ending(entry)),
            QueueEvent::Released { job } => format!("released {}", job.id),
            QueueEvent::HandedOn { job } => format!("handed on {}", job.id),
            QueueEvent::WorkerLost { reason, left } => format!("lost: {reason}, {left} left"),
            QueueEvent::Trouble { message } => format!("trouble: {message}"),
            QueueEvent::Recovered => "recovered".into(),
        };
        lines.lock().unwrap().push(line);
    });
    heard
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}
