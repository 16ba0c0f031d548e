//! Order, numbers, deletion and events, through the public interface; history and lists in a file of their own.

mod listing;
mod workers;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use vita_base::Cancel;
use vita_graph::{End, Event, Observer, Outcome};
use vita_queue::{
    Durability, HistoryLimit, HistoryQuery, Job, JobStatus, JobsQuery, Place, Queue, QueueError, QueueEvent,
    QueueOptions, Runner, SortBy, Step, Submission, Worker,
};

/// Ends with the outputs that the prompt itself says; waits to be stopped if it says `wait`; takes the `ms` it says.
struct Toy {
    time_ms: Arc<AtomicU64>,
}

impl Runner for Toy {
    fn run(&mut self, job: &Job, cancel: &Cancel, observer: &mut dyn Observer) -> Outcome {
        let prompt = job.prompt.parse();
        observer.observe(Event::Cached(&["1".to_owned()]));
        self.time_ms.fetch_add(prompt["ms"].as_u64().unwrap_or(0), Ordering::Relaxed);
        while prompt["wait"] == true && !cancel.is_cancelled() {
            std::thread::yield_now();
        }
        let interrupted = End::Interrupted { node: "2".into(), class: "Toy".into(), executed: vec!["1".into()] };
        let end = if cancel.is_cancelled() { interrupted } else { End::Success };
        let outputs = prompt["outputs"].as_object().into_iter().flatten();
        Outcome { outputs: outputs.map(|(id, ui)| (id.clone(), ui.clone())).collect(), end }
    }

    fn free(&mut self, _: bool, _: bool) {}
}

struct Bench {
    folder: TempDir,
    time_ms: Arc<AtomicU64>,
    limit: HistoryLimit,
    history_memory_bytes: usize,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            folder,
            time_ms: Arc::new(AtomicU64::new(1000)),
            limit: HistoryLimit::default(),
            history_memory_bytes: 1 << 20,
        }
    }

    fn open(&self) -> Queue {
        let time_ms = self.time_ms.clone();
        Queue::open(QueueOptions {
            path: self.folder.path().join("queue.sqlite"),
            clock: Arc::new(move || time_ms.fetch_add(1, Ordering::Relaxed)),
            durability: Durability::PowerLoss,
            history_limit: self.limit,
            history_memory_bytes: self.history_memory_bytes,
        })
        .unwrap()
    }

    fn worker(&self, queue: &Queue) -> Worker {
        Worker::new(queue.clone(), Box::new(Toy { time_ms: self.time_ms.clone() }))
    }

    fn drain(&self, queue: &Queue) {
        let mut worker = self.worker(queue);
        while worker.step() != Step::Idle {}
    }
}

fn submission(id: &str, place: Place, prompt: Json) -> Submission {
    Submission { id: id.into(), prompt, extra_data: serde_json::Map::new(), outputs: vec!["2".into()], place }
}

fn submit(queue: &Queue, id: &str, place: Place) -> f64 {
    queue.submit(submission(id, place, json!({}))).unwrap().number
}

fn pending(queue: &Queue) -> String {
    queue.snapshot().pending.iter().map(|job| &*job.id).collect::<Vec<_>>().join(" ")
}

