//! A worker: takes prompts one at a time, runs them, tells what happens.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use vita_base::Cancel;
use vita_graph::{End, Event, Observer, Outcome};

use crate::shared::Shared;
use crate::state::{FreeCounts, State};
use crate::stored::failed_prompt;
use crate::{HistoryEntry, Job, Message, Queue, QueueError, QueueEvent};

/// How long a worker waits before it asks again for what could not be written.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Runs prompts. Lives on the worker's thread.
pub trait Runner: Send {
    /// Runs a prompt to its end. `cancel` asks it to stop; it then ends with [`End::Interrupted`].
    fn run(&mut self, job: &Job, cancel: &Cancel, observer: &mut dyn Observer) -> Outcome;

    /// Why no prompt can run here any more, asked when one failed: a card does not answer, say. The worker then ends,
    /// and the prompt goes to another one.
    fn lost(&mut self) -> Option<String> {
        None
    }

    /// Lets go of memory: of models, and of results kept for later prompts if `free_memory`. Called between
    /// prompts, and with both after a run panicked.
    fn free(&mut self, unload_models: bool, free_memory: bool);
}

/// A worker that is stepped by its caller; [`Queue::spawn_worker`] has one stepped by a thread.
pub struct Worker {
    queue: Queue,
    runner: Box<dyn Runner>,
    /// Requests to free memory that it has followed.
    freed: FreeCounts,
    stage: Stage,
    /// Set when its runner can run nothing more.
    is_lost: bool,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: there is nothing to do.
    Idle,
    /// Nothing: the queue is closed, or this worker is lost.
    Closed,
    /// Nothing: the beginning of the next prompt cannot be written, so it waits.
    Held,
    /// Freed memory.
    Freed,
    /// Took the next prompt.
    Claimed,
    /// Ran it.
    Ran,
    /// Put the result into the history.
    Finished,
    /// Put the prompt back into the queue, since the queue is being closed.
    Returned,
    /// Put the prompt back for another worker, since this one is lost.
    HandedOn,
}

/// A worker on a thread of its own.
#[derive(Debug)]
pub struct WorkerThread(JoinHandle<()>);

/// Where the worker is with its prompt.
enum Stage {
    Waiting,
    Claimed(Claim),
    Ran(Arc<Job>, Arc<HistoryEntry>),
}

/// A prompt given to the worker.
pub struct Claim {
    pub job: Arc<Job>,
    pub cancel: Cancel,
    pub started_ms: u64,
}

impl Worker {
    /// A worker for a queue, which may have others.
    pub fn new(queue: Queue, runner: Box<dyn Runner>) -> Self {
        queue.shared().state().join();
        Self { queue, runner, freed: FreeCounts::default(), stage: Stage::Waiting, is_lost: false }
    }

    /// Does one thing, without waiting for something to do.
    pub fn step(&mut self) -> Step {
        match std::mem::replace(&mut self.stage, Stage::Waiting) {
            Stage::Waiting => self.begin(),
            Stage::Claimed(claim) => self.run_claimed(claim),
            Stage::Ran(job, entry) => self.finish(job, entry),
        }
    }

    /// Steps until the queue is closed.
    pub fn run(mut self) {
        loop {
            match self.step() {
                Step::Closed => return,
                Step::Idle => self.wait(),
                Step::Held => self.hold(),
                _ => {}
            }
        }
    }

