//! A process with a queue is killed again and again at random moments; nothing accepted is lost, nothing that was
//! told finished runs again, and nothing runs out of order; the same with two workers.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::json;
use vita_base::Cancel;
use vita_graph::{End, Observer, Outcome};
use vita_queue::{
    Durability, HistoryLimit, HistoryQuery, Job, Place, Queue, QueueEvent, QueueOptions, Runner, Step, Submission,
    Worker, WorkerThread,
};

/// Set for the process that is killed: its folder, which life it is, and how many workers it has.
const FOLDER: &str = "VITA_QUEUE_KILLED_FOLDER";
const WORKERS: &str = "VITA_QUEUE_KILLED_WORKERS";
const LIFE: &str = "VITA_QUEUE_KILLED_LIFE";

#[test]
fn nothing_is_lost_or_runs_out_of_order_in_fifty_kills() {
    kill(50, 1);
}

#[test]
fn nothing_is_lost_with_two_workers() {
    kill(20, 2);
}

fn kill(kills: u64, workers: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(0x5eed);
    for life in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(LIFE, life.to_string())
            .env(WORKERS, workers.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // From before the queue is open to well into its work.
        thread::sleep(Duration::from_millis(5 + random.below(200)));
        assert!(child.try_wait().unwrap().is_none(), "the process of life {life} ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let queue = open(folder.path());
    let left = queue.remaining();
    let mut worker = Worker::new(queue.clone(), Box::new(Toy(log(folder.path()))));
    while worker.step() != Step::Idle {}
    println!("{kills} kills of {workers} workers:");
    judge(&queue, &std::fs::read_to_string(folder.path().join("log")).unwrap(), left, workers == 1);
}

/// The process that is killed: submits from four threads and runs what it can.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let life = std::env::var(LIFE).unwrap();
    let queue = open(&folder);
    let finished = log(&folder);
    queue.subscribe(move |event: &QueueEvent<'_>| {
        if let QueueEvent::Finished { job, .. } = event {
            finished.line("finished", &job.id, job.number);
        }
    });
    let workers: usize = std::env::var(WORKERS).unwrap().parse().unwrap();
    let workers: Vec<_> = (0..workers).map(|_| queue.spawn_worker(Box::new(Toy(log(&folder)))).unwrap()).collect();
    for submitter in 0..4 {
        let (queue, life, accepted) = (queue.clone(), life.clone(), log(&folder));
        thread::spawn(move || {
            for index in 0.. {
                while queue.remaining() > 40 {
                    thread::sleep(Duration::from_millis(1));
                }
                let id = format!("{life}-{submitter}-{index}");
                let prompt = json!({"1": {"class_type": "Toy", "inputs": {"text": "x".repeat(index % 7 * 700)}}});
                let (extra_data, outputs) = (serde_json::Map::new(), vec!["1".into()]);
                let ticket = queue.submit(Submission { id, prompt, extra_data, outputs, place: Place::Back }).unwrap();
                accepted.line("accepted", &ticket.id, ticket.number);
            }
        });
    }
    workers.into_iter().for_each(WorkerThread::join);
}

/// Holds what is in the history against what processes wrote down before they were killed.
fn judge(queue: &Queue, log: &str, left: usize, in_order: bool) {
    let mut accepted = HashSet::new();
    let mut finished = HashSet::new();
    let mut begun: HashMap<&str, usize> = HashMap::new();
    for line in log.lines() {
        let [what, id, _number] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("a torn line `{line}`") };
        match what {
            "accepted" => drop(accepted.insert(id)),
            "finished" => drop(finished.insert(id)),
            _ => {
                assert!(!finished.contains(id), "{id} ran again after it was told finished");
                *begun.entry(id).or_default() += 1;
            }
        }
    }
    let history = queue.history(HistoryQuery::default()).unwrap();
    let known: HashSet<&str> = history.iter().map(|entry| &*entry.job.id).collect();
    assert_eq!(known.len(), history.len(), "an id is in the history twice");
    for id in accepted.iter().chain(&finished) {
        assert!(known.contains(id), "{id} was accepted and is lost");
    }
    for pair in history.windows(2).filter(|_| in_order) {
        let [first, second] = [&pair[0].job, &pair[1].job];
        assert!(first.number < second.number, "{} ran before {}", first.id, second.id);
    }
    let mut given_up = 0;
    for entry in &history {
        let times = begun.get(&*entry.job.id).copied().unwrap_or(0);
        if entry.completed() {
            // Once more where it had company when the process ended.
            assert!((1..=2 + usize::from(!in_order)).contains(&times), "{} began {times} times", entry.job.id);
        } else {
            let message = &entry.failure().unwrap().message;
            assert!(message.starts_with("the process ended ") && times >= 2, "{message} after {times}");
            given_up += 1;
        }
    }
    let again = begun.values().filter(|times| **times > 1).count();
    println!(
        "{} accepted, {} in the history, {again} began again, {given_up} given up, {left} left at the end",
        accepted.len(),
        history.len()
    );
    assert!(accepted.len() > 200, "too little happened to show anything: {} accepted", accepted.len());
    assert!(again > 0, "no kill met a running prompt");
}

/// Writes down that it began; most prompts end at once, some take long enough to be killed in.
struct Toy(Log);

impl Runner for Toy {
    fn run(&mut self, job: &Job, _: &Cancel, _: &mut dyn Observer) -> Outcome {
        self.0.line("began", &job.id, job.number);
        let pause = if job.sequence.is_multiple_of(16) { 25 } else { 1 };
        thread::sleep(Duration::from_millis(pause));
        Outcome { outputs: IndexMap::new(), end: End::Success }
    }

    fn free(&mut self, _: bool, _: bool) {}
}

/// A file that several threads append to, a line a write, so that a kill tears none.
#[derive(Clone)]
struct Log(Arc<File>);

impl Log {
    fn line(&self, what: &str, id: &str, number: f64) {
        (&*self.0).write_all(format!("{what} {id} {number}\n").as_bytes()).unwrap();
    }
}

fn log(folder: &Path) -> Log {
    Log(Arc::new(File::options().create(true).append(true).open(folder.join("log")).unwrap()))
}

fn open(folder: &Path) -> Queue {
    let time_ms = AtomicU64::new(0);
    Queue::open(QueueOptions {
        path: folder.join("queue.sqlite"),
        clock: Arc::new(move || time_ms.fetch_add(1, Ordering::Relaxed)),
        durability: Durability::ProcessKill,
        history_limit: HistoryLimit::default(),
        history_memory_bytes: 1 << 20,
    })
    .unwrap()
}

/// xorshift64*, so that every run kills at the same delays.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}
