//! The keeper: the one thread that changes the queue, each change on disk before it is in memory.

mod history;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::shared::Shared;
use crate::state::{Running, Slot};
use crate::store::{Operation, SavedEntry, Store};
use crate::stored::failed_prompt;
use crate::syncer::Syncer;
use crate::worker::Claim;
use crate::{HistoryEntry, HistoryLimit, Job, JobSummary, Message, Place, QueueError, QueueEvent, Ticket};

/// The most prompts that share a commit: enough to hide a slow disk, few enough to answer soon.
const GROUP_MAX: usize = 256;

/// How often what could not be written is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How often the history is cut by age while nothing else happens.
const AGE_PAUSE: Duration = Duration::from_secs(60);

/// How often a prompt is begun before it is given up, or tried alone where it had company.
const STARTS_MAX: u32 = 2;

pub type Answer = Box<dyn FnOnce(Result<Ticket, QueueError>) + Send>;

/// What the keeper is told.
pub enum Command {
    /// Queue a prompt; several share a commit.
    Submit { job: Job, place: Place, answer: Answer },
    /// Anything else.
    Call(Box<dyn FnOnce(&mut Keeper) + Send>),
}

/// Owns the database and every change.
pub struct Keeper {
    shared: Arc<Shared>,
    store: Store,
    syncer: Option<Syncer>,
    limit: HistoryLimit,
    /// Finished, in memory, but not yet on disk; oldest first.
    unsaved: Vec<Unsaved>,
}

struct Unsaved {
    key: u64,
    entry: Arc<HistoryEntry>,
    /// Key and sequence of the entry whose place it takes.
    replaced: Option<(u64, u64)>,
    /// Set when the entry was deleted meanwhile: then the prompt must still leave the queue on disk.
    deleted: bool,
}

impl Keeper {
    pub fn new(shared: Arc<Shared>, store: Store, limit: HistoryLimit) -> Self {
        Self { shared, store, syncer: None, limit, unsaved: Vec::new() }
    }

    /// Has accepted prompts confirmed by the disk from now on. The queue must have been loaded.
    pub fn set_syncer(&mut self, syncer: Syncer) {
        self.syncer = Some(syncer);
    }

    /// The database, for tests.
    #[cfg(test)]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Puts what is on disk into memory. What was running is queued again or given up.
    pub fn load(&mut self) -> Result<(), QueueError> {
        let shared = self.shared.clone();
        let mut state = shared.state();
        let loaded = self.store.load(|key, slot| state.history.insert(key, slot))?;
        state.counter = loaded.counter;
        state.sequence_next = loaded.sequence_next;
        state.set_paused(loaded.paused);
        let (now_ms, counter) = ((shared.clock)(), state.counter);
        // Of several that ran when the process ended, any may be the reason: each of them goes on alone first.
        let is_only_one = loaded.queued.iter().filter(|queued| queued.running).count() == 1;
        let (given_up, queued): (Vec<_>, Vec<_>) =
            loaded.queued.into_iter().partition(|queued| is_only_one && queued.running && queued.starts >= STARTS_MAX);
        for queued in queued {
            if queued.starts >= STARTS_MAX {
                state.suspects.insert(queued.job.sequence);
            }
            state.insert_pending(Arc::new(queued.job), queued.running || queued.resumed);
        }
        drop(state);
        self.store.commit(Operation::Recover, |write| {
            write.requeue_running(given_up.first().map(|queued| queued.job.sequence))?;
            write.set_counter(counter)
        })?;
        for queued in given_up {
            let start = Message::Start { timestamp_ms: queued.started_ms };
            let times = if queued.starts == 2 { "twice".to_owned() } else { format!("{} times", queued.starts) };
            let outcome = failed_prompt("ProcessEnded", format!("the process ended {times} while this prompt ran"));
            let entry = HistoryEntry::new(Arc::new(queued.job), vec![start], outcome, now_ms);
            self.finish(Arc::new(entry))?;
        }
        self.prune();
        Ok(())
    }

