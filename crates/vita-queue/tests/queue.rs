//! Order, numbers, deletion and history, through the public interface.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::IndexMap;
use serde_json::json;
use vita_base::Cancel;
use vita_graph::{End, Observer, Outcome};
use vita_queue::{
    Durability, HistoryLimit, HistoryQuery, Job, Place, Queue, QueueOptions, Runner, Step, Submission, Worker,
};

struct Toy;

impl Runner for Toy {
    fn run(&mut self, _: &Job, _: &Cancel, _: &mut dyn Observer) -> Outcome {
        let ui = json!({"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]});
        Outcome { outputs: IndexMap::from([("9".to_owned(), ui)]), end: End::Success }
    }

    fn free(&mut self, _: bool, _: bool) {}
}

fn submission(id: &str, place: Place) -> Submission {
    let prompt = json!({"9": {"class_type": "Toy", "inputs": {}}});
    Submission { id: id.into(), prompt, extra_data: serde_json::Map::new(), outputs: vec!["9".into()], place }
}

fn open(folder: &std::path::Path) -> Queue {
    let time = AtomicU64::new(1000);
    Queue::open(QueueOptions {
        path: folder.join("queue.sqlite"),
        clock: Arc::new(move || time.fetch_add(1, Ordering::Relaxed)),
        durability: Durability::ProcessKill,
        history_limit: HistoryLimit::default(),
        history_memory_bytes: 1 << 20,
    })
    .unwrap()
}

#[test]
fn prompts_run_by_number_then_id_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    for (id, place) in [("b", Place::Back), ("a", Place::At(0.0)), ("c", Place::Front), ("d", Place::At(-0.5))] {
        queue.submit(submission(id, place)).unwrap();
    }
    drop(queue);
    let queue = open(folder.path());
    let mut worker = Worker::new(queue.clone(), Box::new(Toy));
    while worker.step() != Step::Idle {}
    let done: Vec<String> =
        queue.history(HistoryQuery::default()).unwrap().iter().map(|entry| entry.job.id.to_string()).collect();
    assert_eq!(done, ["c", "d", "a", "b"]);
}
