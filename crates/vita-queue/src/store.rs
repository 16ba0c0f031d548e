//! The queue on disk: three tables in SQLite, and the statements that change them.
//!
//! `prompt` holds what was submitted and is written once; `queued` and `finished` say where it is, in small
//! rows, so that moving a prompt along never copies it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, TransactionBehavior, params};

use crate::probe::{Point, Probe, Verdict};
use crate::state::{Found, Slot};
use crate::{
    Durability, HistoryEntry, Job, JobStatus, JobSummary, JsonText, Message, QueueError, QueueOptions, ResultSummary,
    Secrets,
};

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
        running INTEGER NOT NULL,
        starts INTEGER NOT NULL,
        started_ms INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS finished (
        key INTEGER PRIMARY KEY,
        sequence INTEGER NOT NULL,
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

const JOB_COLUMNS: &str = "prompt.sequence, prompt.id, prompt.client_id, prompt.workflow_id, prompt.created_ms, \
    prompt.outputs, prompt.prompt, prompt.extra_data";

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
}

/// The database, open for writing.
pub struct Store {
    connection: Connection,
    durability: Durability,
    /// Whether commits are written through to the disk at the moment.
    synced: bool,
    history_memory_bytes: usize,
    probe: Option<Probe>,
    dead: bool,
    /// Held while the database is open; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

/// What was on disk, but for the history.
pub struct Loaded {
    pub counter: u64,
    pub sequence_next: u64,
    pub paused: bool,
    pub queued: Vec<Queued>,
}

/// A prompt that did not finish.
pub struct Queued {
    pub job: Job,
    pub running: bool,
    pub starts: u32,
    pub started_ms: u64,
}

/// A history entry as it is written.
pub struct SavedEntry {
    /// What the entry takes in memory, about.
    pub bytes: usize,
    key: u64,
    sequence: u64,
    number: f64,
    status: JobStatus,
    started_ms: u64,
    ended_ms: u64,
    summary: String,
    messages: String,
    outputs: String,
}

/// Statements within a commit.
pub struct Write<'a>(&'a Connection);

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
        Ok(Self {
            connection,
            durability: options.durability,
            synced: false,
            history_memory_bytes: options.history_memory_bytes,
            probe,
            dead: false,
            _lock: lock,
        })
    }

    /// Reads everything; of the history a summary each, and of its newest part the whole entries.
    pub fn load(&mut self, add_history: impl FnMut(u64, Slot)) -> Result<Loaded, QueueError> {
        self.read(add_history).map_err(|error| QueueError::Read { reason: error.to_string() })
    }

    /// Does all of `work` or nothing of it.
    pub fn commit(
        &mut self,
        operation: Operation,
        work: impl FnOnce(&Write<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), QueueError> {
        self.probe(Point::Before(operation))?;
        self.set_synced(operation).map_err(write_error)?;
        let transaction = rusqlite::Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate);
        let transaction = transaction.map_err(write_error)?;
        work(&Write(&transaction)).map_err(write_error)?;
        transaction.commit().map_err(write_error)?;
        self.probe(Point::After(operation))
    }

    /// Gives pages that are no longer used back to the disk, a few at a time.
    pub fn shrink(&self) {
        // What cannot be given back now is reused later.
        let _ = self.connection.execute_batch("PRAGMA incremental_vacuum(4096)");
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

    /// Prompts that clients were told are accepted must outlive the power, if so wanted; the rest repeats itself.
    fn set_synced(&mut self, operation: Operation) -> rusqlite::Result<()> {
        let synced =
            self.durability == Durability::PowerLoss && !matches!(operation, Operation::Claim | Operation::Finish);
        if synced != self.synced {
            self.connection.pragma_update(None, "synchronous", if synced { "FULL" } else { "NORMAL" })?;
            self.synced = synced;
        }
        Ok(())
    }

    fn read(&mut self, mut add_history: impl FnMut(u64, Slot)) -> rusqlite::Result<Loaded> {
        let connection = &self.connection;
        let setting = |name: &str| {
            let mut query = connection.prepare_cached("SELECT value FROM setting WHERE name = ?1")?;
            query.query_map([name], |row| row.get::<_, i64>(0))?.next().transpose()
        };
        let sequence_last: i64 =
            connection.query_row("SELECT coalesce(max(sequence), 0) FROM prompt", [], |row| row.get(0))?;
        let mut queued = connection.prepare(&format!(
            "SELECT {JOB_COLUMNS}, queued.number, running, starts, started_ms FROM queued JOIN prompt USING (sequence)"
        ))?;
        let queued = queued.query_map([], |row| {
            Ok(Queued {
                job: job(row, row.get(8)?)?,
                running: row.get(9)?,
                starts: row.get(10)?,
                started_ms: get_u64(row, 11)?,
            })
        })?;
        let loaded = Loaded {
            counter: setting("counter")?.unwrap_or(0).cast_unsigned(),
            sequence_next: sequence_last.cast_unsigned() + 1,
            paused: setting("paused")?.unwrap_or(0) != 0,
            queued: queued.collect::<Result<_, _>>()?,
        };
        let whole_from = whole_entries_from(connection, self.history_memory_bytes)?;
        let mut finished = connection.prepare(
            "SELECT key, finished.sequence, number, status, started_ms, ended_ms, summary, \
             prompt.id, prompt.workflow_id, prompt.created_ms FROM finished JOIN prompt USING (sequence) \
             WHERE key < ?1 ORDER BY key",
        )?;
        let mut rows = finished.query([whole_from])?;
        while let Some(row) = rows.next()? {
            let slot = Slot { summary: summary(row)?, sequence: get_u64(row, 1)?, entry: None, bytes: 0, saved: true };
            add_history(get_u64(row, 0)?, slot);
        }
        for (key, entry) in read_entries(connection, whole_from, i64::MAX)? {
            let summary = JobSummary::of_entry(&entry);
            let bytes = SavedEntry::new(key, &entry, &summary).bytes;
            add_history(key, Slot { summary, sequence: entry.job.sequence, entry: Some(entry), bytes, saved: true });
        }
        Ok(loaded)
    }
}

