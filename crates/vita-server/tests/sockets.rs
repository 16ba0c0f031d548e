//! WebSockets over a loopback listener: what is told, to whom, in which order.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use vita_queue::Step;
use vita_server::{PreviewMethod, ServerConfig};

use common::{NOW_MS, Server};

const PATIENCE: Duration = Duration::from_secs(20);

struct Listening {
    server: Server,
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Listening {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let server = Server::with(change);
        let listener = vita_server::Server::bind(&server.app.config).await.unwrap();
        let address = listener.addresses()[0];
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let app = server.app.clone();
        let task = tokio::spawn(async move { listener.run(app, async { drop(stopped.await) }).await });
        Self { server, address, stop: Some(stop), task }
    }

    async fn open(&self, id: &str) -> Client {
        let (socket, _) = connect_async(format!("ws://{}/ws?clientId={id}", self.address)).await.unwrap();
        Client(socket)
    }

    /// An open socket whose greeting was read.
    async fn join(&self, id: &str) -> Client {
        let mut client = self.open(id).await;
        let greeting = client.event().await;
        assert_eq!(greeting["data"]["sid"], id);
        client
    }

    /// Runs what waits, on a thread where it may hold.
    fn run_all(&mut self) {
        while self.server.worker.step() != Step::Idle {}
    }
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn next(&mut self) -> Message {
        tokio::time::timeout(PATIENCE, self.0.next()).await.expect("nothing came").unwrap().unwrap()
    }

    async fn event(&mut self) -> Json {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text: {other:?}"),
        }
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// Everything until a prompt's last event, binary frames as their kind.
    async fn until_released(&mut self) -> Vec<Json> {
        let mut events = Vec::new();
        loop {
            let event = match self.next().await {
                Message::Text(text) => serde_json::from_str(&text).unwrap(),
                Message::Binary(bytes) => {
                    json!({ "type": "binary", "data": u32::from_be_bytes(bytes[..4].try_into().unwrap()) })
                }
                other => panic!("unexpected {other:?}"),
            };
            let last = event["type"] == "executing" && event["data"]["node"].is_null();
            events.push(event);
            if last {
                return events;
            }
        }
    }

    /// Everything until the queue is empty.
    async fn until_idle(&mut self) -> Vec<Json> {
        let mut events = Vec::new();
        loop {
            let event = self.event().await;
            let last = event["type"] == "status" && event["data"]["status"]["exec_info"]["queue_remaining"] == 0;
            events.push(event);
            if last {
                return events;
            }
        }
    }
}

fn kinds(events: &[Json]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn sampling_prompt(steps: u64) -> Json {
    json!({
        "1": { "class_type": "UNETLoader", "inputs": { "unet_name": "wan2.2_ti2v_5B_fp16.safetensors", "weight_dtype": "default" } },
        "4": { "class_type": "EmptyHunyuanLatentVideo", "inputs": { "width": 64, "length": 5 } },
        "57:3": { "class_type": "KSampler", "inputs": {
            "model": ["1", 0], "seed": 1, "steps": steps, "cfg": 6, "sampler_name": "sampler_0", "scheduler": "beta",
            "latent_image": ["4", 0], "denoise": 1,
        } },
        "9": { "class_type": "PreviewAny", "inputs": { "source": ["57:3", 0] } },
    })
}

fn image_prompt() -> Json {
    json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 64, "batch_size": 1, "color": 0 } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
    })
}

