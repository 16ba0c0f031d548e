//! The process ends at each named point; what is found at the next start.

use super::*;
use crate::QueueError;
use crate::store::Operation;

/// Does one of everything; after the crash nothing more has an effect.
fn everything(bench: &Bench, queue: &Queue) -> Vec<Result<(), QueueError>> {
    let mut worker = bench.worker(queue);
    let mut results: Vec<Result<(), QueueError>> =
        ["a", "b", "c"].map(|id| queue.submit(submission(id, Place::Back)).map(drop)).into();
    results.push(queue.move_to_front("c").map(drop));
    results.push(queue.delete(&ids(&["b"])).map(drop));
    let steps = [worker.step(), worker.step(), worker.step(), worker.step()];
    results.push(if steps.contains(&Step::Closed) { Err(QueueError::Closed) } else { Ok(()) });
    results.push(queue.set_paused(true));
    results.push(queue.delete_history(&ids(&["c"])).map(drop));
    results
}

#[test]
fn a_crash_at_any_point_loses_nothing_accepted_and_repeats_nothing_finished() {
    use Operation::*;
    use Point::*;
    // At which point; what is there at the next start; what then runs, after what ran before the crash.
    let cases = [
        (Before(Submit), "", "", ""),
        (After(Submit), "pending a(0)", "", "a"),
        (Before(Renumber), "pending a(0) b(1) c(2)", "", "a b c"),
        (After(Renumber), "pending c(-3) a(0) b(1)", "", "c a b"),
        (Before(Delete), "pending c(-3) a(0) b(1)", "", "c a b"),
        (After(Delete), "pending c(-3) a(0)", "", "c a"),
        (Before(Claim), "pending c(-3) a(0)", "", "c a"),
        (After(Claim), "pending c(-3) a(0)", "", "c a"),
        (Before(Finish), "pending c(-3) a(0)", "c", "c a"),
        (After(Finish), "pending a(0)\nhistory c(-3) completed", "c", "a"),
        (Before(Pause), "pending a(0)\nhistory c(-3) completed", "c", "a"),
        (After(Pause), "paused\npending a(0)\nhistory c(-3) completed", "c", "a"),
        (Before(Forget), "paused\npending a(0)\nhistory c(-3) completed", "c", "a"),
        (After(Forget), "paused\npending a(0)", "c", "a"),
    ];
    for (point, found, ran_before, ran_after) in cases {
        let bench = Bench::new();
        let queue = bench.open();
        bench.set_fault(point, Verdict::Die);
        let results = everything(&bench, &queue);
        assert!(matches!(results.last(), Some(Err(QueueError::Closed))), "{point:?}: {results:?}");
        drop(queue);
        assert_eq!(bench.take_ran(), ran_before, "{point:?}");

        let queue = bench.open();
        assert_eq!(picture(&queue), found, "{point:?}");
        queue.set_paused(false).unwrap();
        drain(&mut bench.worker(&queue));
        assert_eq!(bench.take_ran(), ran_after, "{point:?}");
        assert_eq!(queue.remaining(), 0, "{point:?}");
    }
}

#[test]
fn without_a_crash_everything_is_done_and_a_restart_finds_it() {
    let bench = Bench::new();
    let queue = bench.open();
    let results = everything(&bench, &queue);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(picture(&queue), "paused\nrunning a(0)");
    drop(queue);
    assert_eq!(picture(&bench.open()), "paused\npending a(0)");
}

#[test]
fn what_ran_twice_into_the_end_of_the_process_is_given_up() {
    let bench = Bench::new();
    for (found, next) in [
        ("", "a"),
        ("pending a(0) b(1)", "a"),
        ("pending b(1)\nhistory a(0) failed: the process ended twice while this prompt ran", "b"),
    ] {
        let queue = bench.open();
        assert_eq!(picture(&queue), found);
        if found.is_empty() {
            queue.submit(submission("a", Place::Back)).unwrap();
            queue.submit(submission("b", Place::Back)).unwrap();
        }
        let mut worker = bench.worker(&queue);
        assert_eq!((worker.step(), worker.step()), (Step::Claimed, Step::Ran));
        assert_eq!(bench.take_ran(), next);
    }
    let queue = bench.open();
    let entry = queue.history_entry("a").unwrap().unwrap();
    assert_eq!((entry.status_text(), entry.messages.len()), ("error", 2));
    assert_eq!(entry.failure().unwrap().kind, "ProcessEnded");
}

#[test]
fn what_was_cut_short_goes_before_what_came_to_the_front_meanwhile() {
    let bench = Bench::new();
    let queue = bench.open();
    queue.submit(submission("a", Place::Back)).unwrap();
    assert_eq!(bench.worker(&queue).step(), Step::Claimed);
    queue.submit(submission("front", Place::Front)).unwrap();
    drop(queue);
    for _ in 0..2 {
        // Also after a start at which it did not get to run.
        assert_eq!(picture(&bench.open()), "pending a(0) front(-1)");
    }
}

