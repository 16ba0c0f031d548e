//! The queue as others use it, from any thread.

use std::sync::mpsc::{self, Sender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use crate::keeper::{Command, Keeper};
use crate::shared::Shared;
use crate::state::State;
use crate::store::{Reader, Store};
use crate::syncer::Syncer;
use crate::worker::{Runner, WorkerThread};
use crate::{
    Durability, HistoryEntry, HistoryQuery, Job, JobDetail, JobStatus, JobSummary, JobsPage, JobsQuery, QueueError,
    QueueOptions, Submission, Subscriber, Ticket,
};

/// The queue at a moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Changes whenever any of the rest does: what is made from a snapshot can be kept as long as this stays.
    pub version: u64,
    /// What runs, at most one for each worker; the one that began first at the front.
    pub running: Vec<Arc<Job>>,
    /// What waits, in the order in which it will run.
    pub pending: Vec<Arc<Job>>,
    /// Whether nothing new is begun.
    pub paused: bool,
}

/// The queue. Clones are the same queue; it closes with the last of them.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    reader: Reader,
    commands: Option<Sender<Command>>,
    keeper: Option<JoinHandle<()>>,
}

impl Queue {
    /// Opens the queue, and makes it if it is not there. What ran when the process ended is queued again, before
    /// all others. If it was begun twice already, it is marked failed instead; where several ran, each of these
    /// gets a last run without company first.
    ///
    /// # Errors
    /// If the file cannot be opened, is in use, or is from a newer program.
    pub fn open(options: QueueOptions) -> Result<Self, QueueError> {
        let store = Store::open(&options)?;
        Self::with_store(options, store)
    }