#[tokio::test]
async fn a_socket_is_greeted_with_its_id_and_the_queue() {
    let listening = Listening::new().await;
    listening.server.submit(&json!({ "prompt": image_prompt() })).await;
    let expected = |id: &str| json!({ "type": "status", "data": { "status": { "exec_info": { "queue_remaining": 1 } }, "sid": id } });
    let mut client = listening.open("me").await;
    assert_eq!(client.event().await, expected("me"));

    for path in ["ws", "ws?clientId=", "api/ws"] {
        let (socket, _) = connect_async(format!("ws://{}/{path}", listening.address)).await.unwrap();
        let greeting = Client(socket).event().await;
        let id = greeting["data"]["sid"].as_str().unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
}

#[tokio::test]
async fn feature_flags_are_answered_once_and_only_if_they_come_first() {
    let listening = Listening::new().await;
    let flags = r#"{"type": "feature_flags", "data": {"supports_preview_metadata": true}}"#;
    let mut client = listening.join("a").await;
    client.say("no json").await;
    client.say(flags).await;
    let answer = client.event().await;
    assert_eq!(answer["type"], "feature_flags");
    assert_eq!(answer["data"], listening.server.get("/features").await.json());
    client.say(flags).await;
    client.say(r#"{"type": "other"}"#).await;

    let mut late = listening.join("b").await;
    late.say("{}").await;
    late.say(flags).await;
    // The next that both hear is the new prompt.
    listening.server.submit(&json!({ "prompt": image_prompt() })).await;
    assert_eq!(client.event().await["type"], "status");
    assert_eq!(late.event().await["type"], "status");
}

#[tokio::test]
async fn a_run_is_told_in_comfyuis_order() {
    let mut listening = Listening::new().await;
    let mut client = listening.join("me").await;
    let mut other = listening.join("other").await;
    listening.server.submit(&json!({ "prompt": sampling_prompt(2), "client_id": "me", "prompt_id": "p" })).await;
    listening.run_all();

    let events = client.until_released().await;
    let node = ["progress_state", "executing"];
    let mut expected = vec!["status", "status", "execution_start", "execution_cached"];
    for _ in ["1", "4"] {
        expected.extend(node);
        expected.push("progress_state");
    }
    expected.extend(node);
    for _ in 0..2 {
        expected.extend(["progress_state", "progress"]);
    }
    expected.push("progress_state");
    expected.extend(node);
    expected.extend(["executed", "progress_state", "execution_success", "status", "executing"]);
    assert_eq!(kinds(&events), expected);

    let of = |kind: &str| {
        events.iter().filter(|event| event["type"] == kind).map(|event| &event["data"]).collect::<Vec<_>>()
    };
    assert_eq!(*of("execution_start")[0], json!({ "prompt_id": "p", "timestamp": NOW_MS }));
    assert_eq!(*of("execution_cached")[0], json!({ "nodes": [], "prompt_id": "p", "timestamp": NOW_MS }));
    assert_eq!(of("executing").len(), 5);
    assert!(of("executing").contains(&&json!({ "node": "57:3", "display_node": "57:3", "prompt_id": "p" })));
    assert_eq!(**of("executing").last().unwrap(), json!({ "node": null, "prompt_id": "p" }));
    assert_eq!(
        of("progress"),
        [
            &json!({ "value": 1, "max": 2, "prompt_id": "p", "node": "57:3" }),
            &json!({ "value": 2, "max": 2, "prompt_id": "p", "node": "57:3" })
        ]
    );
    let state = of("progress_state");
    let last = state.last().unwrap();
    assert_eq!(last["prompt_id"], "p");
    assert_eq!(last["nodes"].as_object().unwrap().len(), 4);
    assert_eq!(
        last["nodes"]["57:3"],
        json!({
            "value": 2, "max": 2, "state": "finished", "node_id": "57:3", "prompt_id": "p", "display_node_id": "57:3",
            "parent_node_id": null, "real_node_id": "57:3",
        })
    );
    assert_eq!(
        *of("executed")[0],
        json!({ "node": "9", "display_node": "9", "output": { "text": ["?"] }, "prompt_id": "p" })
    );

    // Nobody else's business but the number of prompts.
    assert_eq!(kinds(&other.until_idle().await), ["status", "status", "status"]);
}

#[tokio::test]
async fn a_run_that_is_all_cached_repeats_its_results() {
    let mut listening = Listening::new().await;
    let mut client = listening.join("me").await;
    let body = json!({ "prompt": image_prompt(), "client_id": "me" });
    for expected in [
        vec![
            "execution_start",
            "execution_cached",
            "progress_state",
            "executing",
            "progress_state",
            "progress_state",
            "executing",
            "executed",
            "progress_state",
            "execution_success",
            "status",
            "executing",
        ],
        vec![
            "execution_start",
            "execution_cached",
            "executed",
            "progress_state",
            "execution_success",
            "status",
            "executing",
        ],
    ] {
        listening.server.submit(&body).await;
        listening.run_all();
        let events = client.until_released().await;
        assert_eq!(kinds(&events)[2..], expected);
        let executed = events.iter().find(|event| event["type"] == "executed").unwrap();
        assert_eq!(executed["data"]["output"]["images"][0]["filename"], "ComfyUI_00001_.png");
    }
}

#[tokio::test]
async fn a_prompt_without_a_client_is_told_to_all_but_its_results_to_nobody() {
    let mut listening = Listening::with(|config| config.preview_method = PreviewMethod::Auto).await;
    let mut one = listening.join("one").await;
    let mut two = listening.join("two").await;
    listening.server.submit(&json!({ "prompt": sampling_prompt(1) })).await;
    listening.run_all();
    for client in [&mut one, &mut two] {
        let mut seen = Vec::new();
        loop {
            match client.next().await {
                Message::Binary(bytes) => {
                    assert_eq!(bytes[..8], [0, 0, 0, 1, 0, 0, 0, 1]);
                    assert_eq!(bytes[8..11], [0xff, 0xd8, 0xff]);
                    seen.push("preview".to_owned());
                }
                Message::Text(text) => {
                    let event: Json = serde_json::from_str(&text).unwrap();
                    seen.push(event["type"].as_str().unwrap().to_owned());
                    if event["data"]["status"]["exec_info"]["queue_remaining"] == 0 {
                        break;
                    }
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["preview", "progress", "progress_state", "status"]);
    }
}

#[tokio::test]
async fn previews_come_as_the_client_and_the_prompt_ask() {
    // Server's method, prompt's method, flags of the client, kinds of binary frames.
    let metadata = r#"{"type": "feature_flags", "data": {"supports_preview_metadata": true}}"#;
    let texts = r#"{"type": "feature_flags", "data": {"supports_preview_metadata": true, "supports_progress_text_metadata": true}}"#;
    for (server, prompt, flags, expected) in [
        (PreviewMethod::None, None, Some(metadata), vec![]),
        (PreviewMethod::None, Some("auto"), Some(metadata), vec![4, 4]),
        (PreviewMethod::None, Some("auto"), None, vec![1, 1]),
        (PreviewMethod::Auto, Some("none"), None, vec![]),
        (PreviewMethod::Auto, Some("default"), Some(texts), vec![4, 4, 3]),
    ] {
        let mut listening = Listening::with(|config| config.preview_method = server).await;
        let mut client = listening.join("me").await;
        if let Some(flags) = flags {
            client.say(flags).await;
            assert_eq!(client.event().await["type"], "feature_flags");
        }
        let mut body = json!({ "prompt": sampling_prompt(2), "client_id": "me" });
        if let Some(method) = prompt {
            body["extra_data"] = json!({ "preview_method": method });
        }
        listening.server.submit(&body).await;
        listening.run_all();
        let events = client.until_released().await;
        let binary: Vec<_> = events
            .iter()
            .filter(|event| event["type"] == "binary")
            .map(|event| event["data"].as_u64().unwrap())
            .collect();
        let text_count = |frames: &[u64]| frames.iter().filter(|kind| **kind == 3).count();
        // Of two previews in a row the first may be skipped, never the last.
        assert_eq!(binary.last(), expected.last(), "{server:?} {prompt:?}");
        assert_eq!(text_count(&binary), text_count(&expected), "{server:?} {prompt:?}");
        assert!(binary.iter().all(|kind| expected.contains(kind)), "{server:?} {prompt:?}: {binary:?}");
    }
}

#[tokio::test]
async fn a_failure_ends_with_the_error_the_status_and_nothing_running() {
    let mut listening = Listening::new().await;
    let mut client = listening.join("me").await;
    let prompt = json!({
        "1": { "class_type": "Failing", "inputs": { "when": "now" } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
    });
    listening.server.submit(&json!({ "prompt": prompt, "client_id": "me", "prompt_id": "f" })).await;
    listening.run_all();
    let events = client.until_released().await;
    assert_eq!(
        kinds(&events)[4..],
        ["progress_state", "executing", "progress_state", "execution_error", "status", "executing"]
    );
    let error = &events[7]["data"];
    assert_eq!((&error["node_id"], &error["exception_type"]), (&json!("1"), &json!("ValueError")));
    assert_eq!(events[6]["data"]["nodes"]["1"]["state"], "error");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interruptions_reach_the_client_or_everyone() {
    let mut listening = Listening::new().await;
    let mut client = listening.join("me").await;
    let mut other = listening.join("other").await;
    let prompt = json!({
        "1": { "class_type": "Failing", "inputs": { "when": "hold" } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
    });
    for client_id in [Some("me"), None] {
        listening.server.submit(&json!({ "prompt": prompt, "client_id": client_id, "prompt_id": "h" })).await;
        let mut worker = std::mem::replace(
            &mut listening.server.worker,
            vita_queue::Worker::new(listening.server.app.queue.clone(), Box::new(Never)),
        );
        let run = std::thread::spawn(move || {
            while worker.step() != Step::Idle {}
            worker
        });
        // A prompt that does not run is not stopped.
        while listening.server.get("/queue").await.json()["queue_running"] == json!([]) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        listening.server.post("/interrupt", r#"{"prompt_id": "other"}"#).await;
        assert!(!run.is_finished());
        listening.server.post("/interrupt", r#"{"prompt_id": "h"}"#).await;
        listening.server.worker = run.join().unwrap();

        let interrupted = |events: &[Json]| kinds(events).contains(&"execution_interrupted");
        assert!(interrupted(&client.until_idle().await));
        assert_eq!(interrupted(&other.until_idle().await), client_id.is_none());
        if client_id.is_some() {
            assert_eq!(client.event().await["data"], json!({ "node": null, "prompt_id": "h" }));
        }
    }
    let entry = listening.server.get("/history/h").await.json()["h"]["status"].clone();
    assert_eq!(entry["messages"][2][0], "execution_interrupted");
    assert_eq!(listening.server.get("/api/jobs/h").await.json()["status"], "cancelled");
}

struct Never;

impl vita_queue::Runner for Never {
    fn run(
        &mut self,
        _: &vita_queue::Job,
        _: &vita_base::Cancel,
        _: &mut dyn vita_graph::Observer,
    ) -> vita_graph::Outcome {
        unreachable!("it only holds a place")
    }

    fn free(&mut self, _: bool, _: bool) {}
}

#[tokio::test]
async fn a_later_socket_takes_the_events_over_and_keeps_them_when_the_older_closes() {
    let mut listening = Listening::new().await;
    let mut older = listening.join("me").await;
    let mut newer = listening.join("me").await;
    assert_eq!(listening.server.app.hub.socket_count(), 1);
    older.0.close(None).await.unwrap();
    while !matches!(tokio::time::timeout(PATIENCE, older.0.next()).await.unwrap(), None | Some(Err(_))) {}

    listening.server.submit(&json!({ "prompt": image_prompt(), "client_id": "me" })).await;
    listening.run_all();
    let events = newer.until_released().await;
    assert!(kinds(&events).contains(&"execution_success"));
    newer.0.close(None).await.unwrap();
    while listening.server.app.hub.socket_count() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_comes_back_learns_which_node_runs() {
    let mut listening = Listening::new().await;
    let prompt = json!({
        "1": { "class_type": "Failing", "inputs": { "when": "hold" } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
    });
    listening.server.submit(&json!({ "prompt": prompt, "client_id": "me" })).await;
    let mut worker = std::mem::replace(
        &mut listening.server.worker,
        vita_queue::Worker::new(listening.server.app.queue.clone(), Box::new(Never)),
    );
    let run = std::thread::spawn(move || while worker.step() != Step::Idle {});
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mut client = listening.join("me").await;
        let mut told: Vec<Json> = Vec::new();
        while let Ok(Some(Ok(Message::Text(text)))) =
            tokio::time::timeout(Duration::from_millis(50), client.0.next()).await
        {
            told.push(serde_json::from_str(&text).unwrap());
        }
        if let [start, node, ..] = &told[..]
            && *node == json!({ "type": "executing", "data": { "node": "1" } })
        {
            assert_eq!(start["type"], "execution_start");
            assert!(start["data"]["prompt_id"].is_string() && start["data"]["timestamp"].is_u64());
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the node was never told");
    }
    listening.server.post("/interrupt", "").await;
    run.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_prompts_that_run_at_once_are_told_apart() {
    let listening = Listening::new().await;
    let prompt = json!({
        "1": { "class_type": "Failing", "inputs": { "when": "hold" } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
    });
    let mut clients = Vec::new();
    for id in ["a", "b"] {
        clients.push(listening.join(id).await);
        listening.server.submit(&json!({ "prompt": prompt, "client_id": id, "prompt_id": id })).await;
    }
    let threads: Vec<_> = (0..2).map(|_| listening.server.spawn_worker()).collect();
    let ids = |queue: &Json| -> Vec<String> {
        let items = queue["queue_running"].as_array().unwrap().iter();
        items.map(|item| item[1].as_str().unwrap().to_owned()).collect()
    };
    while ids(&listening.server.get("/queue").await.json()).len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(ids(&listening.server.get("/queue").await.json()), ["a", "b"], "the one that began first is first");
    let jobs = listening.server.get("/api/jobs?status=in_progress").await.json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 2, "{jobs}");

    // A page that comes back hears of its own prompt.
    let mut again = listening.join("b").await;
    let start = again.event().await;
    assert_eq!((&start["type"], &start["data"]["prompt_id"]), (&json!("execution_start"), &json!("b")));

    for (id, client, left) in [("a", &mut clients[0], 1), ("b", &mut again, 0)] {
        listening.server.post("/interrupt", &json!({ "prompt_id": id }).to_string()).await;
        let events = client.until_released().await;
        let of = |event: &Json| event["data"]["prompt_id"].as_str().map(str::to_owned);
        assert!(events.iter().filter_map(of).all(|other| other == id), "{id}: {events:?}");
        assert!(kinds(&events).contains(&"execution_interrupted"), "{id}: {events:?}");
        while ids(&listening.server.get("/queue").await.json()).len() > left {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    listening.server.app.queue.close();
    threads.into_iter().for_each(vita_queue::WorkerThread::join);
}

/// Loses its card with every prompt.
struct Lost;

impl vita_queue::Runner for Lost {
    fn run(
        &mut self,
        _: &vita_queue::Job,
        _: &vita_base::Cancel,
        _: &mut dyn vita_graph::Observer,
    ) -> vita_graph::Outcome {
        panic!("the launch failed")
    }

    fn lost(&mut self) -> Option<String> {
        Some("cuda:0 no longer answers".into())
    }

    fn free(&mut self, _: bool, _: bool) {}
}

#[tokio::test]
async fn a_lost_card_costs_its_prompt_nothing_while_another_works_and_the_last_one_is_said() {
    let mut listening = Listening::new().await;
    let mut client = listening.join("me").await;
    let prompt = json!({ "prompt": image_prompt(), "client_id": "me", "prompt_id": "p" });
    listening.server.submit(&prompt).await;
    let queue = listening.server.app.queue.clone();
    let mut lost = vita_queue::Worker::new(queue.clone(), Box::new(Lost));
    assert_eq!([lost.step(), lost.step(), lost.step()], [Step::Claimed, Step::HandedOn, Step::Closed]);
    listening.run_all();
    let events = client.until_released().await;
    let told = kinds(&events);
    assert_eq!(told.iter().filter(|kind| **kind == "execution_start").count(), 2, "{told:?}");
    assert!(told.contains(&"execution_success") && !told.contains(&"execution_error"), "{told:?}");

    listening.server.submit(&prompt).await;
    let mut last = vita_queue::Worker::new(queue.clone(), Box::new(Lost));
    listening.server.worker = lost;
    assert_eq!([last.step(), last.step(), last.step()], [Step::Claimed, Step::Ran, Step::Finished]);
    let events = client.until_released().await;
    let error = events.iter().find(|event| event["type"] == "execution_error").expect("an error");
    let message = error["data"]["exception_message"].as_str().unwrap();
    assert!(message.starts_with("cuda:0 no longer answers; ") && message.contains("the launch failed"), "{message}");
    let refused = listening.server.post("/prompt", &prompt.to_string()).await;
    assert_eq!(refused.status, 503);
    let said = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(said, "nothing is left to run prompts: cuda:0 no longer answers");
}

#[tokio::test]
async fn log_lines_go_to_those_who_asked() {
    let listening = Listening::new().await;
    let mut client = listening.join("me").await;
    let mut other = listening.join("other").await;
    let now = listening.server.app.surroundings.now();
    let subscribe = |enabled: bool| {
        axum::http::Request::patch("/internal/logs/subscribe")
            .body(axum::body::Body::from(json!({ "clientId": "me", "enabled": enabled }).to_string()))
            .unwrap()
    };
    listening.server.send(subscribe(true)).await;
    listening.server.app.logs.push(now, "first");
    assert_eq!(
        client.event().await,
        json!({ "type": "logs", "data": {
            "entries": [{ "t": "2026-01-02T04:04:05.000000", "m": "first\n" }],
            "size": listening.server.get("/internal/logs/raw").await.json()["size"],
        } })
    );
    listening.server.send(subscribe(false)).await;
    listening.server.app.logs.push(now, "second");
    listening.server.submit(&json!({ "prompt": image_prompt() })).await;
    assert_eq!(client.event().await["type"], "status");
    assert_eq!(other.event().await["type"], "status");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_sockets_hear_everything() {
    let mut listening = Listening::new().await;
    let mut tasks = Vec::new();
    for index in 0..500 {
        let mut client = listening.join(&format!("client-{index}")).await;
        // Each listens on its own, as 500 programs would.
        tasks.push(tokio::spawn(async move {
            let events = client.until_idle().await;
            let progress = events.iter().filter(|event| event["type"] == "progress");
            progress.map(|event| event["data"]["value"].as_u64().unwrap()).collect::<Vec<_>>()
        }));
    }
    listening.server.submit(&json!({ "prompt": sampling_prompt(50) })).await;
    listening.run_all();
    for task in tasks {
        assert_eq!(task.await.unwrap(), (1..=50).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_sleeps_holds_up_nobody_and_wakes_to_the_newest_progress_and_the_end() {
    const STEPS: u64 = 10_000;
    let mut listening = Listening::new().await;
    let mut asleep = listening.join("asleep").await;
    let mut awake = listening.join("awake").await;
    listening.server.submit(&json!({ "prompt": sampling_prompt(STEPS), "client_id": "asleep" })).await;
    listening.run_all();
    assert_eq!(kinds(&awake.until_idle().await), ["status", "status", "status"]);

    let events = asleep.until_released().await;
    let progress: Vec<_> = events
        .iter()
        .filter(|event| event["type"] == "progress")
        .map(|event| event["data"]["value"].as_u64().unwrap())
        .collect();
    assert!((progress.len() as u64) < STEPS, "nothing was merged, so this proves nothing");
    assert!(progress.is_sorted());
    assert_eq!(progress.last(), Some(&STEPS));
    for kind in ["execution_start", "execution_cached", "executed", "execution_success"] {
        assert_eq!(kinds(&events).iter().filter(|seen| **seen == kind).count(), 1, "{kind}");
    }
    assert_eq!(kinds(&events).iter().filter(|kind| **kind == "executing").count(), 5);
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let mut listening = Listening::new().await;
    let mut client = listening.join("me").await;
    listening.stop.take().unwrap().send(()).unwrap();
    match client.next().await {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1001),
        other => panic!("unexpected {other:?}"),
    }
    tokio::time::timeout(PATIENCE, &mut listening.task).await.expect("it never stopped").unwrap();
}
