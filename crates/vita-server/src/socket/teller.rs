//! The thread that turns news into frames, in order, and hands them to the sockets they are for.
//!
//! It stands between the workers and the sockets so that no worker ever waits: not for a JPEG, not for JSON.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};

use indexmap::IndexMap;
use serde_json::{Value as Json, json};
use vita_queue::{Job, Message};

use super::Shared;
use super::frame::{self, Frame, Lane};
use super::news::News;
use super::preview::{self, Pixels};
use crate::wire::run;

/// Tells news until nobody is left who could bring any.
pub(super) fn tell_all(news: &mpsc::Receiver<News>, shared: &Shared) {
    let mut teller = Teller { shared, nodes: HashMap::new() };
    while let Ok(news) = news.recv() {
        teller.tell(news);
    }
}

struct Teller<'a> {
    shared: &'a Shared,
    /// Of each running prompt, by its sequence, all that have begun.
    nodes: HashMap<u64, IndexMap<String, NodeState>>,
}

struct NodeState {
    value: u64,
    total: u64,
    state: &'static str,
}

impl Teller<'_> {
    fn tell(&mut self, news: News) {
        match news {
            News::Status(remaining) => self.shared.broadcast(&status(remaining)),
            News::Started { job, at_ms } => {
                self.nodes.insert(job.sequence, IndexMap::new());
                self.shared.set_running(job.sequence, Running::begun(&job, at_ms));
                self.to_client(&job, "execution_start", Lane::Kept, || run::moment(&job.id, at_ms));
            }
            News::Cached { job, at_ms, nodes } => {
                self.to_client(&job, "execution_cached", Lane::Kept, || run::cached(&nodes, &job.id, at_ms));
            }
            News::Node { job, node } => {
                self.set(&job, &node, 0, 1, "running");
                self.progress_state(&job);
                self.shared.set_running_node(job.sequence, &node);
                let data = || json!({ "node": node, "display_node": node, "prompt_id": &*job.id });
                self.to_client(&job, "executing", Lane::Kept, data);
            }
            News::Progress { job, node, value, total } => {
                self.set(&job, &node, value, total, "running");
                self.progress_state(&job);
                let data = || json!({ "value": value, "max": total, "prompt_id": &*job.id, "node": node });
                self.to_watchers(&job, "progress", Lane::Progress(job.sequence), data);
            }
            News::Preview { job, node, pixels } => self.preview(&job, &node, pixels),
            News::Text { job, node, text } => self.text(&job, &node, &text),
            News::Executed { job, node, ui } => {
                let data = || json!({ "node": node, "display_node": node, "output": ui, "prompt_id": &*job.id });
                self.to_client(&job, "executed", Lane::Kept, data);
            }
            News::NodeDone { job, node } => {
                let total = self.node(&job, &node).map_or(1, |node| node.total);
                self.set(&job, &node, total, total, "finished");
                self.progress_state(&job);
            }
            News::Ended { job, entry } => {
                if let Some(message) = entry.messages.last() {
                    self.ended(&job, message);
                }
            }
            News::Released { job } => {
                self.nodes.remove(&job.sequence);
                self.shared.clear_running(job.sequence);
                self.to_client(&job, "executing", Lane::Kept, || json!({ "node": null, "prompt_id": &*job.id }));
            }
            // To its page it goes on: the next worker's start comes soon, and the end is told once.
            News::HandedOn { job } => {
                self.nodes.remove(&job.sequence);
                self.shared.clear_running(job.sequence);
            }
            News::Log(entry) => self.shared.to_log_readers(&entry),
        }
    }

    fn ended(&mut self, job: &Job, message: &Message) {
        if let Message::Error { failure, .. } = message
            && let Some(&NodeState { value, total, .. }) = self.node(job, &failure.node)
        {
            self.set(job, &failure.node, value, total, "error");
            self.progress_state(job);
        }
        let (kind, data) = run::message(message, &job.id);
        // Only of an interruption everyone hears where no client asked for the prompt.
        match message {
            Message::Interrupted { .. } => self.to_watchers(job, kind, Lane::Kept, || data),
            _ => self.to_client(job, kind, Lane::Kept, || data),
        }
    }

    fn node(&self, job: &Job, node: &str) -> Option<&NodeState> {
        self.nodes.get(&job.sequence)?.get(node)
    }

    fn set(&mut self, job: &Job, node: &str, value: u64, total: u64, state: &'static str) {
        let nodes = self.nodes.entry(job.sequence).or_default();
        nodes.insert(node.to_owned(), NodeState { value, total, state });
    }

    fn progress_state(&self, job: &Job) {
        self.to_watchers(job, "progress_state", Lane::ProgressState(job.sequence), || {
            let nodes: serde_json::Map<_, _> = self
                .nodes
                .get(&job.sequence)
                .into_iter()
                .flatten()
                .map(|(id, node)| {
                    let state = json!({
                        "value": node.value,
                        "max": node.total,
                        "state": node.state,
                        "node_id": id,
                        "prompt_id": &*job.id,
                        "display_node_id": id,
                        "parent_node_id": null,
                        "real_node_id": id,
                    });
                    (id.clone(), state)
                })
                .collect();
            json!({ "prompt_id": &*job.id, "nodes": nodes })
        });
    }

    fn preview(&self, job: &Job, node: &str, pixels: Pixels) {
        // A newer one has already been brought: this one would be shown for no time.
        if self.shared.has_newer_preview(job.sequence) || !self.shared.has_watchers(job) {
            return;
        }
        let Some(jpeg) = preview::encode(&pixels, self.shared.preview_side()) else { return };
        match &job.client_id {
            None => self.shared.broadcast(&frame::plain_preview(&jpeg)),
            Some(client) => {
                if let Some(member) = self.shared.member(client) {
                    let with_metadata = member.takes_metadata();
                    let frame = if with_metadata {
                        frame::preview_with_metadata(&job.id, node, &jpeg)
                    } else {
                        frame::plain_preview(&jpeg)
                    };
                    member.push(frame);
                }
            }
        }
    }

    fn text(&self, job: &Job, node: &str, text: &str) {
        let member = job.client_id.as_deref().and_then(|client| self.shared.member(client));
        if let Some(member) = member.filter(|member| member.takes_texts()) {
            member.push(frame::text(&job.id, node, text));
        }
    }

    /// To the client that sent the prompt, if it said who it is and listens.
    fn to_client(&self, job: &Job, kind: &str, lane: Lane, data: impl FnOnce() -> Json) {
        if let Some(member) = job.client_id.as_deref().and_then(|client| self.shared.member(client)) {
            member.push(Frame::event(kind, &data(), lane));
        }
    }

    /// To the client that sent the prompt, or to everyone where it did not say who it is.
    fn to_watchers(&self, job: &Job, kind: &str, lane: Lane, data: impl FnOnce() -> Json) {
        if job.client_id.is_some() {
            self.to_client(job, kind, lane, data);
        } else if self.shared.has_watchers(job) {
            self.shared.broadcast(&Frame::event(kind, &data(), lane));
        }
    }
}

/// `status` for everyone.
fn status(remaining: usize) -> Frame {
    Frame::event("status", &json!({ "status": exec_info(remaining) }), Lane::Status)
}

/// `{"exec_info": {"queue_remaining": N}}`
pub(crate) fn exec_info(remaining: usize) -> Json {
    json!({ "exec_info": { "queue_remaining": remaining } })
}

/// A running prompt, for pages that connect while it runs.
pub(super) struct Running {
    pub(super) client_id: Option<Arc<str>>,
    /// Its `execution_start`.
    start: Json,
    pub(super) node: Option<String>,
}

impl Running {
    fn begun(job: &Job, at_ms: u64) -> Self {
        Self { client_id: job.client_id.clone(), start: run::moment(&job.id, at_ms), node: None }
    }

    /// What a page that was reloaded has to hear. ComfyUI tells it the node alone; without the start the editor does
    /// not know that the prompt is its own, and offers no way to stop it.
    pub(super) fn retold(&self) -> impl Iterator<Item = Frame> {
        let start = Frame::event("execution_start", &self.start, Lane::Kept);
        let node = self.node.iter().map(|node| Frame::event("executing", &json!({ "node": node }), Lane::Kept));
        std::iter::once(start).chain(node)
    }
}
