//! Both hubs on loopback, with their real paths: a host that knows the files, and another that has their bytes.

#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// The commit that `main` is at.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The hubs. Their threads end with the test program.
pub struct FakeHub {
    /// Where requests of either hub's paths go.
    pub endpoint: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// By `OWNER/NAME` and path.
    files: Mutex<BTreeMap<(String, String), Vec<u8>>>,
    requests: Mutex<Vec<Request>>,
    rule: Mutex<Option<Rule>>,
    storage: Mutex<String>,
}

type Rule = Box<dyn FnMut(&Request) -> Act + Send>;

/// What was asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// At the second host, where the bytes are.
    pub at_storage: bool,
    pub method: String,
    /// With query.
    pub target: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Request {
    /// First byte and last byte.
    pub fn range(&self) -> Option<(usize, usize)> {
        let (start, end) = self.headers.get("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((start.parse().ok()?, end.parse().ok()?))
    }

    /// Whether bytes of a file are asked for, rather than what is known of it.
    pub fn is_for_bytes(&self) -> bool {
        self.method == "GET" && (self.at_storage || self.target.contains("/repo?"))
    }
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// As it should be.
    Serve,
    /// An answer without the file.
    Refuse(u16, &'static [(&'static str, &'static str)], &'static str),
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// Nothing comes after so many bytes of the body, for some seconds.
    Stall(usize),
    /// The whole file, whatever was asked.
    Whole,
    /// Another byte at the start of the body.
    Damage,
    /// The file ends after so many bytes.
    Short(usize),
    /// Other bytes than were asked for.
    OtherRange,
}

impl FakeHub {
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let hub = listen(&shared, false);
        *shared.storage.lock().unwrap() = listen(&shared, true);
        Self { endpoint: hub, shared }
    }

    /// Publishes a file.
    pub fn put(&self, repository: &str, path: &str, bytes: impl Into<Vec<u8>>) {
        self.shared.files.lock().unwrap().insert((repository.into(), path.into()), bytes.into());
    }

    /// What happens to requests from now on.
    pub fn rule(&self, rule: impl FnMut(&Request) -> Act + Send + 'static) {
        *self.shared.rule.lock().unwrap() = Some(Box::new(rule));
    }

    /// What was asked since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.requests.lock().unwrap())
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that repeat nowhere soon.
pub fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(next).collect()
}

fn listen(shared: &Arc<Shared>, at_storage: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let shared = shared.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = shared.clone();
            thread::spawn(move || serve(stream, &shared, at_storage));
        }
    });
    address
}

fn serve(stream: TcpStream, shared: &Shared, at_storage: bool) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(request) = read_request(&mut reader, at_storage) {
        shared.requests.lock().unwrap().push(request.clone());
        let act = shared.rule.lock().unwrap().as_mut().map_or(Act::Serve, |rule| rule(&request));
        let is_open = match act {
            Act::Refuse(status, headers, body) => {
                answer(&mut stream, &request, status, headers, body.as_bytes(), body.len())
            }
            act => route(&mut stream, shared, &request, &act),
        };
        if is_open.is_none() {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead, at_storage: bool) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&count| count > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(Request { at_storage, method, target, headers })
}

