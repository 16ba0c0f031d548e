//! The queue and its history in memory: what readers see, and what the keeper decides with.

mod history;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vita_base::Cancel;

use crate::{Job, JobStatus, JobSummary, Place, Snapshot};

pub use history::{Found, History, Slot};

/// Everything but the database.
pub struct State {
    /// The next number that a prompt without one gets.
    pub counter: u64,
    /// The next job's sequence.
    pub sequence_next: u64,
    pub paused: bool,
    pub closing: bool,
    /// What workers have, the one that began first at the front.
    pub running: Vec<Running>,
    /// Those that run with no other beside them: the process ended too often while they ran, and others with them.
    pub suspects: BTreeSet<u64>,
    /// Those that a worker handed on when it was lost. A second one does not: the prompt may be the reason.
    pub handed_on: BTreeSet<u64>,
    /// Workers that can run prompts.
    pub worker_count: usize,
    /// Why there is none any more, where the last one was lost.
    pub stranded: Option<String>,
    pub history: History,
    /// How often workers were asked to free memory.
    pub free: FreeCounts,
    /// Why the database cannot be written, while it cannot.
    pub trouble: Option<String>,
    pending: BTreeMap<PendingKey, Arc<Job>>,
    version: u64,
    snapshot: Option<Arc<Snapshot>>,
}

/// A prompt that a worker has.
pub struct Running {
    pub job: Arc<Job>,
    pub cancel: Cancel,
    pub started_ms: u64,
}

/// How often [`crate::Queue::free`] asked for what. Each worker knows the counts that it has followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FreeCounts {
    pub unload_models: u64,
    pub free_memory: u64,
}

impl State {
    pub fn new(history_memory_bytes: usize) -> Self {
        Self {
            counter: 0,
            sequence_next: 1,
            paused: false,
            closing: false,
            running: Vec::new(),
            suspects: BTreeSet::new(),
            handed_on: BTreeSet::new(),
            worker_count: 0,
            stranded: None,
            history: History::new(history_memory_bytes),
            free: FreeCounts::default(),
            trouble: None,
            pending: BTreeMap::new(),
            version: 0,
            snapshot: None,
        }
    }

    /// The number for a prompt; advances the counter unless it is explicit.
    pub fn take_number(&mut self, place: Place) -> f64 {
        let number = match place {
            Place::At(number) => return number + 0.0,
            Place::Back => self.counter as f64,
            Place::Front => -(self.counter as f64),
        };
        self.counter += 1;
        number + 0.0 // -0 becomes 0
    }

    /// The number that puts a pending prompt before all others.
    pub fn take_front_number(&mut self) -> f64 {
        let front = self.take_number(Place::Front);
        self.pending.first_key_value().map_or(front, |(first, _)| front.min(first.number - 1.0))
    }

    pub fn insert_pending(&mut self, job: Arc<Job>, resumed: bool) {
        self.changed();
        self.pending.insert(PendingKey::of(&job, resumed), job);
    }

    /// Removes pending jobs by sequence.
    pub fn remove_pending(&mut self, sequences: &[u64]) {
        self.changed();
        match sequences {
            // The usual case: the first one is taken to be run.
            [one] if self.pending.first_key_value().is_some_and(|(key, _)| key.sequence == *one) => {
                self.pending.pop_first();
            }
            _ => self.pending.retain(|key, _| !sequences.contains(&key.sequence)),
        }
    }

    /// Pending jobs in the order in which they will run.
    pub fn pending(&self) -> impl DoubleEndedIterator<Item = &Arc<Job>> {
        self.pending.values()
    }

    /// What a worker may take now: the first pending job, and no other before it.
    pub fn claimable(&self) -> Option<&Arc<Job>> {
        if self.paused || self.closing {
            return None;
        }
        let first = self.pending.values().next()?;
        let is_suspect = |job: &Job| self.suspects.contains(&job.sequence);
        let must_wait = self.running.iter().any(|running| is_suspect(first) || is_suspect(&running.job));
        (!must_wait).then_some(first)
    }

    /// Whether the job was given to a worker that then went away.
    pub fn is_resumed(&self, job: &Job) -> bool {
        self.pending.contains_key(&PendingKey::of(job, true))
    }

    /// A worker has a job.
    pub fn begin(&mut self, running: Running) {
        self.changed();
        self.running.push(running);
    }

    /// A worker has it no longer.
    pub fn end(&mut self, sequence: u64) -> Option<Running> {
        self.changed();
        self.suspects.remove(&sequence);
        let at = self.running.iter().position(|running| running.job.sequence == sequence)?;
        Some(self.running.remove(at))
    }

    /// A worker is there.
    pub fn join(&mut self) {
        self.worker_count += 1;
        self.stranded = None;
    }

    /// A worker is gone, for a reason if it was lost.
    pub fn leave(&mut self, lost: Option<String>) {
        self.worker_count -= 1;
        if self.worker_count == 0 {
            self.stranded = lost;
        }
    }

    pub fn set_paused(&mut self, paused: bool) {
        self.changed();
        self.paused = paused;
    }

    /// Pending and running jobs.
    pub fn remaining(&self) -> usize {
        self.pending.len() + self.running.len()
    }

    /// What readers get: made once a change, then shared.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        let version = self.version;
        let make = || {
            let running = self.running.iter().map(|running| running.job.clone()).collect();
            let pending = self.pending.values().cloned().collect();
            Arc::new(Snapshot { version, running, pending, paused: self.paused })
        };
        self.snapshot.get_or_insert_with(make).clone()
    }

    /// Jobs of every state: running, pending, then finished.
    pub fn summaries(&self) -> impl Iterator<Item = Arc<JobSummary>> {
        let running = self.running.iter().map(Running::summary);
        let pending = self.pending.values().map(|job| Arc::new(JobSummary::of_job(job, JobStatus::Pending)));
        running.chain(pending).chain(self.history.iter().map(|(_, slot)| slot.summary.clone()))
    }

    fn changed(&mut self) {
        self.version += 1;
        self.snapshot = None;
    }
}

impl Running {
    pub fn summary(&self) -> Arc<JobSummary> {
        let summary = JobSummary::of_job(&self.job, JobStatus::InProgress);
        Arc::new(JobSummary { started_ms: Some(self.started_ms), ..summary })
    }
}

/// Orders pending jobs: what a crash cut short, then by number, then by id, then by age.
#[derive(Clone, Debug)]
struct PendingKey {
    resumed: bool,
    number: f64,
    id: Arc<str>,
    sequence: u64,
}

impl PendingKey {
    fn of(job: &Job, resumed: bool) -> Self {
        Self { resumed, number: job.number, id: job.id.clone(), sequence: job.sequence }
    }
}

impl Ord for PendingKey {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.resumed.cmp(&self.resumed))
            .then_with(|| self.number.total_cmp(&other.number))
            .then_with(|| self.id.cmp(&other.id))
            .then_with(|| self.sequence.cmp(&other.sequence))
    }
}

impl PartialOrd for PendingKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PendingKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for PendingKey {}