fn history(queue: &Queue, max_items: Option<usize>, offset: Option<usize>) -> String {
    let entries = queue.history(HistoryQuery { max_items, offset }).unwrap();
    entries.iter().map(|entry| &*entry.job.id).collect::<Vec<_>>().join(" ")
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// All entries in full.
fn describe(queue: &Queue) -> Vec<String> {
    queue.history(HistoryQuery::default()).unwrap().iter().map(|entry| format!("{entry:?}")).collect()
}

#[test]
fn numbers_follow_the_counter_and_prompts_their_numbers() {
    let bench = Bench::new();
    let queue = bench.open();
    queue.count_rejected();
    let numbers = [
        ("b", Place::Back, 1.0),
        ("e", Place::At(1.0), 1.0),
        ("c", Place::Front, -2.0),
        ("f", Place::At(-0.5), -0.5),
        ("d", Place::Back, 3.0),
        ("a", Place::Back, 4.0),
    ];
    for (id, place, number) in numbers {
        assert_eq!(submit(&queue, id, place), number, "{id}");
    }
    assert_eq!(pending(&queue), "c f b e d a");
    drop(queue);
    let queue = bench.open();
    assert_eq!(pending(&queue), "c f b e d a");
    assert_eq!(submit(&queue, "late", Place::Front), -5.0);
    assert!(queue.move_to_front("d").unwrap());
    assert!(!queue.move_to_front("nobody").unwrap());
    assert_eq!(submit(&queue, "latest", Place::Front), -7.0);
    assert_eq!(pending(&queue), "latest d late c f b e a");
    bench.drain(&queue);
    assert_eq!(history(&queue, None, None), "latest d late c f b e a");
}

#[test]
fn zero_is_never_negative_and_numbers_are_finite() {
    let bench = Bench::new();
    let queue = bench.open();
    for place in [Place::Front, Place::At(-0.0)] {
        assert!(submit(&queue, "a", place).is_sign_positive());
    }
    for number in [f64::NAN, f64::INFINITY] {
        let refused = queue.submit(submission("a", Place::At(number), json!({})));
        assert!(matches!(refused, Err(QueueError::Number(_))));
    }
    assert!(matches!(queue.submit(submission("", Place::Back, json!({}))), Err(QueueError::EmptyId)));
}

#[test]
fn deletion_takes_pending_prompts_only() {
    let bench = Bench::new();
    let queue = bench.open();
    for id in ["a", "b", "twice", "twice", "c"] {
        submit(&queue, id, Place::Back);
    }
    let mut worker = bench.worker(&queue);
    assert_eq!(worker.step(), Step::Claimed);
    assert_eq!(queue.delete(&ids(&["a", "unknown", "twice"])).unwrap(), 2);
    assert_eq!((pending(&queue).as_str(), queue.remaining()), ("b c", 3));
    assert_eq!(queue.clear().unwrap(), 2);
    assert_eq!((pending(&queue).as_str(), queue.remaining()), ("", 1));
    while worker.step() != Step::Idle {}
    assert_eq!(history(&queue, None, None), "a");
}

#[test]
fn secrets_reach_the_runner_and_nothing_else() {
    struct Reads(mpsc::Sender<Option<Json>>);
    impl Runner for Reads {
        fn run(&mut self, job: &Job, _: &Cancel, _: &mut dyn Observer) -> Outcome {
            let _ = self.0.send(job.secrets.get("api_key_comfy_org").cloned());
            Outcome { outputs: IndexMap::new(), end: End::Success }
        }
        fn free(&mut self, _: bool, _: bool) {}
    }
    let bench = Bench::new();
    let queue = bench.open();
    let mut with_secrets = submission("a", Place::Back, json!({}));
    let extra_data = json!({
        "auth_token_comfy_org": "token-s3cret", "api_key_comfy_org": "key-s3cret",
        "client_id": "session", "extra_pnginfo": {"workflow": {"id": "flow"}},
    });
    with_secrets.extra_data = extra_data.as_object().unwrap().clone();
    queue.submit(with_secrets).unwrap();
    let snapshot = queue.snapshot();
    let job = &snapshot.pending[0];
    assert_eq!((job.client_id.as_deref(), job.workflow_id.as_deref()), (Some("session"), Some("flow")));
    let expected =
        json!({"client_id": "session", "extra_pnginfo": {"workflow": {"id": "flow"}}, "create_time": job.created_ms});
    assert_eq!(job.extra_data.parse(), expected);
    assert!(!format!("{snapshot:?}").contains("s3cret"));
    let (sender, receiver) = mpsc::channel();
    let mut worker = Worker::new(queue.clone(), Box::new(Reads(sender)));
    while worker.step() != Step::Idle {}
    assert_eq!(receiver.recv().unwrap(), Some(json!("key-s3cret")));
    assert!(describe(&queue).iter().all(|entry| !entry.contains("s3cret")));
    drop((worker, queue));
    for file in std::fs::read_dir(bench.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"s3cret"));
    }
}

#[test]
fn events_come_in_order_and_the_history_is_there_before_the_last() {
    let bench = Bench::new();
    let queue = bench.open();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let (lines, reader) = (heard.clone(), queue.clone());
    queue.subscribe(move |event: &QueueEvent<'_>| {
        let line = match event {
            QueueEvent::StatusChanged { remaining } => format!("status {remaining}"),
            QueueEvent::Started { at_ms, .. } => format!("started at {at_ms}"),
            QueueEvent::Node { at_ms, event: Event::Cached(nodes), .. } => format!("cached {nodes:?} at {at_ms}"),
            QueueEvent::Finished { entry, .. } => {
                format!("finished at {}, {}", entry.ended_ms(), history(&reader, None, None))
            }
            other => format!("{other:?}").chars().take_while(char::is_ascii_alphabetic).collect(),
        };
        lines.lock().unwrap().push(line);
    });
    submit(&queue, "a", Place::Back);
    bench.drain(&queue);
    let expected = [
        "status 1",
        "status 1",
        "started at 1002",
        "cached [\"1\"] at 1003",
        "finished at 1004, a",
        "status 0",
        "Released",
    ];
    assert_eq!(*heard.lock().unwrap(), expected);
    let entry = queue.history_entry("a").unwrap().unwrap();
    let times: Vec<u64> = entry.messages.iter().map(vita_queue::Message::timestamp_ms).collect();
    assert_eq!(times, [1002, 1003, 1004]);
}

