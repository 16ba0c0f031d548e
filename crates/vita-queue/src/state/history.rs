//! The history in memory: a summary of every entry, and the newest entries whole.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::{HistoryEntry, HistoryQuery, JobSummary};

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
    pub summary: Arc<JobSummary>,
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
    pub fn new(bytes_max: usize) -> Self {
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
