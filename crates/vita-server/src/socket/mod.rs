//! The WebSocket: who listens, and what they are told.
//!
//! The queue's threads and the log hand [`news::News`] to one thread, the `teller`, which makes frames of it in
//! order and puts them into the backlog of each `member`; a task per socket (`session`) sends them. Nobody ever
//! waits for a reader.

mod frame;
mod member;
mod news;
mod preview;
mod session;
mod teller;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use axum::Router;
use axum::routing::get;
use serde_json::json;
use tokio::sync::watch;
use vita_queue::{HistoryEntry, Job, QueueEvent, Subscriber};

use crate::config::PreviewMethod;
use crate::logs::LogEntry;
use crate::{App, wire};
use frame::{Frame, Lane};
use member::Member;
use news::News;
use teller::Running;
pub(crate) use teller::exec_info;

/// The open WebSockets. Clones are the same.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
    news: mpsc::Sender<News>,
}

/// What the teller and the sockets' tasks share.
pub(crate) struct Shared {
    members: Mutex<HashMap<String, Arc<Member>>>,
    log_readers: Mutex<HashSet<String>>,
    /// By the prompts' sequence.
    running: Mutex<BTreeMap<u64, Running>>,
    /// By the prompts' sequence.
    previews_waiting: Mutex<HashMap<u64, usize>>,
    closing: watch::Sender<bool>,
    preview_side: u32,
    utc_offset_seconds: i32,
    preview_method: PreviewMethod,
}

/// How previews are made and times are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HubOptions {
    pub(crate) preview_method: PreviewMethod,
    pub(crate) preview_side: u32,
    pub(crate) utc_offset_seconds: i32,
}

/// Routes that exist bare and under `/api`.
pub(crate) fn twins() -> Router<Arc<App>> {
    Router::new().route("/ws", get(session::open))
}

impl Hub {
    /// No sockets yet; starts the thread that tells.
    pub(crate) fn new(options: HubOptions) -> Self {
        let shared = Arc::new(Shared {
            members: Mutex::default(),
            log_readers: Mutex::default(),
            running: Mutex::default(),
            previews_waiting: Mutex::default(),
            closing: watch::Sender::new(false),
            preview_side: options.preview_side,
            utc_offset_seconds: options.utc_offset_seconds,
            preview_method: options.preview_method,
        });
        let (news, received) = mpsc::channel();
        let teller = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("events".into())
            .spawn(move || teller::tell_all(&received, &teller))
            .expect("a program that cannot start a thread cannot serve");
        Self { shared, news }
    }

    /// How many sockets hear what is broadcast.
    pub fn socket_count(&self) -> usize {
        lock(&self.shared.members).len()
    }

    /// Closes every socket; those that come later are closed at once.
    pub fn close(&self) {
        self.shared.closing.send_replace(true);
    }

    /// Starts or stops log events to a socket. An id that no socket has is ignored.
    pub(crate) fn subscribe_to_logs(&self, client_id: &str, enabled: bool) {
        let connected = lock(&self.shared.members).contains_key(client_id);
        let mut readers = lock(&self.shared.log_readers);
        if enabled && connected {
            readers.insert(client_id.to_owned());
        } else {
            readers.remove(client_id);
        }
    }

    pub(crate) fn log(&self, entry: &LogEntry) {
        if !lock(&self.shared.log_readers).is_empty() {
            self.bring(News::Log(entry.clone()));
        }
    }

    /// Registers a socket. It takes over from an earlier one of the same id, which hears no more.
    fn join(&self, id: String, remaining: impl FnOnce() -> usize) -> Arc<Member> {
        let member = Arc::new(Member::new(id));
        // While the members are locked nothing is told, so nothing can come between the greeting and what follows.
        let mut members = lock(&self.shared.members);
        let data = json!({ "status": exec_info(remaining()), "sid": member.id });
        member.push(Frame::event("status", &data, Lane::Kept));
        let running = lock(&self.shared.running);
        let own = running.values().filter(|running| running.client_id.as_deref() == Some(&*member.id));
        own.flat_map(Running::retold).for_each(|frame| member.push(frame));
        drop(running);
        members.insert(member.id.clone(), Arc::clone(&member));
        member
    }