impl Write<'_> {
    pub fn insert(&self, job: &Job) -> rusqlite::Result<()> {
        self.run(
            "INSERT INTO prompt (sequence, id, client_id, workflow_id, created_ms, outputs, prompt, extra_data) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                job.sequence.cast_signed(),
                &*job.id,
                job.client_id.as_deref(),
                job.workflow_id.as_deref(),
                job.created_ms.cast_signed(),
                to_json(&*job.outputs),
                job.prompt.as_str(),
                job.extra_data.as_str(),
            ],
        )?;
        self.run(
            "INSERT INTO queued (sequence, number, running, starts, started_ms) VALUES (?1, ?2, 0, 0, 0)",
            params![job.sequence.cast_signed(), job.number],
        )
    }

    pub fn set_counter(&self, counter: u64) -> rusqlite::Result<()> {
        self.set("counter", counter.cast_signed())
    }

    pub fn set_paused(&self, paused: bool) -> rusqlite::Result<()> {
        self.set("paused", paused.into())
    }

    pub fn claim(&self, sequence: u64, started_ms: u64) -> rusqlite::Result<()> {
        self.run(
            "UPDATE queued SET running = 1, starts = starts + 1, started_ms = ?2 WHERE sequence = ?1",
            params![sequence.cast_signed(), started_ms.cast_signed()],
        )
    }

    pub fn give_back(&self, sequence: u64) -> rusqlite::Result<()> {
        self.run("UPDATE queued SET running = 0, starts = starts - 1 WHERE sequence = ?1", [sequence.cast_signed()])
    }

    /// Lets what was running wait again, unless it was begun too often.
    pub fn requeue_running(&self, starts_max: u32) -> rusqlite::Result<()> {
        self.run("UPDATE queued SET running = 0 WHERE running = 1 AND starts < ?1", [starts_max])
    }

    pub fn renumber(&self, sequence: u64, number: f64) -> rusqlite::Result<()> {
        self.run("UPDATE queued SET number = ?2 WHERE sequence = ?1", params![sequence.cast_signed(), number])
    }

    /// Removes prompts that did not finish.
    pub fn delete_queued(&self, sequences: &[u64]) -> rusqlite::Result<()> {
        for sequence in sequences {
            self.run("DELETE FROM queued WHERE sequence = ?1", [sequence.cast_signed()])?;
            self.run("DELETE FROM prompt WHERE sequence = ?1", [sequence.cast_signed()])?;
        }
        Ok(())
    }

    pub fn finish(&self, entry: &SavedEntry) -> rusqlite::Result<()> {
        self.run("DELETE FROM queued WHERE sequence = ?1", [entry.sequence.cast_signed()])?;
        self.run(
            "INSERT INTO finished (key, sequence, number, status, started_ms, ended_ms, summary, messages, outputs) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                entry.key.cast_signed(),
                entry.sequence.cast_signed(),
                entry.number,
                status_code(entry.status),
                entry.started_ms.cast_signed(),
                entry.ended_ms.cast_signed(),
                entry.summary,
                entry.messages,
                entry.outputs,
            ],
        )
    }

    /// Removes a finished prompt.
    pub fn delete_history(&self, key: u64, sequence: u64) -> rusqlite::Result<()> {
        self.run("DELETE FROM finished WHERE key = ?1", [key.cast_signed()])?;
        self.run(
            "DELETE FROM prompt WHERE sequence = ?1 AND sequence NOT IN (SELECT sequence FROM queued)",
            [sequence.cast_signed()],
        )
    }

    fn set(&self, name: &str, value: i64) -> rusqlite::Result<()> {
        self.run("INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)", params![name, value])
    }

    fn run(&self, statement: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.0.prepare_cached(statement)?.execute(values).map(drop)
    }
}