#[test]
fn a_running_prompt_is_interrupted_by_whoever_or_by_id() {
    let bench = Bench::new();
    let queue = bench.open();
    let thread = queue.spawn_worker(Box::new(Toy { time_ms: bench.time_ms.clone() })).unwrap();
    assert!(!queue.interrupt());
    type Stop = fn(&Queue) -> bool;
    let stops: [(&str, Stop); 3] = [
        ("a", |queue| queue.interrupt()),
        ("b", |queue| !queue.interrupt_job("other") && queue.interrupt_job("b")),
        ("c", |queue| queue.cancel("c").unwrap()),
    ];
    for (id, stop) in stops {
        queue.submit(submission(id, Place::Back, json!({"wait": true, "outputs": {"1": {"text": ["kept"]}}}))).unwrap();
        submit(&queue, "never", Place::Back);
        wait_until(|| !queue.snapshot().running.is_empty());
        assert_eq!(queue.job(id).unwrap().unwrap().summary.status, JobStatus::InProgress);
        assert!(queue.cancel("never").unwrap());
        assert!(stop(&queue));
        wait_until(|| queue.remaining() == 0);
        let entry = queue.history_entry(id).unwrap().unwrap();
        assert_eq!((entry.status(), entry.status_text(), entry.completed()), (JobStatus::Cancelled, "error", false));
        assert_eq!(entry.outputs["1"]["text"][0], "kept");
        assert_eq!(entry.meta().map(|meta| meta.real_node_id.to_owned()).collect::<Vec<_>>(), ["1"]);
    }
    assert!(!queue.cancel("never").unwrap());
    queue.close();
    thread.join();
}

#[test]
fn a_paused_queue_begins_nothing_also_after_a_restart() {
    let bench = Bench::new();
    let queue = bench.open();
    queue.set_paused(true).unwrap();
    submit(&queue, "a", Place::Back);
    bench.drain(&queue);
    assert_eq!(pending(&queue), "a");
    drop(queue);
    let queue = bench.open();
    let thread = queue.spawn_worker(Box::new(Toy { time_ms: bench.time_ms.clone() })).unwrap();
    assert!(queue.snapshot().paused);
    queue.set_paused(false).unwrap();
    wait_until(|| queue.remaining() == 0);
    assert_eq!(history(&queue, None, None), "a");
    queue.close();
    thread.join();
}

#[test]
fn memory_is_freed_between_prompts() {
    struct Frees(mpsc::Sender<String>);
    impl Runner for Frees {
        fn run(&mut self, job: &Job, _: &Cancel, _: &mut dyn Observer) -> Outcome {
            let _ = self.0.send(job.id.to_string());
            Outcome { outputs: IndexMap::new(), end: End::Success }
        }
        fn free(&mut self, unload_models: bool, free_memory: bool) {
            let _ = self.0.send(format!("{unload_models} {free_memory}"));
        }
    }
    let bench = Bench::new();
    let queue = bench.open();
    let (sender, receiver) = mpsc::channel();
    let mut worker = Worker::new(queue.clone(), Box::new(Frees(sender)));
    submit(&queue, "a", Place::Back);
    submit(&queue, "b", Place::Back);
    assert_eq!(worker.step(), Step::Claimed);
    queue.free(true, false);
    queue.free(false, true);
    while worker.step() != Step::Idle {}
    queue.free(true, false);
    assert_eq!((worker.step(), worker.step()), (Step::Freed, Step::Idle));
    drop(worker);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), ["a", "true true", "b", "true false"]);
}

#[test]
fn snapshots_are_shared_until_something_changes() {
    let bench = Bench::new();
    let queue = bench.open();
    submit(&queue, "a", Place::Back);
    let first = queue.snapshot();
    assert!(Arc::ptr_eq(&first, &queue.snapshot()));
    submit(&queue, "b", Place::Back);
    let second = queue.snapshot();
    assert!(first.version < second.version);
    assert_eq!((first.pending.len(), second.pending.len()), (1, 2));
}

#[test]
fn a_missing_folder_is_named() {
    let options = QueueOptions {
        path: Path::new("/nonexistent/folder/queue.sqlite").into(),
        clock: Arc::new(|| 0),
        durability: Durability::ProcessKill,
        history_limit: HistoryLimit::default(),
        history_memory_bytes: 0,
    };
    let error = Queue::open(options).unwrap_err().to_string();
    assert!(error.starts_with("cannot open the queue in `/nonexistent/folder/queue.sqlite`: "), "{error}");
}

fn wait_until(mut reached: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if reached() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("waited ten seconds");
}
