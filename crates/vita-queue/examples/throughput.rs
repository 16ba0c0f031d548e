//! Measures how many tiny prompts a second a queue accepts and finishes, with the clock of the machine.
//!
//! `cargo run --release -p vita-queue --example throughput -- [power|kill] [threads] [prompts per thread] [folder]`
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indexmap::IndexMap;
use serde_json::json;
use vita_base::Cancel;
use vita_graph::{End, Event, Observer, Outcome};
use vita_queue::{Durability, HistoryLimit, Job, JobsQuery, Place, Queue, QueueOptions, Runner, Submission};

/// Does nothing but what every run does: parse the prompt, tell of each node, have something for the page.
struct Tiny;

impl Runner for Tiny {
    fn run(&mut self, job: &Job, _: &Cancel, observer: &mut dyn Observer) -> Outcome {
        let prompt = job.prompt.parse();
        observer.observe(Event::Cached(&[]));
        for node in prompt.as_object().into_iter().flat_map(|nodes| nodes.keys()) {
            observer.observe(Event::Started { node });
            observer.observe(Event::Finished { node });
        }
        let ui = json!({"images": [{"filename": "tiny_00001_.png", "subfolder": "", "type": "temp"}]});
        Outcome { outputs: IndexMap::from([("2".to_owned(), ui)]), end: End::Success }
    }

    fn free(&mut self, _: bool, _: bool) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let durability = match arguments.next().as_deref() {
        Some("power") => Durability::PowerLoss,
        None | Some("kill") => Durability::ProcessKill,
        Some(other) => return Err(format!("`{other}` is neither `kill` nor `power`").into()),
    };
    let threads: usize = arguments.next().map_or(Ok(8), |text| text.parse())?;
    let count: usize = arguments.next().map_or(Ok(1000), |text| text.parse())?;
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(parent)?;
    let queue = Queue::open(options(folder.path().join("queue.sqlite"), durability))?;
    let worker = queue.spawn_worker(Box::new(Tiny))?;

    let begin = Instant::now();
    let clients: Vec<_> = (0..threads)
        .map(|thread| {
            let queue = queue.clone();
            thread::spawn(move || (0..count).try_for_each(|index| queue.submit(tiny(thread, index)).map(drop)))
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| "a client thread panicked")??;
    }
    let accepted = begin.elapsed().as_secs_f64();
    while queue.remaining() > 0 {
        thread::sleep(Duration::from_millis(1));
    }
    let done = begin.elapsed().as_secs_f64();
    let total = (threads * count) as f64;
    println!("{durability:?}, {threads} threads, {total} prompts");
    println!("accepted {:>9.0} a second, done {:>9.0} a second", total / accepted, total / done);

    let begin = Instant::now();
    let reads = 200_000;
    for _ in 0..reads {
        std::hint::black_box(queue.snapshot());
    }
    println!("snapshot {:>9.0} a second", f64::from(reads) / begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    let page = queue.jobs(&JobsQuery { limit: Some(64), ..JobsQuery::default() });
    println!("page of {} of {} jobs in {:.2} ms", page.jobs.len(), page.total, begin.elapsed().as_secs_f64() * 1e3);
    queue.close();
    worker.join();
    drop(queue);
    let mut fastest_ms = f64::INFINITY;
    for _ in 0..5 {
        let begin = Instant::now();
        let queue = Queue::open(options(folder.path().join("queue.sqlite"), durability))?;
        fastest_ms = fastest_ms.min(begin.elapsed().as_secs_f64() * 1e3);
        drop(queue);
    }
    println!("opened again in {fastest_ms:.2} ms at best");
    Ok(())
}

fn options(path: PathBuf, durability: Durability) -> QueueOptions {
    let now_ms = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64);
    QueueOptions {
        path,
        clock: Arc::new(now_ms),
        durability,
        history_limit: HistoryLimit::default(),
        history_memory_bytes: 8 << 20,
    }
}

fn tiny(thread: usize, index: usize) -> Submission {
    let prompt = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": index}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    });
    let extra_data = json!({"client_id": format!("client-{thread}")}).as_object().cloned().unwrap_or_default();
    let id = format!("{thread:08x}-0000-4000-8000-{index:012x}");
    Submission { id, prompt, extra_data, outputs: vec!["2".into()], place: Place::Back }
}
