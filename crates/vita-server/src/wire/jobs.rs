//! `/api/jobs`: jobs of every state in one list, as newer pages use them.

use serde_json::{Map, Value as Json, json};
use vita_queue::{JobDetail, JobStatus, JobSummary, JobsPage, JobsQuery, SortBy};

use super::history::{Reader, outputs_text, status as execution_status};
use super::object::{Object, text};
use super::run;

const STATUSES: [(JobStatus, &str); 5] = [
    (JobStatus::Pending, "pending"),
    (JobStatus::InProgress, "in_progress"),
    (JobStatus::Completed, "completed"),
    (JobStatus::Failed, "failed"),
    (JobStatus::Cancelled, "cancelled"),
];

/// Reads the parameters of `GET /api/jobs`.
///
/// # Errors
/// Which one is wrong, and what it may be.
pub(crate) fn query<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<JobsQuery, String> {
    let mut query = JobsQuery::default();
    for (name, value) in parameters {
        match name {
            "status" => query.statuses = statuses(value)?,
            "workflow_id" if !value.is_empty() => query.workflow_id = Some(value.to_owned()),
            "sort_by" => {
                query.sort_by = match value {
                    "created_at" => SortBy::Created,
                    "execution_duration" => SortBy::Duration,
                    _ => return Err(format!("sort_by is {value:?}, expected created_at or execution_duration")),
                }
            }
            "sort_order" => {
                query.ascending = match value {
                    "asc" => true,
                    "desc" => false,
                    _ => return Err(format!("sort_order is {value:?}, expected asc or desc")),
                }
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| *limit > 0);
                query.limit = Some(limit.ok_or(format!("limit is {value:?}, expected a whole number from 1"))?);
            }
            "offset" => {
                let offset: i64 = value.parse().map_err(|_| format!("offset is {value:?}, expected a whole number"))?;
                query.offset = usize::try_from(offset).unwrap_or(0);
            }
            _ => {}
        }
    }
    Ok(query)
}

/// `{"jobs": [...], "pagination": {...}}`
pub(crate) fn page(page: &JobsPage, query: &JobsQuery) -> Json {
    let jobs: Vec<_> = page.jobs.iter().map(|job| summary(job)).collect();
    json!({
        "jobs": jobs,
        "pagination": {
            "offset": query.offset,
            "limit": query.limit,
            "total": page.total,
            "has_more": query.offset + page.jobs.len() < page.total,
        },
    })
}

/// A job with its workflow and, once it ended, its outputs.
pub(crate) fn detail(detail: &JobDetail) -> String {
    let mut body = Object::new();
    for (key, value) in summary(&detail.summary) {
        body.member(&key, &value);
    }
    if let Some(entry) = &detail.entry {
        body.raw("outputs", &outputs_text(entry, Reader::Page))
            .raw("execution_status", &text(&execution_status(entry)));
    }
    let mut workflow = Object::new();
    workflow.raw("prompt", detail.job.prompt.as_str()).raw("extra_data", detail.job.extra_data.as_str());
    body.raw("workflow", &workflow.end());
    body.end()
}

/// Members that have no value are left out: pages check types strictly, and one bad job empties their list.
fn summary(job: &JobSummary) -> Map<String, Json> {
    let status = STATUSES.iter().find(|(status, _)| *status == job.status).map(|(_, name)| *name);
    let mut members = Map::new();
    let mut set = |key: &str, value: Json| {
        if !value.is_null() {
            members.insert(key.to_owned(), value);
        }
    };
    set("id", (*job.id).into());
    set("status", status.into());
    set("priority", super::number(job.number));
    set("create_time", job.created_ms.into());
    set("execution_start_time", job.started_ms.into());
    set("execution_end_time", job.ended_ms.into());
    let result = job.result.as_deref();
    if let Some(failure) = result.and_then(|result| result.failure.as_ref()) {
        set("execution_error", run::error(failure, &job.id, job.ended_ms.unwrap_or_default()));
    }
    set("outputs_count", result.map_or(0, |result| result.outputs_count).into());
    if let Some(result) = result {
        set("previewable_outputs_count", result.previewable_count.into());
    }
    if let Some(preview) = result.and_then(|result| result.preview.as_ref()) {
        let mut item = preview.item.clone();
        item["nodeId"] = preview.node_id.as_str().into();
        item["mediaType"] = preview.media_type.as_str().into();
        set("preview_output", item);
    }
    set("workflow_id", job.workflow_id.as_deref().into());
    members
}

fn statuses(list: &str) -> Result<Vec<JobStatus>, String> {
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let found = STATUSES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
            let known = || STATUSES.map(|(_, name)| name).join(", ");
            found.map(|(status, _)| *status).ok_or_else(|| format!("status {name:?} is unknown, expected {}", known()))
        })
        .collect()
}
