//! Numbers of results that were given out and whose files may not exist yet: two prompts that run at once and save
//! under one prefix get different ones.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All that are held.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reservations(Arc<Mutex<Vec<Held>>>);

#[derive(Debug)]
struct Held {
    /// Tells it from the others.
    ticket: u64,
    folder: PathBuf,
    /// In lower case, as some name patterns and file systems have it.
    stem: String,
    last: u64,
}

/// Keeps numbers from others until it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    all: Reservations,
    ticket: u64,
}

impl Reservations {
    /// Takes `count` numbers, from the one that `free` finds or the first after those that others hold. `free` looks
    /// while nobody else takes any.
    pub fn take<E>(
        &self,
        folder: &Path,
        stem: &str,
        count: u64,
        free: impl FnOnce() -> Result<u64, E>,
    ) -> Result<(u64, Reservation), E> {
        let stem = stem.to_lowercase();
        let mut held = self.lock();
        let same = held.iter().filter(|held| held.folder == folder && held.stem == stem);
        let first = free()?.max(same.map(|held| held.last + 1).max().unwrap_or(0));
        let ticket = held.iter().map(|held| held.ticket + 1).max().unwrap_or(0);
        held.push(Held { ticket, folder: folder.to_owned(), stem, last: first + count.saturating_sub(1) });
        Ok((first, Reservation { all: self.clone(), ticket }))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Held>> {
        // The list is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.all.lock().retain(|held| held.ticket != self.ticket);
    }
}
