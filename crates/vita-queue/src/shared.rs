//! What the queue, its keeper and its worker share.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use crate::state::State;
use crate::{Clock, Job, QueueEvent, Subscriber};

/// The state, and who is told of changes.
pub struct Shared {
    pub state: Mutex<State>,
    /// Rung when a worker may have something to do.
    pub bell: Condvar,
    pub clock: Clock,
    pub subscribers: RwLock<Vec<Arc<dyn Subscriber>>>,
    /// Held while a status is told, so that the one told last is the newest.
    pub telling: Mutex<()>,
}

impl Shared {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn emit(&self, event: &QueueEvent<'_>) {
        for subscriber in self.subscribers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            subscriber.on_event(event);
        }
    }

    pub fn emit_status(&self) {
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let remaining = self.state().remaining();
        self.emit(&QueueEvent::StatusChanged { remaining });
    }

    pub fn wants_previews(&self, job: &Job) -> bool {
        let subscribers = self.subscribers.read().unwrap_or_else(PoisonError::into_inner);
        subscribers.iter().any(|subscriber| subscriber.wants_previews(job))
    }
}