    /// Does what it is told until no one is left to tell it anything.
    pub fn serve(mut self, inbox: &Receiver<Command>) {
        let mut next = None;
        loop {
            let command = match next.take() {
                Some(command) => command,
                None => match self.receive(inbox) {
                    Ok(command) => command,
                    Err(RecvTimeoutError::Timeout) => {
                        self.retry();
                        self.prune();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                },
            };
            match command {
                Command::Call(work) => work(&mut self),
                Command::Submit { job, place, answer } => {
                    let mut group = vec![(job, place, answer)];
                    while group.len() < GROUP_MAX {
                        match inbox.try_recv() {
                            Ok(Command::Submit { job, place, answer }) => group.push((job, place, answer)),
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.submit(group);
                }
            }
            if self.store.is_dead() {
                return;
            }
        }
        self.save_unsaved();
    }

    /// Gives the first pending prompt to a worker.
    pub fn claim(&mut self) -> Result<Option<Claim>, QueueError> {
        if !self.save_unsaved() {
            return Err(QueueError::Write { reason: "earlier results are not written yet".into(), full: false });
        }
        let Some(job) = self.shared.state().claimable().cloned() else { return Ok(None) };
        let started_ms = (self.shared.clock)();
        self.write(Operation::Claim, |write| write.claim(job.sequence, started_ms))?;
        let claim = Claim { job: job.clone(), cancel: vita_base::Cancel::default(), started_ms };
        let mut state = self.shared.state();
        state.remove_pending(&[job.sequence]);
        if state.closing {
            claim.cancel.cancel();
        }
        state.begin(Running { job, cancel: claim.cancel.clone(), started_ms });
        Ok(Some(claim))
    }

    /// Moves a running prompt into the history. Where that cannot be written it is in the history in memory,
    /// and is tried again until it can.
    pub fn finish(&mut self, entry: Arc<HistoryEntry>) -> Result<(), QueueError> {
        self.save_unsaved();
        let (key, replaced) = {
            let state = self.shared.state();
            let replaced = state.history.key_of(&entry.job.id);
            (state.history.key_next, replaced.and_then(|key| Some((key, state.history.slot(key)?.sequence))))
        };
        let summary = Arc::new(JobSummary::of_entry(&entry));
        let saved_entry = SavedEntry::new(key, &entry, &summary);
        let bytes = saved_entry.bytes;
        let written = self.write(Operation::Finish, |write| {
            replaced.map_or(Ok(()), |(key, sequence)| write.delete_history(key, sequence))?;
            write.finish(&saved_entry)
        });
        if self.store.is_dead() {
            return Err(QueueError::Closed);
        }
        let saved = written.is_ok();
        if !saved {
            self.unsaved.push(Unsaved { key, entry: entry.clone(), replaced, deleted: false });
        }
        if let Some((replaced, _)) = replaced {
            self.forget(replaced);
        }
        {
            let mut state = self.shared.state();
            let sequence = entry.job.sequence;
            state.history.insert(key, Slot { summary, sequence, entry: Some(entry), bytes, saved });
            state.end(sequence);
        }
        self.prune();
        self.shared.bell.notify_all();
        Ok(())
    }

    /// Puts a running prompt back into the queue, as if it had not begun.
    pub fn give_back(&mut self, sequence: u64) -> Result<(), QueueError> {
        self.write(Operation::GiveBack, |write| write.give_back(sequence))?;
        let mut state = self.shared.state();
        if let Some(running) = state.end(sequence) {
            state.insert_pending(running.job, true);
        }
        drop(state);
        self.shared.bell.notify_all();
        Ok(())
    }

    /// Puts a running prompt back for another worker, unless none is left or it was handed on before. Says whether
    /// it did.
    pub fn hand_on(&mut self, sequence: u64) -> Result<bool, QueueError> {
        {
            let mut state = self.shared.state();
            if state.worker_count == 0 || !state.handed_on.insert(sequence) {
                return Ok(false);
            }
        }
        self.give_back(sequence).map(|()| true)
    }

    /// Removes pending prompts.
    pub fn remove_pending(&mut self, unwanted: impl Fn(&Job) -> bool) -> Result<usize, QueueError> {
        let sequences: Vec<u64> =
            self.shared.state().pending().filter(|job| unwanted(job)).map(|job| job.sequence).collect();
        if !sequences.is_empty() {
            self.write(Operation::Delete, |write| write.delete_queued(&sequences))?;
            self.shared.state().remove_pending(&sequences);
        }
        self.shared.emit_status();
        Ok(sequences.len())
    }

    /// Puts pending prompts of an id before all others.
    pub fn move_to_front(&mut self, id: &str) -> Result<bool, QueueError> {
        let found = {
            let mut state = self.shared.state();
            let found = state.pending().find(|job| *job.id == *id).cloned();
            found.map(|job| (state.is_resumed(&job), state.take_front_number(), state.counter, job))
        };
        let Some((resumed, number, counter, job)) = found else { return Ok(false) };
        self.write(Operation::Renumber, |write| {
            write.renumber(job.sequence, number)?;
            write.set_counter(counter)
        })?;
        let mut state = self.shared.state();
        state.remove_pending(&[job.sequence]);
        state.insert_pending(Arc::new(Job { number, ..(*job).clone() }), resumed);
        drop(state);
        self.shared.emit_status();
        Ok(true)
    }

    /// Pauses or resumes.
    pub fn set_paused(&mut self, paused: bool) -> Result<(), QueueError> {
        self.write(Operation::Pause, |write| write.set_paused(paused))?;
        self.shared.state().set_paused(paused);
        self.shared.bell.notify_all();
        Ok(())
    }

    fn submit(&mut self, group: Vec<(Job, Place, Answer)>) {
        self.save_unsaved();
        let (refusal, counter, jobs) = {
            let mut state = self.shared.state();
            let mut jobs = Vec::with_capacity(group.len());
            for (mut job, place, answer) in group {
                job.number = state.take_number(place);
                job.sequence = state.sequence_next;
                state.sequence_next += 1;
                jobs.push((Arc::new(job), answer));
            }
            let stranded = || state.stranded.clone().map(|reason| QueueError::NoWorker { reason });
            let refusal = if state.closing { Some(QueueError::Closed) } else { stranded() };
            (refusal, state.counter, jobs)
        };
        let written = match refusal {
            Some(refusal) => Err(refusal),
            None => self.write(Operation::Submit, |write| {
                for (job, _) in &jobs {
                    write.insert(job)?;
                }
                write.set_counter(counter)
            }),
        };
        if let Err(error) = written {
            jobs.into_iter().for_each(|(_, answer)| answer(Err(error.clone())));
            return;
        }
        {
            let mut state = self.shared.state();
            jobs.iter().for_each(|(job, _)| state.insert_pending(job.clone(), false));
        }
        self.shared.bell.notify_all();
        self.shared.emit_status();
        for (job, answer) in jobs {
            let ticket = Ticket { id: job.id.to_string(), number: job.number };
            match &self.syncer {
                Some(syncer) => syncer.answer_later((ticket, answer)),
                None => answer(Ok(ticket)),
            }
        }
    }

    /// Waits for a command, or until there is something to do without one.
    fn receive(&self, inbox: &Receiver<Command>) -> Result<Command, RecvTimeoutError> {
        if !self.unsaved.is_empty() || self.shared.state().trouble.is_some() {
            inbox.recv_timeout(RETRY_PAUSE)
        } else if self.limit.age.is_some() {
            inbox.recv_timeout(AGE_PAUSE)
        } else {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        }
    }

    /// Writes results that could not be written before. False while some still cannot.
    fn save_unsaved(&mut self) -> bool {
        while let Some(first) = self.unsaved.first() {
            let (key, entry, replaced, deleted) = (first.key, first.entry.clone(), first.replaced, first.deleted);
            let summary = Arc::new(JobSummary::of_entry(&entry));
            let saved = SavedEntry::new(key, &entry, &summary);
            let written = self.write(Operation::Finish, |write| {
                replaced.map_or(Ok(()), |(key, sequence)| write.delete_history(key, sequence))?;
                if deleted { write.delete_queued(&[entry.job.sequence]) } else { write.finish(&saved) }
            });
            if written.is_err() {
                return false;
            }
            self.shared.state().history.set_saved(key);
            self.unsaved.remove(0);
        }
        true
    }

    /// Writes what could not be written, or the counter to see whether the trouble is over.
    pub fn retry(&mut self) {
        let (trouble, counter) = {
            let state = self.shared.state();
            (state.trouble.is_some(), state.counter)
        };
        if self.save_unsaved() && trouble && self.shared.state().trouble.is_some() {
            let _ = self.write(Operation::Retry, |write| write.set_counter(counter));
        }
    }

    /// Commits a change, and tells of trouble when it begins and when it ends.
    fn write(
        &mut self,
        operation: Operation,
        work: impl FnOnce(&crate::store::Write<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), QueueError> {
        let result = self.store.commit(operation, work);
        let told = self.shared.state().trouble.is_some();
        match &result {
            Err(QueueError::Write { reason, .. }) if !told => {
                let message =
                    format!("the queue cannot be written ({reason}); nothing new is begun until it can be again");
                self.shared.state().trouble = Some(message.clone());
                self.shared.emit(&QueueEvent::Trouble { message: &message });
            }
            Ok(()) if told => {
                self.shared.state().trouble = None;
                self.shared.emit(&QueueEvent::Recovered);
                self.shared.bell.notify_all();
            }
            _ => {}
        }
        result
    }
}
