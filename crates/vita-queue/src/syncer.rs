//! Writes accepted prompts through to the disk before their clients are answered, beside the keeper.
//!
//! The keeper's commits end in the write-ahead log, in the system's memory. Flushing that file puts all of them on
//! the disk at once; SQLite itself flushes it before it moves pages into the database, and the database before it
//! begins the log anew. So the keeper and the worker never wait for the disk, and one flush serves all prompts that
//! arrived during the one before.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use crate::keeper::Answer;
use crate::{QueueError, Ticket};

/// The thread that flushes; ends, after its last answers, when this is dropped.
pub struct Syncer {
    sender: Option<Sender<Accepted>>,
    thread: Option<JoinHandle<()>>,
}

/// A prompt that is committed, and who waits for it.
pub type Accepted = (Ticket, Answer);

impl Syncer {
    /// For a database that is open and has been written to.
    pub fn spawn(database: &Path) -> std::io::Result<Self> {
        let mut name = database.as_os_str().to_owned();
        name.push("-wal");
        let log = File::options().read(true).write(true).open(name)?;
        // The log's name must be on the disk as well. Not every system can flush a folder, and some need not.
        if let Some(Ok(folder)) = database.parent().map(File::open) {
            let _ = folder.sync_all();
        }
        let (sender, receiver) = mpsc::channel();
        let serve = move || serve(&log, &receiver);
        let thread = std::thread::Builder::new().name("queue-syncer".into()).spawn(serve)?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// Answers after the next flush.
    pub fn answer_later(&self, accepted: Accepted) {
        if let Some(sender) = &self.sender {
            // The thread lives as long as the sender.
            let _ = sender.send(accepted);
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(log: &File, receiver: &Receiver<Accepted>) {
    while let Ok(first) = receiver.recv() {
        let group: Vec<Accepted> = std::iter::once(first).chain(receiver.try_iter()).collect();
        let flushed = log.sync_data().map_err(|error| QueueError::Flush { reason: error.to_string() });
        for (ticket, answer) in group {
            answer(flushed.clone().map(|()| ticket));
        }
    }
}
