//! A server of toy nodes: no sockets, no weights, a worker that the test steps.
#![allow(dead_code, missing_docs, reason = "each test program uses a part, and all of it is for tests")]

pub mod toys;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use indexmap::IndexMap;
use serde_json::Value as Json;
use tower::ServiceExt;
use vita_base::Cancel;
use vita_folders::Folders;
use vita_graph::{Executor, Host, Observer, Outcome, Plan, Registry};
use vita_queue::{Durability, HistoryLimit, Job, Queue, QueueOptions, Runner, Step, Worker, WorkerThread};
use vita_server::{App, Device, LogRing, Memory, Parts, PreviewMethod, ServerConfig, Surroundings, Versions, router};

/// 2026-01-02T03:04:05Z, when everything happens.
pub const NOW_MS: u64 = 1_767_323_045_000;

pub struct Server {
    pub app: Arc<App>,
    pub router: Router,
    pub worker: Worker,
    _folder: tempfile::TempDir,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Server {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(QueueOptions {
            path: folder.path().join("queue.sqlite"),
            clock: Arc::new(|| NOW_MS),
            durability: Durability::ProcessKill,
            history_limit: HistoryLimit::default(),
            history_memory_bytes: 1 << 20,
        })
        .unwrap();
        let options = vita_folders::Options { base: folder.path().into(), ..Default::default() };
        let folders = Folders::new(options, &|_| None).unwrap();
        let registry = toys::registry();
        let host: Arc<dyn Host> = Arc::new(toys::Files);
        let mut config = config();
        change(&mut config);
        let worker = Worker::new(queue.clone(), Box::new(Graphs(Executor::new(registry.clone(), host.clone()))));
        let app = App::new(Parts {
            config,
            host,
            registry,
            queue,
            folders: Arc::new(folders),
            logs: LogRing::default(),
            surroundings: Arc::new(Fixed),
        });
        Self { router: router(app.clone()), app, worker, _folder: folder }
    }

    /// Another worker, on a thread of its own.
    pub fn spawn_worker(&self) -> WorkerThread {
        let executor = Executor::new(self.app.registry.clone(), self.app.host.clone());
        self.app.queue.spawn_worker(Box::new(Graphs(executor))).unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(Request::post(path).body(Body::from(body.to_owned())).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Queues a prompt; its id.
    pub async fn submit(&self, body: &Json) -> String {
        let answer = self.post("/prompt", &body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["prompt_id"].as_str().unwrap().to_owned()
    }

    /// Runs everything that waits.
    pub fn run_all(&mut self) {
        while self.worker.step() != Step::Idle {}
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }
}

pub fn config() -> ServerConfig {
    ServerConfig {
        listen: vec!["127.0.0.1".parse().unwrap()],
        port: 0,
        tls: None,
        cors: None,
        max_upload_bytes: 100 << 20,
        preview_method: PreviewMethod::None,
        preview_side: 512,
        front_end_root: None,
        template_roots: Vec::new(),
        offline: true,
        auth: Default::default(),
        versions: Versions {
            vitascope: "0.1.0".into(),
            comfyui: "0.8.0".into(),
            frontend: Some("1.35.9".into()),
            templates: None,
        },
        argv: vec!["vitascope".into(), "serve".into()],
    }
}

/// What the program will do with a queued prompt, less its weights.
pub struct Graphs(pub Executor);

impl Runner for Graphs {
    fn run(&mut self, job: &Job, cancel: &Cancel, observer: &mut dyn Observer) -> Outcome {
        let plan = Plan { prompt: job.prompt.parse(), outputs: job.outputs.to_vec(), faults: IndexMap::new() };
        let extra = job.extra_data.parse()["extra_pnginfo"].clone();
        self.0.run(&plan, &extra, cancel, observer)
    }

    fn free(&mut self, _: bool, free_memory: bool) {
        if free_memory {
            self.0.forget();
        }
    }
}

struct Fixed;

impl Surroundings for Fixed {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS)
    }

    fn utc_offset_seconds(&self) -> i32 {
        3600
    }

    fn memory(&self) -> Memory {
        Memory { total_bytes: 64 << 30, free_bytes: 32 << 30 }
    }

    fn devices(&self) -> Vec<Device> {
        let memory = self.memory();
        vec![Device {
            name: "cpu".into(),
            kind: "cpu",
            index: None,
            total_bytes: memory.total_bytes,
            free_bytes: memory.free_bytes,
        }]
    }
}

pub fn registry() -> Registry {
    toys::registry()
}
