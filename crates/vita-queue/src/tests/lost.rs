//! A worker that can run nothing more: its prompt goes to another, and the queue says so where there is none.

use super::*;
use crate::QueueError;

/// Fails every prompt from the `lives`-th on, and says then that its card is gone.
struct OnCard {
    lives: usize,
    ran: Arc<Mutex<Vec<String>>>,
}

impl Runner for OnCard {
    fn run(&mut self, job: &Job, _: &Cancel, _: &mut dyn Observer) -> Outcome {
        self.ran.lock().unwrap().push(job.id.to_string());
        if self.lives == 0 {
            return crate::stored::failed_prompt("RuntimeError", "the launch failed".into());
        }
        self.lives -= 1;
        match job.id.starts_with("bad") {
            true => crate::stored::failed_prompt("ValueError", "no such file".into()),
            false => Outcome { outputs: IndexMap::new(), end: End::Success },
        }
    }

    fn lost(&mut self) -> Option<String> {
        (self.lives == 0).then(|| "the card is gone".to_owned())
    }

    fn free(&mut self, _: bool, _: bool) {}
}

fn worker(bench: &Bench, queue: &Queue, lives: usize) -> Worker {
    Worker::new(queue.clone(), Box::new(OnCard { lives, ran: bench.ran.clone() }))
}

#[test]
fn a_prompt_goes_to_the_next_worker_once_and_the_rest_waits_for_a_start() {
    let bench = Bench::new();
    let queue = bench.open();
    for id in ["bad", "a", "b", "c", "d"] {
        queue.submit(submission(id, Place::Back)).unwrap();
    }
    let heard = listen(&queue);
    let mut workers = [worker(&bench, &queue, 2), worker(&bench, &queue, 1), worker(&bench, &queue, 9)];
    let [first, second, third] = &mut workers;
    // A prompt that fails for a reason of its own costs no worker.
    assert_eq!([first.step(), first.step(), first.step()], [Step::Claimed, Step::Ran, Step::Finished]);
    assert_eq!([first.step(), first.step(), first.step()], [Step::Claimed, Step::Ran, Step::Finished]);
    assert_eq!([first.step(), first.step(), first.step()], [Step::Claimed, Step::HandedOn, Step::Closed]);
    assert_eq!(picture(&queue), "pending b(2) c(3) d(4)\nhistory bad(0) failed: no such file\nhistory a(1) completed");
    let told = heard.lock().unwrap().join("; ");
    assert!(told.ends_with("lost: the card is gone, 2 left; handed on b"), "{told}");

    assert_eq!([second.step(), second.step(), second.step()], [Step::Claimed, Step::Ran, Step::Finished]);
    assert_eq!(bench.take_ran(), "bad a b b", "the second one ran it");
    assert_eq!([second.step(), third.step()], [Step::Claimed; 2]);
    assert_eq!(picture(&queue).lines().next(), Some("running c(3) d(4)"));
    assert_eq!([second.step(), second.step()], [Step::HandedOn, Step::Closed]);
    assert_eq!([third.step(), third.step()], [Step::Ran, Step::Finished]);

    // The prompt that was handed on may itself be the reason: it is not handed on again.
    let mut fourth = worker(&bench, &queue, 0);
    assert_eq!([fourth.step(), fourth.step(), fourth.step()], [Step::Claimed, Step::Ran, Step::Finished]);
    assert_eq!(picture(&queue).lines().last(), Some("history c(3) failed: the card is gone; the launch failed"));
    assert_eq!(fourth.step(), Step::Closed);
    assert_eq!(queue.stranded(), None, "the third is there");

    drop(workers);
    assert_eq!(queue.stranded(), None, "nobody was lost last");
}

#[test]
fn with_the_last_worker_gone_prompts_are_refused_and_those_that_wait_run_at_the_next_start() {
    let bench = Bench::new();
    let queue = bench.open();
    for id in ["a", "b"] {
        queue.submit(submission(id, Place::Back)).unwrap();
    }
    let mut only = worker(&bench, &queue, 0);
    assert_eq!(
        [only.step(), only.step(), only.step(), only.step()],
        [Step::Claimed, Step::Ran, Step::Finished, Step::Closed]
    );
    let error = queue.submit(submission("c", Place::Back)).unwrap_err();
    assert!(matches!(&error, QueueError::NoWorker { reason } if reason == "the card is gone"), "{error}");
    let found = "pending b(1)\nhistory a(0) failed: the card is gone; the launch failed";
    assert_eq!((picture(&queue).as_str(), queue.stranded().is_some()), (found, true));
    drop((only, queue));
    let queue = bench.open();
    queue.submit(submission("c", Place::Back)).unwrap();
    drain(&mut worker(&bench, &queue, 9));
    assert_eq!(
        picture(&queue),
        "history a(0) failed: the card is gone; the launch failed\nhistory b(1) completed\nhistory c(2) completed"
    );
}
