//! Which networks are loaded: those used last, as many as fit.

use std::any::Any;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use vita_ops::Card;
use vita_tensor::memory as pool;
use vita_weights::Checkpoint;

use crate::Error;
use crate::memory::{BASE_BYTES, StageMemory};

/// Keeps networks loaded between jobs, and unloads those not used for longest when memory is short.
///
/// Shared by all jobs of a program; may be asked from any thread.
pub struct Residency {
    keeps: Keeps,
    card: Option<Arc<Card>>,
    blocks_to_swap: usize,
    inner: Mutex<Inner>,
}

#[derive(Clone, Copy, PartialEq)]
enum Keeps {
    /// The one in use.
    One,
    /// As many as fit.
    Many,
}

struct Inner {
    memory_bytes_max: Option<u64>,
    /// The one used last is last.
    networks: Vec<Loaded>,
}

struct Loaded {
    id: NetworkId,
    bytes: u64,
    network: Arc<dyn Any + Send + Sync>,
}

/// Weights that stayed in their file are let go too: a large network's would count as this process's memory while
/// the next one works.
impl Drop for Loaded {
    fn drop(&mut self) {
        self.id.checkpoint.release_pages();
    }
}

/// A network that is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedNetwork {
    /// Its file.
    pub file: String,
    /// What of the file.
    pub part: &'static str,
    /// Bytes of its weights.
    pub bytes: u64,
}

impl Residency {
    /// Keeps a network until another is needed: for a single job, in which each works once. `memory_bytes_max`
    /// bounds what work may take; `None` for no bound.
    pub fn one(memory_bytes_max: Option<u64>) -> Self {
        Self::new(Keeps::One, memory_bytes_max)
    }

    /// Keeps as many networks as fit into `memory_bytes_max` beside the work of the one in use.
    pub fn many(memory_bytes_max: Option<u64>) -> Self {
        Self::new(Keeps::Many, memory_bytes_max)
    }

    fn new(keeps: Keeps, memory_bytes_max: Option<u64>) -> Self {
        Self {
            keeps,
            card: None,
            blocks_to_swap: 0,
            inner: Mutex::new(Inner { memory_bytes_max, networks: Vec::new() }),
        }
    }

    /// The same for networks that work on a card; what may be taken is the card's memory, as far as others leave it.
    #[must_use]
    pub fn on_card(self, card: Arc<Card>) -> Self {
        Self { card: Some(card), ..self }
    }

    /// The card that networks work on, if it is not the processor.
    pub fn card(&self) -> Option<&Arc<Card>> {
        self.card.as_ref()
    }

    /// Bytes that may be taken in all: loaded networks, and what they work on. Of a card no more than is free there or
    /// taken by this program already.
    pub fn memory_bytes_max(&self) -> Option<u64> {
        self.limit(&self.lock())
    }

    fn limit(&self, inner: &Inner) -> Option<u64> {
        let there = self.card.as_ref().and_then(|card| {
            // One that does not answer is told of by the work that finds out.
            let free_bytes = card.machine().free_bytes().ok()?;
            Some(free_bytes + card.pool().stats().held_bytes)
        });
        match (inner.memory_bytes_max, there) {
            (Some(most), Some(there)) => Some(most.min(there)),
            (most, there) => most.or(there),
        }
    }

    /// All memory of the card, if networks work on one.
    pub(crate) fn card_bytes(&self) -> Option<u64> {
        self.card.as_ref().map(|card| card.machine().properties().total_bytes)
    }

    /// Changes the bound; it counts from the next network on.
    pub fn set_memory_bytes_max(&self, memory_bytes_max: Option<u64>) {
        self.lock().memory_bytes_max = memory_bytes_max;
    }

    /// The networks that are loaded, the one used last at the end.
    pub fn loaded(&self) -> Vec<LoadedNetwork> {
        let text = |loaded: &Loaded| LoadedNetwork {
            file: loaded.id.name.to_string(),
            part: loaded.id.part,
            bytes: loaded.bytes,
        };
        self.lock().networks.iter().map(text).collect()
    }

    /// Bytes of all loaded networks' weights.
    pub fn loaded_bytes(&self) -> u64 {
        self.lock().bytes()
    }

    /// Unloads every network; one that is working is gone when it is done.
    pub fn unload_all(&self) {
        self.lock().networks.clear();
        self.release_idle();
    }

    /// Unloads every network but one. False if there was no other.
    pub(crate) fn unload_others(&self, id: &NetworkId) -> bool {
        let mut inner = self.lock();
        let count = inner.networks.len();
        inner.networks.retain(|loaded| loaded.id == *id);
        let any = inner.networks.len() < count;
        drop(inner);
        self.release_idle();
        any
    }

    /// Gives memory that nothing lies in back to the system, and the card's to the card.
    pub(crate) fn release_idle(&self) {
        pool::release_idle();
        if let Some(card) = &self.card {
            card.pool().release_idle();
        }
    }

    /// Has a network leave the card, and its files let go; the host's memory is managed otherwise.
    pub(crate) fn leave_card(&self, id: &NetworkId) {
        if self.card.is_some() {
            self.lock().networks.retain(|loaded| loaded.id != *id);
            self.release_idle();
        }
    }

