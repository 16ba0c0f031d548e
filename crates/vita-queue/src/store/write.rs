//! The statements that change the database, each part of a commit.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::{CUT_SHORT, RUNNING, WAITING};
use crate::{HistoryEntry, Job, JobStatus, JobSummary};

/// A history entry as it is written.
pub struct SavedEntry {
    /// What the entry takes in memory, about.
    pub bytes: usize,
    key: u64,
    job: Arc<Job>,
    status: JobStatus,
    started_ms: u64,
    ended_ms: u64,
    summary: String,
    messages: String,
    outputs: String,
}

/// Statements within a commit.
pub struct Write<'a>(pub &'a Connection);

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
            "INSERT INTO queued (sequence, number, state, starts, started_ms) VALUES (?1, ?2, ?3, 0, 0)",
            params![job.sequence.cast_signed(), job.number, WAITING],
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
            "UPDATE queued SET state = ?3, starts = starts + 1, started_ms = ?2 WHERE sequence = ?1",
            params![sequence.cast_signed(), started_ms.cast_signed(), RUNNING],
        )
    }

    pub fn give_back(&self, sequence: u64) -> rusqlite::Result<()> {
        self.run(
            "UPDATE queued SET state = ?2, starts = starts - 1 WHERE sequence = ?1",
            params![sequence.cast_signed(), CUT_SHORT],
        )
    }

    /// Lets what was running wait again, but for one that was begun too often.
    pub fn requeue_running(&self, given_up: Option<u64>) -> rusqlite::Result<()> {
        self.run(
            "UPDATE queued SET state = ?3 WHERE state = ?2 AND sequence IS NOT ?1",
            params![given_up.map(u64::cast_signed), RUNNING, CUT_SHORT],
        )
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
        self.run("DELETE FROM queued WHERE sequence = ?1", [entry.job.sequence.cast_signed()])?;
        self.run(
            "INSERT INTO finished (key, sequence, number, status, started_ms, ended_ms, summary, messages, outputs, \
             id, workflow_id, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                entry.key.cast_signed(),
                entry.job.sequence.cast_signed(),
                entry.job.number,
                status_code(entry.status),
                entry.started_ms.cast_signed(),
                entry.ended_ms.cast_signed(),
                entry.summary,
                entry.messages,
                entry.outputs,
                &*entry.job.id,
                entry.job.workflow_id.as_deref(),
                entry.job.created_ms.cast_signed(),
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
            job: job.clone(),
            status: summary.status,
            started_ms: entry.started_ms(),
            ended_ms: entry.ended_ms(),
            summary: summary_text,
            messages,
            outputs,
        }
    }
}

/// As it is stored.
fn status_code(status: JobStatus) -> i64 {
    match status {
        JobStatus::Completed => 0,
        JobStatus::Cancelled => 2,
        _ => 1,
    }
}

fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    // Maps with text keys and plain values, which always have a text.
    serde_json::to_string(value).unwrap_or_default()
}