#[test]
fn closing_gives_the_prompt_back_and_does_not_count_against_it() {
    let bench = Bench::new();
    bench.open().submit(submission("a", Place::Back)).unwrap();
    for _ in 0..5 {
        let queue = bench.open();
        let mut worker = bench.worker(&queue);
        assert_eq!(worker.step(), Step::Claimed);
        queue.close();
        assert_eq!((worker.step(), worker.step()), (Step::Returned, Step::Closed));
        assert_eq!(picture(&queue), "pending a(0)");
        assert!(matches!(queue.submit(submission("late", Place::Back)), Err(QueueError::Closed)));
    }
    let queue = bench.open();
    drain(&mut bench.worker(&queue));
    assert_eq!(picture(&queue), "history a(0) completed");
}

#[test]
fn a_crash_while_recovering_is_recovered_from() {
    let bench = Bench::new();
    let queue = bench.open();
    queue.submit(submission("a", Place::Back)).unwrap();
    assert_eq!(bench.worker(&queue).step(), Step::Claimed);
    drop(queue);
    for point in [Point::Before(Operation::Recover), Point::After(Operation::Recover)] {
        bench.set_fault(point, Verdict::Die);
        assert!(bench.try_open().is_err());
    }
    assert_eq!(picture(&bench.open()), "pending a(0)");
}

#[test]
fn only_one_process_has_the_queue_and_newer_formats_are_left_alone() {
    let bench = Bench::new();
    let queue = bench.open();
    assert!(matches!(bench.try_open(), Err(QueueError::InUse { .. })));
    set_pragma(&queue, "user_version", 7);
    drop(queue);
    let error = bench.try_open().unwrap_err().to_string();
    assert!(error.ends_with("has format 7; this program knows formats up to 1"), "{error}");
    std::fs::write(bench.folder.path().join("queue.sqlite"), "not a database, however long it may be".repeat(100))
        .unwrap();
    assert!(matches!(bench.try_open(), Err(QueueError::Open { .. })));
}

/// Has two workers begin a prompt each, then ends the process; says what is there at the next start.
fn crash_with_two(bench: &Bench) -> String {
    let queue = bench.open();
    let mut workers = [bench.worker(&queue), bench.worker(&queue)];
    for worker in &mut workers {
        worker.step();
    }
    drop((queue, workers));
    picture(&bench.open())
}

#[test]
fn two_prompts_that_ran_come_back_and_neither_pays_for_the_other() {
    let bench = Bench::new();
    let queue = bench.open();
    for id in ["a", "b", "c"] {
        queue.submit(submission(id, Place::Back)).unwrap();
    }
    drop(queue);
    assert_eq!(crash_with_two(&bench), "pending a(0) b(1) c(2)");
    assert_eq!(crash_with_two(&bench), "pending a(0) b(1) c(2)");
    // Both were begun twice; from now on they have no company, so that the guilty one shows.
    let queue = bench.open();
    let mut workers = [bench.worker(&queue), bench.worker(&queue)];
    assert_eq!(workers.each_mut().map(Worker::step), [Step::Claimed, Step::Idle]);
    assert_eq!(picture(&queue), "running a(0)\npending b(1) c(2)");
    drop((queue, workers));
    let failed = "history a(0) failed: the process ended 3 times while this prompt ran";
    assert_eq!(picture(&bench.open()), format!("pending b(1) c(2)\n{failed}"));

    let queue = bench.open();
    let mut workers = [bench.worker(&queue), bench.worker(&queue)];
    assert_eq!(workers.each_mut().map(Worker::step), [Step::Claimed, Step::Idle]);
    assert_eq!((workers[0].step(), workers[0].step()), (Step::Ran, Step::Finished));
    assert_eq!(workers.each_mut().map(Worker::step), [Step::Claimed, Step::Idle]);
    drain(&mut workers[0]);
    assert_eq!(picture(&queue), format!("{failed}\nhistory b(1) completed\nhistory c(2) completed"));
}

#[test]
fn two_prompts_are_given_back_where_the_queue_closes() {
    let bench = Bench::new();
    let queue = bench.open();
    for id in ["a", "b", "c"] {
        queue.submit(submission(id, Place::Back)).unwrap();
    }
    let mut workers = [bench.worker(&queue), bench.worker(&queue)];
    assert_eq!(workers.each_mut().map(Worker::step), [Step::Claimed; 2]);
    assert_eq!(picture(&queue), "running a(0) b(1)\npending c(2)");
    queue.close();
    assert_eq!(workers.each_mut().map(Worker::step), [Step::Returned; 2]);
    drop((queue, workers));
    assert_eq!(picture(&bench.open()), "pending a(0) b(1) c(2)");
}
