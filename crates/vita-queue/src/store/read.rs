//! What is read from the database: everything at the start, old history entries later.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;
use rusqlite::{Connection, OpenFlags, Row};

use super::{CUT_SHORT, RUNNING};
use crate::state::{Found, Slot};
use crate::{HistoryEntry, Job, JobStatus, JobSummary, JsonText, Message, QueueError, ResultSummary, Secrets};

/// What [`job`] takes.
const JOB_COLUMNS: &str = "prompt.sequence, prompt.id, prompt.client_id, prompt.workflow_id, prompt.created_ms, \
    prompt.outputs, prompt.prompt, prompt.extra_data";

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
    /// Whether it ran when the process ended.
    pub running: bool,
    /// Whether it was cut short before, and goes before all others.
    pub resumed: bool,
    /// How often it was begun.
    pub starts: u32,
    pub started_ms: u64,
}

/// Reads the queue, and of the history a summary of each entry.
pub fn load(connection: &Connection, mut add_history: impl FnMut(u64, Slot)) -> rusqlite::Result<Loaded> {
    let setting = |name: &str| {
        let mut query = connection.prepare_cached("SELECT value FROM setting WHERE name = ?1")?;
        query.query_map([name], |row| row.get::<_, i64>(0))?.next().transpose()
    };
    let sequence_last: i64 =
        connection.query_row("SELECT coalesce(max(sequence), 0) FROM prompt", [], |row| row.get(0))?;
    let mut queued = connection.prepare(&format!(
        "SELECT {JOB_COLUMNS}, queued.number, state, starts, started_ms FROM queued JOIN prompt USING (sequence)"
    ))?;
    let queued = queued.query_map([], |row| {
        let state: i64 = row.get(9)?;
        Ok(Queued {
            job: job(row, row.get(8)?)?,
            running: state == RUNNING,
            resumed: state == CUT_SHORT,
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
    let mut finished = connection.prepare(
        "SELECT key, sequence, number, status, started_ms, ended_ms, summary, id, workflow_id, created_ms \
         FROM finished ORDER BY key",
    )?;
    let mut rows = finished.query([])?;
    while let Some(row) = rows.next()? {
        let summary = Arc::new(summary(row)?);
        add_history(get_u64(row, 0)?, Slot { summary, sequence: get_u64(row, 1)?, entry: None, bytes: 0, saved: true });
    }
    Ok(loaded)
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

fn from_json<T: serde::de::DeserializeOwned>(text: &str, column: usize) -> rusqlite::Result<T> {
    let conversion =
        |error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error));
    serde_json::from_str(text).map_err(conversion)
}