    pub(crate) fn with_store(options: QueueOptions, store: Store) -> Result<Self, QueueError> {
        let failed = |error: std::io::Error| QueueError::Open { path: options.path.clone(), reason: error.to_string() };
        let reader = Reader::new(&options.path);
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(options.history_memory_bytes)),
            bell: Condvar::new(),
            clock: options.clock,
            subscribers: RwLock::default(),
            telling: Mutex::default(),
        });
        let mut keeper = Keeper::new(shared.clone(), store, options.history_limit);
        keeper.load()?;
        if options.durability == Durability::PowerLoss {
            keeper.set_syncer(Syncer::spawn(&options.path).map_err(&failed)?);
        }
        let (commands, inbox) = mpsc::channel();
        let spawned = std::thread::Builder::new().name("queue-keeper".into()).spawn(move || keeper.serve(&inbox));
        let thread = spawned.map_err(&failed)?;
        Ok(Self(Arc::new(Inner { shared, reader, commands: Some(commands), keeper: Some(thread) })))
    }

    /// Queues a prompt. It is on disk when this returns.
    ///
    /// # Errors
    /// If its id is empty, its number not finite, every worker was lost, or the database cannot be written.
    pub fn submit(&self, submission: Submission) -> Result<Ticket, QueueError> {
        let (sender, receiver) = sync_channel(1);
        self.submit_then(submission, move |result| drop(sender.send(result)));
        receiver.recv().unwrap_or(Err(QueueError::Closed))
    }

    /// Queues a prompt and answers on the keeper's thread, for callers that must not block. All prompts that
    /// arrive while one commit is under way share the next. Where the queue ends meanwhile, `answer` is dropped
    /// without being called.
    pub fn submit_then(
        &self,
        submission: Submission,
        answer: impl FnOnce(Result<Ticket, QueueError>) + Send + 'static,
    ) {
        match submission.into_job(self.now_ms()) {
            Ok((job, place)) => self.send(Command::Submit { job, place, answer: Box::new(answer) }),
            Err(error) => answer(Err(error)),
        }
    }

    /// Counts a prompt that was refused: it uses up a number, as ComfyUI has it.
    pub fn count_rejected(&self) {
        self.0.shared.state().counter += 1;
    }

    /// Removes pending prompts by id, all of an id. Returns how many; unknown ids are no error.
    ///
    /// # Errors
    /// If the database cannot be written; then none is removed.
    pub fn delete(&self, ids: &[String]) -> Result<usize, QueueError> {
        let ids = ids.to_vec();
        self.call(move |keeper| keeper.remove_pending(|job| ids.iter().any(|id| **id == *job.id)))
    }

    /// Removes all pending prompts. Returns how many.
    ///
    /// # Errors
    /// If the database cannot be written; then none is removed.
    pub fn clear(&self) -> Result<usize, QueueError> {
        self.call(|keeper| keeper.remove_pending(|_| true))
    }

    /// Puts a pending prompt before all others, by a new number. False if it is not pending.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn move_to_front(&self, id: &str) -> Result<bool, QueueError> {
        let id = id.to_owned();
        self.call(move |keeper| keeper.move_to_front(&id))
    }

    /// Begins nothing new, or does so again; also after a restart. What runs goes on.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn set_paused(&self, paused: bool) -> Result<(), QueueError> {
        self.call(move |keeper| keeper.set_paused(paused))
    }

    /// Asks all that runs to stop. False if nothing runs.
    pub fn interrupt(&self) -> bool {
        self.interrupt_if(|_| true)
    }

    /// Asks a prompt to stop if it runs.
    pub fn interrupt_job(&self, id: &str) -> bool {
        self.interrupt_if(|job| *job.id == *id)
    }

    /// Asks a running prompt to stop, or removes a pending one. False if it is neither.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn cancel(&self, id: &str) -> Result<bool, QueueError> {
        Ok(self.interrupt_job(id) || self.delete(&[id.to_owned()])? > 0)
    }

    /// The queue at this moment: a shared copy, made once a change.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.shared.state().snapshot()
    }

    /// Number of pending and running prompts.
    pub fn remaining(&self) -> usize {
        self.0.shared.state().remaining()
    }

    /// Why the database cannot be written, while it cannot.
    pub fn trouble(&self) -> Option<String> {
        self.0.shared.state().trouble.clone()
    }

    /// Why nothing runs prompts any more, where every worker was lost.
    pub fn stranded(&self) -> Option<String> {
        self.0.shared.state().stranded.clone()
    }

    /// Finished prompts, oldest first.
    ///
    /// # Errors
    /// If older ones cannot be read from disk.
    pub fn history(&self, query: HistoryQuery) -> Result<Vec<Arc<HistoryEntry>>, QueueError> {
        let found = self.0.shared.state().history.query(query);
        self.0.reader.complete(found)
    }

    /// A finished prompt, or nothing if it is unknown or not finished.
    ///
    /// # Errors
    /// If it is an older one and cannot be read from disk.
    pub fn history_entry(&self, id: &str) -> Result<Option<Arc<HistoryEntry>>, QueueError> {
        let found = {
            let state = self.0.shared.state();
            state.history.key_of(id).and_then(|key| state.history.find(key))
        };
        Ok(self.0.reader.complete(found.into_iter().collect())?.pop())
    }

    /// Changes whenever the history does.
    pub fn history_version(&self) -> u64 {
        self.0.shared.state().history.version
    }

    /// Removes entries from the history. Returns how many; unknown ids are no error.
    ///
    /// # Errors
    /// If the database cannot be written; then none is removed.
    pub fn delete_history(&self, ids: &[String]) -> Result<usize, QueueError> {
        let ids = ids.to_vec();
        self.call(move |keeper| keeper.delete_history(&ids))
    }

    /// Empties the history. Returns how many entries there were.
    ///
    /// # Errors
    /// If the database cannot be written; then none is removed.
    pub fn clear_history(&self) -> Result<usize, QueueError> {
        self.call(Keeper::clear_history)
    }

    /// Jobs of every state.
    pub fn jobs(&self, query: &JobsQuery) -> JobsPage {
        query.apply(self.0.shared.state().summaries())
    }

    /// A job by id: a running one, else a pending one, else one from the history.
    ///
    /// # Errors
    /// If it is an older one and cannot be read from disk.
    pub fn job(&self, id: &str) -> Result<Option<JobDetail>, QueueError> {
        let (summary, found) = {
            let state = self.0.shared.state();
            if let Some(running) = state.running.iter().find(|running| *running.job.id == *id) {
                return Ok(Some(JobDetail { summary: running.summary(), job: running.job.clone(), entry: None }));
            }
            if let Some(job) = state.pending().find(|job| *job.id == *id) {
                let summary = Arc::new(JobSummary::of_job(job, JobStatus::Pending));
                return Ok(Some(JobDetail { summary, job: job.clone(), entry: None }));
            }
            let Some(key) = state.history.key_of(id) else { return Ok(None) };
            let Some(slot) = state.history.slot(key) else { return Ok(None) };
            (slot.summary.clone(), state.history.find(key))
        };
        let entry = self.0.reader.complete(found.into_iter().collect())?.pop();
        Ok(entry.map(|entry| JobDetail { summary, job: entry.job.clone(), entry: Some(entry) }))
    }

    /// Asks every worker to free memory before it begins its next prompt; requests add up.
    pub fn free(&self, unload_models: bool, free_memory: bool) {
        let mut state = self.0.shared.state();
        state.free.unload_models += u64::from(unload_models || free_memory);
        state.free.free_memory += u64::from(free_memory);
        self.0.shared.bell.notify_all();
    }

    /// Has someone told of everything from now on. A subscriber that holds a clone of the queue keeps it open.
    pub fn subscribe(&self, subscriber: impl Subscriber + 'static) {
        self.0.shared.subscribers.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(subscriber));
    }

    /// Runs prompts with a runner, on a thread of its own, until the queue is closed. Each worker takes the first
    /// prompt that waits, so that with several of them as many run at once.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn spawn_worker(&self, runner: Box<dyn Runner>) -> std::io::Result<WorkerThread> {
        WorkerThread::spawn(self.clone(), runner)
    }

    /// Accepts nothing more and begins nothing more. What runs is asked to stop, and is queued again for the
    /// next start rather than marked interrupted. Join the workers' threads after this.
    pub fn close(&self) {
        let mut state = self.0.shared.state();
        state.closing = true;
        state.running.iter().for_each(|running| running.cancel.cancel());
        self.0.shared.bell.notify_all();
    }

    /// Does something on the keeper's thread and waits for the result.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keeper) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let (sender, receiver) = sync_channel(1);
        self.send(Command::Call(Box::new(move |keeper| drop(sender.send(work(keeper))))));
        receiver.recv().unwrap_or(Err(QueueError::Closed))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    pub(crate) fn now_ms(&self) -> u64 {
        (self.0.shared.clock)()
    }

    fn interrupt_if(&self, wanted: impl Fn(&Job) -> bool) -> bool {
        let state = self.0.shared.state();
        let found = state.running.iter().filter(|running| wanted(&running.job));
        found.map(|running| running.cancel.cancel()).count() > 0
    }

    fn send(&self, command: Command) {
        // Where the keeper is gone the command is dropped, and with it the sender that someone waits for.
        if let Some(commands) = &self.0.commands
            && let Err(mpsc::SendError(Command::Submit { answer, .. })) = commands.send(command)
        {
            answer(Err(QueueError::Closed));
        }
    }
}

impl Drop for Inner {
    /// Lets the keeper finish what it was told, so that the file is free when the last queue is gone.
    fn drop(&mut self) {
        self.commands = None;
        if let Some(keeper) = self.keeper.take()
            && keeper.thread().id() != std::thread::current().id()
        {
            let _ = keeper.join();
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Queue").field(&self.snapshot()).finish()
    }
}