impl SavedEntry {
    pub fn new(key: u64, entry: &HistoryEntry, summary: &JobSummary) -> Self {
        let summary_text = summary.result.as_ref().map(|result| to_json(&**result)).unwrap_or_default();
        let (messages, outputs) = (to_json(&entry.messages), to_json(&entry.outputs));
        let job = &entry.job;
        // Parsed JSON takes several times its text; the prompt and the extra data are kept as text.
        let bytes =
            512 + job.prompt.as_str().len() + job.extra_data.as_str().len() + 4 * (messages.len() + outputs.len());
        Self {
            bytes,
            key,
            sequence: job.sequence,
            number: job.number,
            status: summary.status,
            started_ms: entry.started_ms(),
            ended_ms: entry.ended_ms(),
            summary: summary_text,
            messages,
            outputs,
        }
    }
}

/// Reads entries that memory no longer holds, beside the keeper.
pub struct Reader {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl Reader {
    pub fn new(path: &Path) -> Self {
        Self { path: path.into(), connection: Mutex::new(None) }
    }

    /// Fetches what is on disk only; what was deleted meanwhile is left out.
    pub fn complete(&self, found: Vec<Found>) -> Result<Vec<Arc<HistoryEntry>>, QueueError> {
        let keys = found.iter().filter_map(|found| if let Found::OnDisk(key) = found { Some(*key) } else { None });
        let range = keys.fold(None, |range: Option<(u64, u64)>, key| {
            let (first, last) = range.unwrap_or((key, key));
            Some((first.min(key), last.max(key)))
        });
        let mut fetched: IndexMap<u64, Arc<HistoryEntry>> = match range {
            None => IndexMap::new(),
            Some((first, last)) => self.read(first, last)?.into_iter().collect(),
        };
        let entries = found.into_iter().filter_map(|found| match found {
            Found::Here(entry) => Some(entry),
            Found::OnDisk(key) => fetched.swap_remove(&key),
        });
        Ok(entries.collect())
    }

