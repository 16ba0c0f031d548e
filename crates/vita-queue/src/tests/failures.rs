//! The disk is full or read-only; runs panic. The server lives.

use super::*;
use crate::store::Operation;
use crate::{JobStatus, QueueError};

fn is_full(result: &Result<impl Sized, QueueError>) -> bool {
    matches!(result, Err(QueueError::Write { full: true, .. }))
}

#[test]
fn what_cannot_be_written_is_refused_and_changes_nothing() {
    let bench = Bench::new();
    let queue = bench.open();
    queue.submit(submission("done", Place::Back)).unwrap();
    drain(&mut bench.worker(&queue));
    queue.submit(submission("a", Place::Back)).unwrap();
    queue.submit(submission("b", Place::Back)).unwrap();
    let before = picture(&queue);
    type Attempt = fn(&Queue) -> bool;
    let attempts: [(Operation, Attempt); 6] = [
        (Operation::Submit, |queue| is_full(&queue.submit(submission("c", Place::Back)))),
        (Operation::Delete, |queue| is_full(&queue.delete(&ids(&["a"])))),
        (Operation::Delete, |queue| is_full(&queue.clear())),
        (Operation::Renumber, |queue| is_full(&queue.move_to_front("b"))),
        (Operation::Pause, |queue| is_full(&queue.set_paused(true))),
        (Operation::Forget, |queue| is_full(&queue.clear_history())),
    ];
    for (operation, attempt) in attempts {
        bench.set_fault(Point::Before(operation), Verdict::Fail);
        assert!(attempt(&queue), "{operation:?}");
        assert_eq!(picture(&queue), before, "{operation:?}");
        assert!(queue.trouble().is_some(), "{operation:?}");
        retry(&queue);
        assert_eq!(queue.trouble(), None, "{operation:?}");
    }
    drop(queue);
    assert_eq!(picture(&bench.open()), before);
}

#[test]
fn a_prompt_whose_beginning_cannot_be_written_waits() {
    let bench = Bench::new();
    let queue = bench.open();
    let heard = listen(&queue);
    queue.submit(submission("a", Place::Back)).unwrap();
    bench.set_fault(Point::Before(Operation::Claim), Verdict::Fail);
    let mut worker = bench.worker(&queue);
    assert_eq!((worker.step(), worker.step()), (Step::Held, Step::Claimed));
    let told = heard.lock().unwrap().join("; ");
    assert!(told.starts_with("status 1; trouble: the queue cannot be written (database or disk is full)"), "{told}");
    assert!(told.ends_with("recovered; status 1; started a at 1003"), "{told}");
}

#[test]
fn a_result_that_cannot_be_written_stays_in_memory_until_it_can() {
    let bench = Bench::new();
    let queue = bench.open();
    let mut worker = bench.worker(&queue);
    for id in ["a", "a", "b"] {
        queue.submit(submission(id, Place::Back)).unwrap();
    }
    drain_steps(&mut worker, 3);
    // SQLite itself refuses from here on.
    assert_eq!(worker.step(), Step::Claimed);
    set_pragma(&queue, "query_only", 1);
    assert_eq!((worker.step(), worker.step()), (Step::Ran, Step::Finished));
    assert_eq!(picture(&queue), "pending b(2)\nhistory a(1) completed");
    assert!(queue.trouble().unwrap().contains("readonly"), "{:?}", queue.trouble());
    assert_eq!((worker.step(), worker.step()), (Step::Held, Step::Held));
    let refused = queue.submit(submission("c", Place::Back)).unwrap_err();
    assert!(refused.to_string().contains("attempt to write a readonly database"), "{refused}");
    assert!(matches!(queue.delete_history(&ids(&["a"])), Err(QueueError::Write { full: false, .. })));

    set_pragma(&queue, "query_only", 0);
    assert_eq!(worker.step(), Step::Claimed);
    drain(&mut worker);
    assert_eq!(queue.trouble(), None);
    drop((queue, worker));
    assert_eq!(picture(&bench.open()), "history a(1) completed\nhistory b(2) completed");
}

#[test]
fn an_unwritten_result_can_be_deleted() {
    let bench = Bench::new();
    let queue = bench.open();
    let mut worker = bench.worker(&queue);
    queue.submit(submission("a", Place::Back)).unwrap();
    bench.set_fault(Point::Before(Operation::Finish), Verdict::Fail);
    drain(&mut worker);
    assert_eq!(picture(&queue), "history a(0) completed");
    queue.clear_history().unwrap();
    drop((queue, worker));
    assert_eq!(picture(&bench.open()), "");
}

#[test]
fn a_full_disk_refuses_large_prompts_and_lets_the_queue_go_on() {
    let bench = Bench::new();
    let queue = bench.open();
    queue.submit(submission("a", Place::Back)).unwrap();
    set_pragma(&queue, "max_page_count", 16);
    let mut large = submission("large", Place::Back);
    large.prompt = json!("x".repeat(1 << 20));
    assert!(is_full(&queue.submit(large)));
    drain(&mut bench.worker(&queue));
    assert_eq!(picture(&queue), "history a(0) completed");
}

#[test]
fn a_cleared_history_gives_its_space_back() {
    let bench = Bench::new();
    let queue = bench.open();
    for id in ["a", "b"] {
        let mut large = submission(id, Place::Back);
        large.prompt = json!("x".repeat(1 << 20));
        queue.submit(large).unwrap();
    }
    drain(&mut bench.worker(&queue));
    let pages = |queue: &Queue| queue.call(|keeper| Ok(keeper.store().pragma("page_count"))).unwrap();
    let before = pages(&queue);
    queue.clear_history().unwrap();
    assert!(before > 500 && pages(&queue) < 32, "{before} pages became {}", pages(&queue));
}

#[test]
fn a_panic_ends_the_prompt_and_not_the_worker() {
    let bench = Bench::new();
    let queue = bench.open();
    for id in ["panic", "stop", "fine"] {
        queue.submit(submission(id, Place::Back)).unwrap();
    }
    drain(&mut bench.worker(&queue));
    assert_eq!(bench.take_ran(), "panic free(true,true) stop fine");
    let expected = "history panic(0) failed: the program met an error of its own: asked to panic\n\
        history stop(1) cancelled\nhistory fine(2) completed";
    assert_eq!(picture(&queue), expected);
    assert_eq!(queue.job("panic").unwrap().unwrap().summary.status, JobStatus::Failed);
    drop(queue);
    assert_eq!(picture(&bench.open()), expected);
}

fn drain_steps(worker: &mut Worker, count: usize) {
    for _ in 0..count {
        worker.step();
    }
}