/// `None` ends the connection.
fn route(stream: &mut TcpStream, shared: &Shared, request: &Request, act: &Act) -> Option<()> {
    let not_found = |stream: &mut TcpStream, code: &'static str| {
        let headers: &[(&str, &str)] = match code {
            "RepoNotFound" => &[("X-Error-Code", "RepoNotFound"), ("X-Error-Message", "Repository not found")],
            _ => &[("X-Error-Code", "EntryNotFound"), ("X-Error-Message", "Entry not found")],
        };
        answer(stream, request, 404, headers, b"", 0)
    };
    let files = shared.files.lock().unwrap().clone();
    let in_repository = |name: &str| files.keys().any(|(repository, _)| repository == name);
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    if request.at_storage {
        let hash = path.trim_start_matches("/blob/");
        let Some(bytes) = files.values().find(|bytes| sha256(bytes) == hash) else {
            return answer(stream, request, 404, &[], b"<Error/>", 8);
        };
        return send_bytes(stream, request, bytes, act);
    }
    if let Some(rest) = path.strip_prefix("/api/v1/models/") {
        let mut parts = rest.splitn(3, '/');
        let name = format!("{}/{}", parts.next()?, parts.next()?);
        if !in_repository(&name) {
            let body = br#"{"Code":10010205001,"Message":"record not found","Success":false}"#;
            return answer(stream, request, 404, &[], body, body.len());
        }
        match parts.next() {
            None => {
                let body = br#"{"Code":200,"Data":{"License":"Apache License 2.0"},"Success":true}"#;
                return answer(stream, request, 200, &[], body, body.len());
            }
            Some("repo/files") => {
                let list = files.iter().filter(|((repository, _), _)| *repository == name).map(|((_, path), bytes)| {
                    format!(
                        r#"{{"Name":"x","Path":"{path}","Type":"blob","Size":{},"Sha256":"{}","IsLFS":true}}"#,
                        bytes.len(),
                        sha256(bytes)
                    )
                });
                let list = list.collect::<Vec<_>>().join(",");
                let body = format!(r#"{{"Code":200,"Data":{{"Files":[{list}]}},"Message":"","Success":true}}"#);
                return answer(stream, request, 200, &[], body.as_bytes(), body.len());
            }
            Some(_) => {
                let path = query.split('&').find_map(|pair| pair.strip_prefix("FilePath="))?.to_owned();
                return match files.get(&(name, path)) {
                    Some(bytes) => send_bytes(stream, request, bytes, act),
                    None => answer(stream, request, 404, &[], b"{}", 2),
                };
            }
        }
    }
    if let Some(name) = path.strip_prefix("/api/models/") {
        let body = br#"{"id":"x","cardData":{"license":"apache-2.0"},"tags":["license:apache-2.0"]}"#;
        return match in_repository(name) {
            true => answer(stream, request, 200, &[], body, body.len()),
            false => not_found(stream, "RepoNotFound"),
        };
    }
    let mut parts = path.trim_start_matches('/').splitn(5, '/');
    let name = format!("{}/{}", parts.next()?, parts.next()?);
    let (verb, revision, file) = (parts.next()?, parts.next()?, parts.next()?);
    assert!(verb == "resolve" && ["main", COMMIT].contains(&revision), "{path}");
    if !in_repository(&name) {
        return not_found(stream, "RepoNotFound");
    }
    let Some(bytes) = files.get(&(name, file.to_owned())) else { return not_found(stream, "EntryNotFound") };
    let (size, hash) = (bytes.len().to_string(), sha256(bytes));
    let location = format!("{}/blob/{hash}?Signature=secret", shared.storage.lock().unwrap());
    let headers = [
        ("X-Repo-Commit", COMMIT),
        ("X-Linked-Size", &size),
        ("X-Linked-Etag", &format!("\"{hash}\"")),
        ("Location", &location),
    ];
    let body = b"Found. Redirecting";
    answer(stream, request, 302, &headers, body, body.len())
}

fn send_bytes(stream: &mut TcpStream, request: &Request, bytes: &[u8], act: &Act) -> Option<()> {
    let bytes = match act {
        Act::Short(count) => &bytes[..*count],
        _ => bytes,
    };
    let total = bytes.len();
    let range = request.range().filter(|_| !matches!(act, Act::Whole));
    let (status, start, end) = match range {
        Some((start, _)) if start >= total => return answer(stream, request, 416, &[], b"", 0),
        Some((start, last)) => (206, start, (last + 1).min(total)),
        None => (200, 0, total),
    };
    let said = if matches!(act, Act::OtherRange) { start + 1 } else { start };
    let content_range = format!("bytes {said}-{}/{total}", end - 1);
    let headers: &[(&str, &str)] = if status == 206 { &[("Content-Range", &content_range)] } else { &[] };
    let mut body = bytes[start..end].to_vec();
    if matches!(act, Act::Damage) {
        body[0] ^= 1;
    }
    match act {
        Act::Cut(count) => {
            answer(stream, request, status, headers, &body[..(*count).min(body.len())], body.len())?;
            None
        }
        Act::Stall(count) => {
            answer(stream, request, status, headers, &body[..(*count).min(body.len())], body.len())?;
            thread::sleep(Duration::from_secs(5));
            None
        }
        _ => answer(stream, request, status, headers, &body, body.len()),
    }
}

fn answer(
    stream: &mut TcpStream,
    request: &Request,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
    length: usize,
) -> Option<()> {
    let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    if request.method != "HEAD" {
        stream.write_all(body).ok()?;
    }
    stream.flush().ok()
}
