//! The server as a process, with two workers.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::support::Folder;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server that ends with its test.
struct Server {
    process: Child,
    /// `127.0.0.1:8188`
    address: String,
}

impl Server {
    fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let arguments = [&["serve", "--port", "0"], arguments].concat();
        let mut process = folder.command(&arguments).stderr(Stdio::piped()).spawn().expect("the server starts");
        let mut lines = BufReader::new(process.stderr.take().expect("its log")).lines();
        let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("To see the page go to")));
        let line = line.expect("it says where it is").expect("its log");
        let address = line.rsplit('/').next().expect("an address").to_owned();
        // A log that nobody reads would hold the server up.
        thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Json {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}",
            self.address
        )
        .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200 "), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap_or(Json::Null)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn prompts_that_run_at_once_write_files_of_their_own() {
    let folder = Folder::new();
    let server = Server::start(&folder, &["--device", "cpu,cpu"]);
    let stats = server.ask("GET", "/system_stats", "");
    assert_eq!(stats["devices"].as_array().map(Vec::len), Some(1), "{stats}");
    // No card is to be seen here, whatever the machine has.
    assert_eq!(stats["cuda"]["ready"], false, "{stats}");
    assert!(stats["cuda"]["driver"]["missing"].is_string() && stats["cuda"]["libraries"].is_object(), "{stats}");

    let count = 24;
    for color in 0..count {
        let prompt = json!({
            "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 64, "batch_size": 3, "color": color } },
            "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
        });
        server.ask("POST", "/prompt", &json!({ "prompt": prompt }).to_string());
    }
    let start = Instant::now();
    while server.ask("GET", "/prompt", "")["exec_info"]["queue_remaining"] != 0 {
        assert!(start.elapsed() < PATIENCE, "{}", server.ask("GET", "/queue", ""));
        thread::sleep(Duration::from_millis(20));
    }

    let history = server.ask("GET", "/history", "");
    let entries: Vec<&Json> = history.as_object().expect("entries").values().collect();
    assert!(entries.iter().all(|entry| entry["status"]["status_str"] == "success"), "{history}");
    let pictures = |entry: &&Json| -> Vec<String> {
        let pictures = entry["outputs"]["2"]["images"].as_array().expect("pictures").iter();
        pictures.map(|picture| picture["filename"].as_str().expect("a name").to_owned()).collect()
    };
    let names: BTreeSet<String> = entries.iter().flat_map(pictures).collect();
    assert_eq!((entries.len(), names.len()), (count, 3 * count));
    let written = std::fs::read_dir(folder.path().join("output")).expect("results").flatten();
    let written = written.filter(|file| file.file_name().to_string_lossy().ends_with(".png")).count();
    assert_eq!(written, 3 * count);
}
