//! The queue and its history in memory: what readers see, and what the keeper decides with.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use vita_base::Cancel;

use crate::{HistoryEntry, HistoryQuery, Job, JobStatus, JobSummary, Place, Snapshot};

/// Everything but the database.
pub struct State {
    /// The next number that a prompt without one gets.
    pub counter: u64,
    /// The next job's sequence.
    pub sequence_next: u64,
    pub paused: bool,
    pub closing: bool,
    pub running: Option<Running>,
    pub history: History,
    /// What the worker is to free before the next prompt.
    pub free: Option<FreeRequest>,
    /// Why the database cannot be written, while it cannot.
    pub trouble: Option<String>,
    pending: BTreeMap<PendingKey, Arc<Job>>,
    version: u64,
    snapshot: Option<Arc<Snapshot>>,
}

/// The prompt that the worker has.
pub struct Running {
    pub job: Arc<Job>,
    pub cancel: Cancel,
    pub started_ms: u64,
}

/// What [`crate::Queue::free`] asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FreeRequest {
    pub unload_models: bool,
    pub free_memory: bool,
}

impl State {
    pub fn new(history_memory_bytes: usize) -> Self {
        Self {
            counter: 0,
            sequence_next: 1,
            paused: false,
            closing: false,
            running: None,
            history: History::new(history_memory_bytes),
            free: None,
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

    /// What the worker may take now.
    pub fn claimable(&self) -> Option<&Arc<Job>> {
        if self.paused || self.closing || self.running.is_some() { None } else { self.pending.values().next() }
    }

    /// Whether the job was given to a worker that then went away.
    pub fn is_resumed(&self, job: &Job) -> bool {
        self.pending.contains_key(&PendingKey::of(job, true))
    }

    pub fn set_running(&mut self, running: Option<Running>) -> Option<Running> {
        self.changed();
        std::mem::replace(&mut self.running, running)
    }

    pub fn set_paused(&mut self, paused: bool) {
        self.changed();
        self.paused = paused;
    }

    /// Pending and running jobs.
    pub fn remaining(&self) -> usize {
        self.pending.len() + usize::from(self.running.is_some())
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
    pub fn summaries(&self) -> impl Iterator<Item = JobSummary> {
        let running = self.running.iter().map(Running::summary);
        let pending = self.pending.values().map(|job| JobSummary::of_job(job, JobStatus::Pending));
        running.chain(pending).chain(self.history.slots.values().map(|slot| slot.summary.clone()))
    }

    fn changed(&mut self) {
        self.version += 1;
        self.snapshot = None;
    }
}

impl Running {
    pub fn summary(&self) -> JobSummary {
        JobSummary { started_ms: Some(self.started_ms), ..JobSummary::of_job(&self.job, JobStatus::InProgress) }
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

/// Finished jobs, oldest first: a summary of each, and of the newest the whole entry.
pub struct History {
    pub version: u64,
    /// The next entry's key.
    pub key_next: u64,
    slots: BTreeMap<u64, Slot>,
    by_id: HashMap<Arc<str>, u64>,
    /// Keys of the slots whose entry is in memory and on disk, oldest first; may name slots that are gone.
    kept: VecDeque<u64>,
    kept_bytes: usize,
    bytes_max: usize,
}

/// A finished job.
pub struct Slot {
    pub summary: JobSummary,
    /// Of the job.
    pub sequence: u64,
    /// The whole entry, where it is in memory.
    pub entry: Option<Arc<HistoryEntry>>,
    /// What the entry takes in memory.
    pub bytes: usize,
    /// Whether it is on disk; if not, it stays in memory.
    pub saved: bool,
}

/// An entry found: here, or on disk under a key.
pub enum Found {
    Here(Arc<HistoryEntry>),
    OnDisk(u64),
}

impl History {
    fn new(bytes_max: usize) -> Self {
        Self {
            version: 0,
            key_next: 1,
            slots: BTreeMap::new(),
            by_id: HashMap::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            bytes_max,
        }
    }

    /// Adds the newest.
    pub fn insert(&mut self, key: u64, slot: Slot) {
        self.version += 1;
        self.key_next = self.key_next.max(key + 1);
        self.by_id.insert(slot.summary.id.clone(), key);
        let keep = slot.saved && slot.entry.is_some();
        let bytes = slot.bytes;
        self.slots.insert(key, slot);
        if keep {
            self.keep(key, bytes);
        }
    }

    /// Notes that an entry is on disk now.
    pub fn set_saved(&mut self, key: u64) {
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.saved = true;
            let bytes = slot.bytes;
            self.keep(key, bytes);
        }
    }

    pub fn remove(&mut self, key: u64) {
        self.version += 1;
        let Some(slot) = self.slots.remove(&key) else { return };
        if slot.entry.is_some() && slot.saved {
            self.kept_bytes -= slot.bytes;
        }
        if self.by_id.get(&slot.summary.id) == Some(&key) {
            self.by_id.remove(&slot.summary.id);
        }
    }

    pub fn key_of(&self, id: &str) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    pub fn slot(&self, key: u64) -> Option<&Slot> {
        self.slots.get(&key)
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &Slot)> {
        self.slots.iter().map(|(key, slot)| (*key, slot))
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn find(&self, key: u64) -> Option<Found> {
        self.slots.get(&key).map(|slot| match &slot.entry {
            Some(entry) => Found::Here(entry.clone()),
            None => Found::OnDisk(key),
        })
    }

    /// The entries of a query, oldest first.
    pub fn query(&self, query: HistoryQuery) -> Vec<Found> {
        let max_items = query.max_items.unwrap_or(usize::MAX);
        let skip = query.offset.unwrap_or(self.slots.len().saturating_sub(max_items));
        let keys = self.slots.keys().skip(skip).take(max_items);
        keys.filter_map(|key| self.find(*key)).collect()
    }

    /// Lets go of the oldest entries beyond what memory may hold; they are on disk.
    fn keep(&mut self, key: u64, bytes: usize) {
        self.kept.push_back(key);
        self.kept_bytes += bytes;
        while self.kept_bytes > self.bytes_max {
            let Some(oldest) = self.kept.pop_front() else { break };
            if let Some(slot) = self.slots.get_mut(&oldest)
                && slot.entry.take().is_some()
            {
                self.kept_bytes -= slot.bytes;
            }
        }
        // Names of removed slots would pile up where the history is cleared again and again.
        if self.kept.len() > 2 * self.slots.len() + 64 {
            self.kept.retain(|key| self.slots.contains_key(key));
        }
    }
}
