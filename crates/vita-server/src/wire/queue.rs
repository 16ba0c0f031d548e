//! `/queue`: jobs as `[number, id, prompt, extra_data, outputs]`.

use vita_queue::{Job, Snapshot};

use super::object::{Object, array, text};

/// `{"queue_running": [...], "queue_pending": [...]}`, the pending ones in the order in which they will run; and
/// `"paused": true` while nothing new is begun, which ComfyUI does not know.
pub(crate) fn queue(snapshot: &Snapshot) -> String {
    let mut body = Object::new();
    body.raw("queue_running", &array(snapshot.running.iter().map(|job| item(job))))
        .raw("queue_pending", &array(snapshot.pending.iter().map(|job| item(job))));
    if snapshot.paused {
        body.member("paused", &true);
    }
    body.end()
}

/// One job.
pub(crate) fn item(job: &Job) -> String {
    array([
        super::number(job.number).to_string(),
        text(&*job.id),
        job.prompt.as_str().into(),
        job.extra_data.as_str().into(),
        text(&*job.outputs),
    ])
}
