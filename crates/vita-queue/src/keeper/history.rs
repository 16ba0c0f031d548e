//! What the keeper does to the history: deletes from it, and cuts it to its limit.

use super::Keeper;
use crate::state::Slot;
use crate::store::Operation;
use crate::{HistoryLimit, QueueError};

impl Keeper {
    /// Removes finished prompts by id.
    pub fn delete_history(&mut self, ids: &[String]) -> Result<usize, QueueError> {
        let mut keys: Vec<u64> = {
            let state = self.shared.state();
            ids.iter().filter_map(|id| state.history.key_of(id)).collect()
        };
        keys.sort_unstable();
        keys.dedup();
        self.delete_history_keys(&keys)
    }

    /// Removes all finished prompts.
    pub fn clear_history(&mut self) -> Result<usize, QueueError> {
        let keys: Vec<u64> = self.shared.state().history.iter().map(|(key, _)| key).collect();
        self.delete_history_keys(&keys)
    }

    /// Takes an entry out of the history in memory.
    pub(super) fn forget(&mut self, key: u64) {
        self.shared.state().history.remove(key);
        if let Some(unsaved) = self.unsaved.iter_mut().find(|unsaved| unsaved.key == key) {
            unsaved.deleted = true;
        }
    }

    fn delete_history_keys(&mut self, keys: &[u64]) -> Result<usize, QueueError> {
        if keys.is_empty() {
            return Ok(0);
        }
        let pairs: Vec<(u64, u64)> = keys.iter().map(|key| (*key, self.sequence_of(*key))).collect();
        self.write(Operation::Forget, |write| {
            pairs.iter().try_for_each(|(key, seq)| write.delete_history(*key, *seq))
        })?;
        self.store.shrink();
        for key in keys {
            self.forget(*key);
        }
        Ok(keys.len())
    }

    fn sequence_of(&self, key: u64) -> u64 {
        self.shared.state().history.slot(key).map_or(0, |slot| slot.sequence)
    }

    /// Cuts the history to its limit. What cannot be written now is cut the next time.
    pub(super) fn prune(&mut self) {
        if self.limit == HistoryLimit::default() {
            return;
        }
        let oldest_ms = self.limit.age.map(|age| {
            let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            (self.shared.clock)().saturating_sub(age_ms)
        });
        let keys: Vec<u64> = {
            let state = self.shared.state();
            let surplus = self.limit.count.map_or(0, |count| state.history.len().saturating_sub(count));
            let too_old = |slot: &Slot| oldest_ms.is_some_and(|oldest| slot.summary.ended_ms < Some(oldest));
            let old =
                state.history.iter().enumerate().take_while(|(index, (_, slot))| *index < surplus || too_old(slot));
            old.map(|(_, (key, _))| key).collect()
        };
        let _ = self.delete_history_keys(&keys);
    }
}