    /// Unloads a network if it is loaded and does not fit what is to come.
    pub(crate) fn unload_unless<T: 'static>(&self, id: &NetworkId, fits: impl Fn(&T) -> bool) {
        let keeps = |loaded: &Loaded| loaded.id != *id || loaded.network.downcast_ref().is_some_and(&fits);
        self.lock().networks.retain(keeps);
    }

    /// Has so many blocks of each transformer brought to the card each time they run, whether or not they would fit.
    #[must_use]
    pub fn with_blocks_to_swap(self, blocks_to_swap: usize) -> Self {
        Self { blocks_to_swap, ..self }
    }

    /// See [`Self::with_blocks_to_swap`].
    pub(crate) fn blocks_to_swap(&self) -> usize {
        self.blocks_to_swap
    }

    /// The network if it is loaded. Either way there is room for it and its work afterwards.
    ///
    /// # Errors
    /// If it does not fit alone.
    pub(crate) fn loaded_network<T: Send + Sync + 'static>(
        &self,
        id: &NetworkId,
        memory: StageMemory,
    ) -> Result<Option<Arc<T>>, Error> {
        let mut inner = self.lock();
        let found = inner.networks.iter().position(|loaded| loaded.id == *id).map(|at| inner.networks.remove(at));
        if self.keeps == Keeps::One {
            inner.networks.clear();
        }
        let needed_bytes = BASE_BYTES + memory.bytes();
        if let Some(free_bytes) = self.limit(&inner) {
            while needed_bytes + inner.bytes() > free_bytes && !inner.networks.is_empty() {
                let gone = inner.networks.remove(0);
                tracing::debug!("unloads {} ({})", gone.id.name, gone.id.part);
            }
            if needed_bytes > free_bytes {
                let (stage, card_bytes) = (memory.stage, self.card_bytes());
                return Err(Error::Memory { needed_bytes, free_bytes, card_bytes, stage, fits: None });
            }
        }
        let network = found.as_ref().and_then(|loaded| loaded.network.clone().downcast().ok());
        inner.networks.extend(found);
        Ok(network)
    }

    pub(crate) fn keep<T: Send + Sync + 'static>(&self, id: &NetworkId, bytes: u64, network: Arc<T>) {
        let mut inner = self.lock();
        inner.networks.retain(|loaded| loaded.id != *id);
        inner.networks.push(Loaded { id: id.clone(), bytes, network });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The list is whole between any two statements.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn bytes(&self) -> u64 {
        self.networks.iter().map(|loaded| loaded.bytes).sum()
    }
}

/// What tells one network from another: its file, and what of the file it is.
#[derive(Clone, Debug)]
pub(crate) struct NetworkId {
    file: FileId,
    name: Arc<str>,
    part: &'static str,
    checkpoint: Checkpoint,
}

impl PartialEq for NetworkId {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && self.part == other.part
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum FileId {
    /// A file as it was when it was opened: one that is replaced is another.
    OnDisk { path: PathBuf, modified: SystemTime, size_bytes: u64 },
    /// Bytes in memory, numbered.
    InMemory(u64),
}

impl NetworkId {
    pub fn new(checkpoint: &Checkpoint, part: &'static str) -> Self {
        Self { file: FileId::of(checkpoint), name: checkpoint.name().into(), part, checkpoint: checkpoint.clone() }
    }

    /// What of its file it is.
    pub fn part(&self) -> &'static str {
        self.part
    }

    /// Another network of the same file.
    pub fn with_part(&self, part: &'static str) -> Self {
        Self { part, ..self.clone() }
    }
}

impl FileId {
    fn of(checkpoint: &Checkpoint) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let on_disk = checkpoint.path().and_then(|path| {
            let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
            Some(Self::OnDisk { path: path.canonicalize().ok()?, modified, size_bytes: checkpoint.size_bytes() })
        });
        on_disk.unwrap_or_else(|| Self::InMemory(NEXT.fetch_add(1, Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stage;

    fn id(number: u64) -> NetworkId {
        let name = number.to_string();
        let checkpoint = Checkpoint::from_bytes(&b"\x02\0\0\0\0\0\0\0{}"[..], &name).unwrap();
        NetworkId { file: FileId::InMemory(number), name: name.into(), part: "x", checkpoint }
    }

    fn memory(weight_bytes: u64, activation_bytes: u64) -> StageMemory {
        StageMemory { stage: Stage::Sampling, weight_bytes, activation_bytes }
    }

    /// Asks for a network of so many bytes, loads it if need be, and says which are loaded then.
    fn ask(residency: &Residency, number: u64, memory: StageMemory) -> Result<Vec<String>, Error> {
        if residency.loaded_network::<u64>(&id(number), memory)?.is_none() {
            residency.keep(&id(number), memory.weight_bytes, Arc::new(number));
        }
        Ok(residency.loaded().into_iter().map(|loaded| loaded.file).collect())
    }

    #[test]
    fn the_one_used_longest_ago_goes_first() {
        let residency = Residency::many(Some(BASE_BYTES + 100));
        for (number, weights, work, want) in [
            (1, 40, 10, &["1"][..]),
            (2, 40, 10, &["1", "2"]),
            (1, 40, 20, &["2", "1"]),
            (3, 30, 5, &["1", "3"]),
            // Its own weights stay when its work grows.
            (1, 40, 60, &["1"]),
        ] {
            assert_eq!(ask(&residency, number, memory(weights, work)).unwrap(), want, "{number}");
        }
        let error = ask(&residency, 1, memory(40, 61)).unwrap_err();
        assert!(matches!(error, Error::Memory { fits: None, .. }), "{error}");
        residency.unload_all();
        assert_eq!((residency.loaded(), residency.loaded_bytes()), (Vec::new(), 0));
    }

    #[test]
    fn one_network_or_many_without_a_bound() {
        let (one, many) = (Residency::one(None), Residency::many(None));
        for number in 1..=3 {
            assert_eq!(ask(&one, number, memory(1, 1)).unwrap(), [number.to_string()]);
            assert_eq!(ask(&many, number, memory(1, 1)).unwrap().len(), number as usize);
        }
    }
}
