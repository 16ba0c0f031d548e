//! The queue on disk: three tables in SQLite, and the statements that change them.
//!
//! `prompt` holds what was submitted and is written once; `queued` and `finished` say where it is, in small
//! rows, so that moving a prompt along never copies it.

mod read;
mod write;

use std::fs::{File, TryLockError};
use std::path::Path;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

pub use self::read::{Loaded, Reader};
pub use self::write::{SavedEntry, Write};
use crate::probe::{Point, Probe, Verdict};
use crate::state::Slot;
use crate::{QueueError, QueueOptions};

/// The format of the database; a newer one is refused.
const FORMAT: i64 = 1;

const SCHEMA: &str = "
    PRAGMA auto_vacuum = INCREMENTAL;
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS prompt (
        sequence INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        client_id TEXT,
        workflow_id TEXT,
        created_ms INTEGER NOT NULL,
        outputs TEXT NOT NULL,
        prompt TEXT NOT NULL,
        extra_data TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS queued (
        sequence INTEGER PRIMARY KEY,
        number REAL NOT NULL,
        state INTEGER NOT NULL,
        starts INTEGER NOT NULL,
        started_ms INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS finished (
        key INTEGER PRIMARY KEY,
        sequence INTEGER NOT NULL,
        id TEXT NOT NULL,
        workflow_id TEXT,
        created_ms INTEGER NOT NULL,
        number REAL NOT NULL,
        status INTEGER NOT NULL,
        started_ms INTEGER NOT NULL,
        ended_ms INTEGER NOT NULL,
        summary TEXT NOT NULL,
        messages TEXT NOT NULL,
        outputs TEXT NOT NULL
    );
    PRAGMA user_version = 1;
    COMMIT;
";

/// `queued.state` of what waits, what runs, and what ran when the worker went away and goes before all others.
const WAITING: i64 = 0;
const RUNNING: i64 = 1;
const CUT_SHORT: i64 = 2;

/// What a commit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Recover,
    Submit,
    Claim,
    Finish,
    GiveBack,
    Delete,
    Renumber,
    Pause,
    Forget,
    Retry,
}

/// The database, open for writing.
pub struct Store {
    connection: Connection,
    probe: Option<Probe>,
    dead: bool,
    /// Held while the database is open; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl Store {
    pub fn open(options: &QueueOptions) -> Result<Self, QueueError> {
        Self::open_probed(options, None)
    }

    /// With someone who may stop it at named points.
    pub fn open_probed(options: &QueueOptions, probe: Option<Probe>) -> Result<Self, QueueError> {
        let failed = |reason: String| QueueError::Open { path: options.path.clone(), reason };
        let lock = lock(&options.path)?;
        let connection = Connection::open(&options.path).map_err(|error| failed(error.to_string()))?;
        connection.set_prepared_statement_cache_capacity(32);
        prepare(&connection, &options.path).map_err(|error| failed(error.to_string()))??;
        Ok(Self { connection, probe, dead: false, _lock: lock })
    }

    /// Reads the queue, and of the history a summary of each entry.
    pub fn load(&self, add_history: impl FnMut(u64, Slot)) -> Result<Loaded, QueueError> {
        read::load(&self.connection, add_history).map_err(|error| QueueError::Read { reason: error.to_string() })
    }

    /// Does all of `work` or nothing of it.
    pub fn commit(
        &mut self,
        operation: Operation,
        work: impl FnOnce(&Write<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), QueueError> {
        self.probe(Point::Before(operation))?;
        let transaction = rusqlite::Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate);
        let transaction = transaction.map_err(write_error)?;
        work(&Write(&transaction)).map_err(write_error)?;
        transaction.commit().map_err(write_error)?;
        self.probe(Point::After(operation))
    }

    /// Gives pages that are no longer used back to the disk, at most 16 MiB.
    pub fn shrink(&self) {
        let shrink = || -> rusqlite::Result<()> {
            let mut pages = self.connection.prepare_cached("PRAGMA incremental_vacuum(4096)")?;
            let mut rows = pages.query([])?;
            // A page a step.
            while rows.next()?.is_some() {}
            Ok(())
        };
        // What cannot be given back now is reused later.
        let _ = shrink();
    }

    /// Has SQLite itself refuse to write, for tests.
    #[cfg(test)]
    pub fn set_pragma(&self, name: &str, value: i64) {
        self.connection
            .pragma_update_and_check(None, name, value, |_| Ok(()))
            .or_else(|_| self.connection.pragma_update(None, name, value))
            .expect("a pragma");
    }

    /// What SQLite itself says, for tests.
    #[cfg(test)]
    pub fn pragma(&self, name: &str) -> i64 {
        self.connection.pragma_query_value(None, name, |row| row.get(0)).expect("a pragma")
    }

    /// Whether a probe has ended it, as a crash would.
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    fn probe(&mut self, point: Point) -> Result<(), QueueError> {
        if self.dead {
            return Err(QueueError::Closed);
        }
        match self.probe.as_ref().map_or(Verdict::GoOn, |probe| probe(point)) {
            Verdict::GoOn => Ok(()),
            Verdict::Fail => Err(QueueError::Write { reason: "database or disk is full".into(), full: true }),
            Verdict::Die => {
                self.dead = true;
                Err(QueueError::Closed)
            }
        }
    }
}

/// Keeps other processes out.
fn lock(path: &Path) -> Result<File, QueueError> {
    let failed = |error: std::io::Error| QueueError::Open { path: path.into(), reason: error.to_string() };
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(name).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(QueueError::InUse { path: path.into() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn prepare(connection: &Connection, path: &Path) -> rusqlite::Result<Result<(), QueueError>> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > FORMAT {
        return Ok(Err(QueueError::Newer { path: path.into(), found, known: FORMAT }));
    }
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    if found < FORMAT {
        connection.execute_batch(SCHEMA)?;
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update_and_check(None, "journal_size_limit", 16 << 20, |_| Ok(()))?;
    Ok(Ok(()))
}

fn write_error(error: rusqlite::Error) -> QueueError {
    let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
    QueueError::Write { reason: error.to_string(), full }
}
