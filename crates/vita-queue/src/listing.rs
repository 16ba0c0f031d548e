//! Jobs of every state in one list, as pages show them.

use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use vita_graph::Failure;

use crate::{HistoryEntry, Job};

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobStatus {
    /// In the queue.
    Pending,
    /// Running.
    InProgress,
    /// Ended with all outputs.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended because someone asked.
    Cancelled,
}

/// A job in a list.
#[derive(Clone, Debug)]
pub struct JobSummary {
    /// The prompt's id.
    pub id: Arc<str>,
    /// Where it is.
    pub status: JobStatus,
    /// Its number.
    pub number: f64,
    /// When it was accepted, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it began.
    pub started_ms: Option<u64>,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// The page's workflow that it was made from.
    pub workflow_id: Option<Arc<str>>,
    /// What it has for the page; none before it ended.
    pub result: Option<Arc<ResultSummary>>,
}

/// What a finished job has for the page.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ResultSummary {
    /// Number of things.
    pub outputs_count: usize,
    /// Number of those that can be shown.
    pub previewable_count: usize,
    /// The one to show.
    pub preview: Option<Preview>,
    /// Why it failed, if it did.
    #[serde(with = "crate::stored::option")]
    pub failure: Option<Failure>,
}

/// The output of a job that stands for it in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// The node that made it.
    pub node_id: String,
    /// Under which key: `images`, `video`, `gifs`, ...
    pub media_type: String,
    /// File name, folder and so on, as the node gave it.
    pub item: Json,
}

/// Which jobs, and in which order.
#[derive(Clone, Debug, Default)]
pub struct JobsQuery {
    /// Only these states; all if empty.
    pub statuses: Vec<JobStatus>,
    /// Only those of this workflow.
    pub workflow_id: Option<String>,
    /// What to sort by.
    pub sort_by: SortBy,
    /// Smallest first rather than largest.
    pub ascending: bool,
    /// At most so many.
    pub limit: Option<usize>,
    /// Leave out so many of the first.
    pub offset: usize,
}

/// What jobs are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// When they were accepted.
    #[default]
    Created,
    /// How long they ran; those that did not end count as 0.
    Duration,
}

/// Part of a list of jobs.
#[derive(Clone, Debug)]
pub struct JobsPage {
    /// The jobs asked for.
    pub jobs: Vec<Arc<JobSummary>>,
    /// How many there are in all.
    pub total: usize,
}

/// A job found by id.
#[derive(Clone, Debug)]
pub struct JobDetail {
    /// As in a list.
    pub summary: Arc<JobSummary>,
    /// The prompt.
    pub job: Arc<Job>,
    /// Its place in the history, if it ended.
    pub entry: Option<Arc<HistoryEntry>>,
}

impl JobSummary {
    pub(crate) fn of_job(job: &Job, status: JobStatus) -> Self {
        Self {
            id: job.id.clone(),
            status,
            number: job.number,
            created_ms: job.created_ms,
            started_ms: None,
            ended_ms: None,
            workflow_id: job.workflow_id.clone(),
            result: None,
        }
    }

    pub(crate) fn of_entry(entry: &HistoryEntry) -> Self {
        let result = ResultSummary { failure: entry.failure().cloned(), ..summarize(&entry.outputs) };
        Self {
            started_ms: Some(entry.started_ms()),
            ended_ms: Some(entry.ended_ms()),
            result: Some(Arc::new(result)),
            ..Self::of_job(&entry.job, entry.status())
        }
    }

    /// How long it ran, in milliseconds; 0 if it did not end.
    pub fn duration_ms(&self) -> u64 {
        self.ended_ms.zip(self.started_ms).map_or(0, |(end, start)| end.saturating_sub(start))
    }
}

impl JobsQuery {
    /// The page of a list that this asks for.
    pub(crate) fn apply(&self, jobs: impl Iterator<Item = Arc<JobSummary>>) -> JobsPage {
        let mut found: Vec<Arc<JobSummary>> = jobs.filter(|job| self.matches(job)).collect();
        let key = |job: &Arc<JobSummary>| match self.sort_by {
            SortBy::Created => job.created_ms,
            SortBy::Duration => job.duration_ms(),
        };
        if self.ascending {
            found.sort_by_key(key);
        } else {
            found.sort_by_key(|job| std::cmp::Reverse(key(job)));
        }
        let total = found.len();
        let jobs = found.into_iter().skip(self.offset).take(self.limit.unwrap_or(usize::MAX)).collect();
        JobsPage { jobs, total }
    }

    fn matches(&self, job: &JobSummary) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&job.status))
            && (self.workflow_id.is_none() || self.workflow_id.as_deref() == job.workflow_id.as_deref())
    }
}

/// Counts what nodes have for the page, and picks what stands for it: the first thing that is kept and can be
/// shown, or else the first that can be shown.
fn summarize(outputs: &IndexMap<String, Json>) -> ResultSummary {
    let mut summary = ResultSummary::default();
    let mut kept = false;
    for (node_id, ui) in outputs {
        let lists = ui.as_object().into_iter().flatten().filter(|(key, _)| *key != "animated");
        for (media_type, list) in lists {
            for item in list.as_array().into_iter().flatten().filter(|item| item.is_object()) {
                summary.outputs_count += 1;
                if !previewable(media_type, item) {
                    continue;
                }
                summary.previewable_count += 1;
                let is_kept = item["type"] == "output";
                if summary.preview.is_none() || (is_kept && !kept) {
                    let preview =
                        Preview { node_id: node_id.clone(), media_type: media_type.clone(), item: item.clone() };
                    summary.preview = Some(preview);
                    kept = is_kept;
                }
            }
        }
    }
    summary
}

fn previewable(media_type: &str, item: &Json) -> bool {
    const MEDIA_TYPES: [&str; 5] = ["images", "video", "audio", "3d", "text"];
    const EXTENSIONS: [&str; 5] = [".obj", ".fbx", ".gltf", ".glb", ".usdz"];
    let format = item["format"].as_str().unwrap_or_default();
    let name = item["filename"].as_str().unwrap_or_default().to_lowercase();
    MEDIA_TYPES.contains(&media_type)
        || format.starts_with("video/")
        || format.starts_with("audio/")
        || EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}