    fn begin(&mut self) -> Step {
        let shared = self.queue.shared().clone();
        let asked = {
            let state = shared.state();
            if state.closing || self.is_lost {
                return Step::Closed;
            }
            if self.is_idle(&state) {
                return Step::Idle;
            }
            state.free
        };
        let followed = std::mem::replace(&mut self.freed, asked);
        if asked != followed {
            let free_memory = asked.free_memory != followed.free_memory;
            // A panic here costs nothing but what was not freed.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                self.runner.free(asked.unload_models != followed.unload_models, free_memory);
            }));
            return Step::Freed;
        }
        match self.queue.call(|keeper| keeper.claim()) {
            Ok(Some(claim)) => {
                shared.emit_status();
                shared.emit(&QueueEvent::Started { job: &claim.job, at_ms: claim.started_ms });
                self.stage = Stage::Claimed(claim);
                Step::Claimed
            }
            Ok(None) => Step::Idle,
            Err(QueueError::Closed) => Step::Closed,
            Err(_) => Step::Held,
        }
    }

    fn run_claimed(&mut self, claim: Claim) -> Step {
        let shared = self.queue.shared().clone();
        let Claim { job, cancel, started_ms } = claim;
        let mut narrator = Narrator {
            shared: &shared,
            job: &job,
            previews: shared.wants_previews(&job),
            messages: vec![Message::Start { timestamp_ms: started_ms }],
        };
        let run = catch_unwind(AssertUnwindSafe(|| self.runner.run(&job, &cancel, &mut narrator)));
        let messages = narrator.messages;
        let mut outcome = run.unwrap_or_else(|panic| {
            let _ = catch_unwind(AssertUnwindSafe(|| self.runner.free(true, true)));
            failed_prompt("Panic", panic_text(panic.as_ref()))
        });
        if matches!(outcome.end, End::Interrupted { .. }) && shared.state().closing {
            let sequence = job.sequence;
            // If this cannot be written, the prompt counts as begun once, and begins again all the same.
            let _ = self.queue.call(move |keeper| keeper.give_back(sequence));
            return Step::Returned;
        }
        if let End::Failed(failure) = &mut outcome.end
            && let Some(reason) = catch_unwind(AssertUnwindSafe(|| self.runner.lost())).unwrap_or_default()
        {
            self.leave(&reason);
            let sequence = job.sequence;
            if let Ok(true) = self.queue.call(move |keeper| keeper.hand_on(sequence)) {
                shared.emit(&QueueEvent::HandedOn { job: &job });
                return Step::HandedOn;
            }
            failure.message = format!("{reason}; {}", failure.message);
        }
        let entry = HistoryEntry::new(job.clone(), messages, outcome, self.queue.now_ms());
        self.stage = Stage::Ran(job, Arc::new(entry));
        Step::Ran
    }

    fn finish(&mut self, job: Arc<Job>, entry: Arc<HistoryEntry>) -> Step {
        let shared = self.queue.shared().clone();
        let finished = entry.clone();
        if self.queue.call(move |keeper| keeper.finish(finished)).is_err() {
            return Step::Closed;
        }
        shared.emit(&QueueEvent::Finished { job: &job, entry: &entry });
        shared.emit_status();
        shared.emit(&QueueEvent::Released { job: &job });
        Step::Finished
    }

    /// Counts no longer as one that runs prompts.
    fn leave(&mut self, reason: &str) {
        self.is_lost = true;
        let shared = self.queue.shared();
        let left = {
            let mut state = shared.state();
            state.leave(Some(reason.to_owned()));
            state.worker_count
        };
        shared.emit(&QueueEvent::WorkerLost { reason, left });
    }

    fn is_idle(&self, state: &State) -> bool {
        state.free == self.freed && state.claimable().is_none()
    }

    /// Waits until there may be something to do.
    fn wait(&self) {
        let shared = self.queue.shared();
        let idle = |state: &mut State| !state.closing && self.is_idle(state);
        drop(shared.bell.wait_while(shared.state(), idle).unwrap_or_else(PoisonError::into_inner));
    }

    fn hold(&self) {
        let shared = self.queue.shared();
        let state = shared.state();
        if !state.closing {
            drop(shared.bell.wait_timeout(state, RETRY_PAUSE));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.is_lost {
            self.queue.shared().state().leave(None);
        }
    }
}

impl WorkerThread {
    pub(crate) fn spawn(queue: Queue, runner: Box<dyn Runner>) -> std::io::Result<Self> {
        let worker = Worker::new(queue, runner);
        std::thread::Builder::new().name("queue-worker".into()).spawn(move || worker.run()).map(Self)
    }

    /// Waits for the worker to end, which it does once the queue is closed and its prompt has ended.
    pub fn join(self) {
        // What panics in a runner is caught; anything else was told by the panic itself.
        let _ = self.0.join();
    }
}

/// Passes a run's events on, with the time, and keeps those that the history shows.
struct Narrator<'a> {
    shared: &'a Shared,
    job: &'a Arc<Job>,
    previews: bool,
    messages: Vec<Message>,
}

impl Observer for Narrator<'_> {
    fn observe(&mut self, event: Event<'_>) {
        let at_ms = (self.shared.clock)();
        if let Event::Cached(nodes) = event {
            self.messages.push(Message::Cached { nodes: nodes.to_vec(), timestamp_ms: at_ms });
        }
        self.shared.emit(&QueueEvent::Node { job: self.job, at_ms, event: &event });
    }

    fn wants_previews(&self) -> bool {
        self.previews
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the program met an error of its own: {}", text.unwrap_or("no message"))
}