    /// Forgets a socket, unless another one has its id by now.
    fn leave(&self, member: &Arc<Member>) {
        let mut members = lock(&self.shared.members);
        if members.get(&member.id).is_some_and(|current| Arc::ptr_eq(current, member)) {
            members.remove(&member.id);
            lock(&self.shared.log_readers).remove(&member.id);
        }
    }

    fn closing(&self) -> watch::Receiver<bool> {
        self.shared.closing.subscribe()
    }

    fn bring(&self, news: News) {
        if let News::Preview { job, .. } = &news {
            *lock(&self.shared.previews_waiting).entry(job.sequence).or_default() += 1;
        }
        // The teller ends only after the last hub.
        let _ = self.news.send(news);
    }
}

impl Subscriber for Hub {
    fn on_event(&self, event: &QueueEvent<'_>) {
        match event {
            QueueEvent::Trouble { message } => tracing::error!("{message}"),
            QueueEvent::WorkerLost { reason, left: 0 } => {
                tracing::error!("{reason}. Nothing is left to run prompts: what waits runs after the next start");
            }
            QueueEvent::WorkerLost { reason, left } => tracing::error!("{reason}. Workers left: {left}"),
            QueueEvent::HandedOn { job } => tracing::info!("Prompt {} goes to the next free worker.", job.id),
            QueueEvent::Recovered => tracing::info!("The queue can be written again."),
            QueueEvent::Finished { job, entry } => log_end(job, entry),
            _ => {}
        }
        if let Some(news) = News::of(event) {
            self.bring(news);
        }
    }

    /// Asked once a run, so it does not matter who listens at that moment: a page may come later.
    fn wants_previews(&self, job: &Job) -> bool {
        let method = wire::prompt::preview_method(job).unwrap_or(self.shared.preview_method);
        method != PreviewMethod::None
    }
}

impl Shared {
    fn member(&self, id: &str) -> Option<Arc<Member>> {
        lock(&self.members).get(id).cloned()
    }

    fn broadcast(&self, frame: &Frame) {
        for member in lock(&self.members).values() {
            member.push(frame.clone());
        }
    }

    fn to_log_readers(&self, entry: &LogEntry) {
        let data = json!({
            "entries": [wire::logs::entry(entry, self.utc_offset_seconds)],
            "size": wire::logs::terminal_size(),
        });
        let frame = Frame::event("logs", &data, Lane::Log);
        let readers: Vec<_> = lock(&self.log_readers).iter().cloned().collect();
        for reader in readers {
            if let Some(member) = self.member(&reader) {
                member.push(frame.clone());
            }
        }
    }

    /// Whether anyone hears the progress of a prompt.
    fn has_watchers(&self, job: &Job) -> bool {
        let members = lock(&self.members);
        match &job.client_id {
            Some(client) => members.contains_key(&**client),
            None => !members.is_empty(),
        }
    }

    fn set_running(&self, sequence: u64, running: Running) {
        lock(&self.running).insert(sequence, running);
    }

    fn set_running_node(&self, sequence: u64, node: &str) {
        if let Some(running) = lock(&self.running).get_mut(&sequence) {
            running.node = Some(node.to_owned());
        }
    }

    fn clear_running(&self, sequence: u64) {
        lock(&self.running).remove(&sequence);
    }

    /// Takes one preview of a prompt out of the count and says whether others of it wait.
    fn has_newer_preview(&self, sequence: u64) -> bool {
        let mut waiting = lock(&self.previews_waiting);
        let count = waiting.remove(&sequence).unwrap_or(1) - 1;
        if count > 0 {
            waiting.insert(sequence, count);
        }
        count > 0
    }

    fn preview_side(&self) -> u32 {
        self.preview_side
    }
}

fn log_end(job: &Job, entry: &HistoryEntry) {
    let seconds = entry.ended_ms().saturating_sub(entry.started_ms()) as f64 / 1000.0;
    match (entry.failure(), entry.completed()) {
        (Some(failure), _) => {
            let (node, class) = (&failure.node, &failure.class);
            tracing::error!("Prompt {} failed in node {node} ({class}): {}", job.id, failure.message);
        }
        (None, true) => tracing::info!("Prompt {} was executed in {seconds:.2} seconds.", job.id),
        (None, false) => tracing::info!("Prompt {} was interrupted after {seconds:.2} seconds.", job.id),
    }
}

/// A panic while holding one of these leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