    fn read(&self, first: u64, last: u64) -> Result<Vec<(u64, Arc<HistoryEntry>)>, QueueError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = || {
            if connection.is_none() {
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                *connection = Some(Connection::open_with_flags(&self.path, flags)?);
            }
            match &*connection {
                Some(connection) => read_entries(connection, first.cast_signed(), last.cast_signed()),
                None => Ok(Vec::new()),
            }
        };
        read().map_err(|error: rusqlite::Error| QueueError::Read { reason: error.to_string() })
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

/// The first key of the newest entries that fit into memory.
fn whole_entries_from(connection: &Connection, bytes_max: usize) -> rusqlite::Result<i64> {
    let mut sizes = connection.prepare(
        "SELECT key, 512 + octet_length(prompt.prompt) + octet_length(prompt.extra_data) \
         + 4 * (octet_length(messages) + octet_length(finished.outputs)) \
         FROM finished JOIN prompt USING (sequence) ORDER BY key DESC",
    )?;
    let mut rows = sizes.query([])?;
    let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
    let (mut first, mut bytes) = (i64::MAX, 0_i64);
    while let Some(row) = rows.next()? {
        bytes = bytes.saturating_add(row.get(1)?);
        if bytes > bytes_max {
            break;
        }
        first = row.get(0)?;
    }
    Ok(first)
}

fn read_entries(connection: &Connection, first: i64, last: i64) -> rusqlite::Result<Vec<(u64, Arc<HistoryEntry>)>> {
    let mut entries = connection.prepare_cached(&format!(
        "SELECT {JOB_COLUMNS}, finished.number, key, messages, finished.outputs \
         FROM finished JOIN prompt USING (sequence) WHERE key BETWEEN ?1 AND ?2 ORDER BY key"
    ))?;
    let entries = entries.query_map([first, last], |row| {
        let (messages, outputs): (String, String) = (row.get(10)?, row.get(11)?);
        let entry = HistoryEntry {
            job: Arc::new(job(row, row.get(8)?)?),
            messages: from_json::<Vec<Message>>(&messages, 10)?,
            outputs: from_json(&outputs, 11)?,
        };
        Ok((get_u64(row, 9)?, Arc::new(entry)))
    })?;
    entries.collect()
}

/// A job from [`JOB_COLUMNS`].
fn job(row: &Row<'_>, number: f64) -> rusqlite::Result<Job> {
    let text = |index| row.get::<_, String>(index);
    let optional = |index| row.get::<_, Option<String>>(index).map(|text| text.map(Into::into));
    Ok(Job {
        sequence: get_u64(row, 0)?,
        id: text(1)?.into(),
        number,
        client_id: optional(2)?,
        workflow_id: optional(3)?,
        created_ms: get_u64(row, 4)?,
        outputs: from_json::<Vec<String>>(&text(5)?, 5)?.into(),
        prompt: JsonText::trusted(text(6)?),
        extra_data: JsonText::trusted(text(7)?),
        secrets: Secrets::default(),
    })
}

fn summary(row: &Row<'_>) -> rusqlite::Result<JobSummary> {
    Ok(JobSummary {
        number: row.get(2)?,
        status: status_of(row.get(3)?),
        started_ms: Some(get_u64(row, 4)?),
        ended_ms: Some(get_u64(row, 5)?),
        result: Some(Arc::new(from_json::<ResultSummary>(&row.get::<_, String>(6)?, 6)?)),
        id: row.get::<_, String>(7)?.into(),
        workflow_id: row.get::<_, Option<String>>(8)?.map(Into::into),
        created_ms: get_u64(row, 9)?,
    })
}

fn status_code(status: JobStatus) -> i64 {
    match status {
        JobStatus::Completed => 0,
        JobStatus::Cancelled => 2,
        _ => 1,
    }
}

fn status_of(code: i64) -> JobStatus {
    match code {
        0 => JobStatus::Completed,
        2 => JobStatus::Cancelled,
        _ => JobStatus::Failed,
    }
}

fn get_u64(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(index).map(i64::cast_unsigned)
}

fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    // Maps with text keys and plain values, which always have a text.
    serde_json::to_string(value).unwrap_or_default()
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str, column: usize) -> rusqlite::Result<T> {
    let conversion =
        |error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error));
    serde_json::from_str(text).map_err(conversion)
}

fn write_error(error: rusqlite::Error) -> QueueError {
    let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
    QueueError::Write { reason: error.to_string(), full }
}
