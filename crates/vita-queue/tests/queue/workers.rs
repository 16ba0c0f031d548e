//! Several workers of one queue: each prompt runs once, in order, and what is asked of the queue reaches all of them.

use std::sync::Barrier;

use vita_queue::WorkerThread;

use super::*;

/// What workers did: which one, what.
type Log = Arc<Mutex<Vec<(usize, String)>>>;

/// Notes what it runs. The first two prompts wait for each other; `wait...` waits to be stopped; `fail...` panics.
struct Numbered {
    number: usize,
    log: Log,
    together: Arc<Barrier>,
}

impl Runner for Numbered {
    fn run(&mut self, job: &Job, cancel: &Cancel, _: &mut dyn Observer) -> Outcome {
        self.log.lock().unwrap().push((self.number, job.id.to_string()));
        if job.sequence <= 2 {
            self.together.wait();
        }
        while job.id.starts_with("wait") && !cancel.is_cancelled() {
            std::thread::yield_now();
        }
        assert!(!job.id.starts_with("fail"), "asked to panic");
        let interrupted = End::Interrupted { node: "2".into(), class: "Toy".into(), executed: Vec::new() };
        let end = if cancel.is_cancelled() { interrupted } else { End::Success };
        Outcome { outputs: IndexMap::new(), end }
    }

    fn free(&mut self, unload_models: bool, free_memory: bool) {
        self.log.lock().unwrap().push((self.number, format!("free {unload_models} {free_memory}")));
    }
}

fn two_workers(queue: &Queue) -> (Log, Vec<WorkerThread>) {
    let (log, together) = (Log::default(), Arc::new(Barrier::new(2)));
    let worker = |number| Numbered { number, log: log.clone(), together: together.clone() };
    let threads = [0, 1].map(|number| queue.spawn_worker(Box::new(worker(number))).unwrap());
    (log, threads.into())
}

fn end(queue: &Queue, threads: Vec<WorkerThread>) {
    queue.close();
    threads.into_iter().for_each(WorkerThread::join);
}

#[test]
fn forty_prompts_run_once_each_in_order_on_both() {
    let bench = Bench::new();
    let queue = bench.open();
    queue.set_paused(true).unwrap();
    for index in 0..40 {
        submit(&queue, &format!("{}{index}", if index % 7 == 6 { "fail" } else { "p" }), Place::Back);
    }
    let (running_most, counted) = (Arc::new(AtomicU64::new(0)), queue.clone());
    let most = running_most.clone();
    queue.subscribe(move |event: &QueueEvent<'_>| {
        if let QueueEvent::Started { .. } = event {
            most.fetch_max(counted.snapshot().running.len() as u64, Ordering::Relaxed);
        }
    });
    let (log, threads) = two_workers(&queue);
    queue.set_paused(false).unwrap();
    wait_until(|| queue.remaining() == 0);
    end(&queue, threads);

    let log = std::mem::take(&mut *log.lock().unwrap());
    let mut ran: Vec<_> = log.iter().filter(|(_, what)| !what.starts_with("free")).collect();
    assert!([0, 1].iter().all(|worker| ran.iter().any(|(other, _)| other == worker)), "both work: {ran:?}");
    ran.sort_by(|a, b| a.1.cmp(&b.1));
    ran.dedup_by(|a, b| a.1 == b.1);
    assert_eq!((log.len() - 5, ran.len()), (40, 40), "each once, and memory is freed after each of five panics");
    assert_eq!(running_most.load(Ordering::Relaxed), 2);

    let mut entries = queue.history(HistoryQuery::default()).unwrap();
    assert_eq!(entries.len(), 40);
    entries.sort_by_key(|entry| entry.started_ms());
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry.job.number, index as f64, "they begin in the queue's order");
        let status = if index % 7 == 6 { JobStatus::Failed } else { JobStatus::Completed };
        assert_eq!(entry.status(), status, "{}", entry.job.id);
    }
}

#[test]
fn an_interruption_is_for_all_or_for_one() {
    let bench = Bench::new();
    let queue = bench.open();
    let (_, threads) = two_workers(&queue);
    for id in ["wait1", "wait2", "wait3"] {
        submit(&queue, id, Place::Back);
    }
    let running = || queue.snapshot().running.iter().map(|job| job.id.to_string()).collect::<Vec<_>>().join(" ");
    wait_until(|| running() == "wait1 wait2");
    assert_eq!((pending(&queue).as_str(), queue.remaining()), ("wait3", 3));
    assert_eq!(queue.job("wait2").unwrap().unwrap().summary.status, JobStatus::InProgress);
    assert!(queue.interrupt_job("wait1") && !queue.interrupt_job("wait3"));
    wait_until(|| running() == "wait2 wait3");
    assert_eq!(history(&queue, None, None), "wait1");
    assert!(queue.interrupt());
    wait_until(|| queue.remaining() == 0);
    assert!(!queue.interrupt());
    let entries = queue.history(HistoryQuery::default()).unwrap();
    assert!(entries.iter().all(|entry| entry.status() == JobStatus::Cancelled), "{entries:?}");
    end(&queue, threads);
}

#[test]
fn every_worker_frees_memory_that_was_asked_for() {
    let bench = Bench::new();
    let queue = bench.open();
    let (log, threads) = two_workers(&queue);
    queue.free(true, false);
    wait_until(|| log.lock().unwrap().len() == 2);
    end(&queue, threads);
    let mut log = log.lock().unwrap().clone();
    log.sort();
    assert_eq!(log, [(0, "free true false".to_owned()), (1, "free true false".to_owned())]);
}
