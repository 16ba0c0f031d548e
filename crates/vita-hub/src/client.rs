//! Requests to a hub: redirects, tokens, what statuses mean, and trying again.

use std::io;
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::http::{HeaderMap, StatusCode};
use ureq::{Agent, Body, ProxyProtocol};
use vita_base::Cancel;

use crate::Hub;
use crate::error::{Error, Result};
use crate::place::{join, origin};

/// How often one request may be sent elsewhere.
const REDIRECTS_MAX: usize = 10;
/// The most that is read of a list of files.
const JSON_BYTES_MAX: u64 = 64 << 20;
/// The most that is read of an answer that only says why there is none.
const REFUSAL_BYTES_MAX: u64 = 16 << 10;
/// Between two looks whether a wait was ended.
const WAIT_SLICE: Duration = Duration::from_millis(50);

/// How a hub is asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which hub's paths.
    pub hub: Hub,
    /// Its address or a mirror's; `None` is the hub's own.
    pub endpoint: Option<String>,
    /// The user's token.
    pub token: Option<String>,
    /// Through which all connections go.
    pub proxy: Option<Proxy>,
    /// What the program calls itself.
    pub user_agent: String,
    /// When to give up.
    pub patience: Patience,
}

/// A proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// `http://[USER:PASSWORD@]HOST:PORT`.
    pub address: String,
    /// Hosts that are reached without it, as in `NO_PROXY`.
    pub except: Vec<String>,
}

/// When to try again, and when to give up.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often the same bytes are asked for without one of them coming; at least 1.
    pub attempts: u32,
    /// Wait before the second attempt; it doubles for each further one.
    pub first_wait: Duration,
    /// The longest wait, also where a server asks for more.
    pub wait_max: Duration,
    /// How long a connection may be silent.
    pub silence: Duration,
}

impl Default for Patience {
    /// Six attempts over half a minute; a minute of silence.
    fn default() -> Self {
        Self {
            attempts: 6,
            first_wait: Duration::from_secs(1),
            wait_max: Duration::from_secs(60),
            silence: Duration::from_secs(60),
        }
    }
}

/// A connection to a hub. May be shared between threads.
pub struct Client {
    agent: Agent,
    hub: Hub,
    /// Without a slash at the end.
    endpoint: String,
    /// Scheme, host and port that the token may go to.
    own_origin: String,
    token: Option<String>,
    patience: Patience,
}

/// What a server answered.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Where it came from, after redirects.
    pub address: String,
    pub body: Body,
}

/// Why there is no answer to use.
pub(crate) enum Fault {
    /// Might go away: to be tried again, after the wait that the server asks for.
    Passing(Error, Option<Duration>),
    /// Will not.
    Final(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl Client {
    /// Prepares; connects to nothing yet.
    ///
    /// # Errors
    /// If an address or the token cannot be one.
    pub fn new(options: Options) -> Result<Self> {
        let Options { hub, endpoint, token, proxy, user_agent, patience } = options;
        let endpoint = endpoint.as_deref().unwrap_or(hub.endpoint()).trim_end_matches('/').to_owned();
        let is_web = endpoint.starts_with("https://") || endpoint.starts_with("http://");
        let own_origin = origin(&endpoint).filter(|_| is_web).ok_or_else(|| Error::Endpoint(endpoint.clone()))?;
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        if token.iter().any(|token| !token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';')) {
            return Err(Error::Token(hub));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Followed here, since the token may not go along and the first answer's headers are needed.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy.map(|proxy| proxy.build()).transpose()?)
            .user_agent(user_agent)
            .timeout_connect(Some(patience.silence.min(Duration::from_secs(30))))
            .timeout_recv_response(Some(patience.silence))
            .timeout_per_read(Some(patience.silence))
            .max_idle_connections_per_host(16)
            .build();
        Ok(Self { agent: config.into(), hub, endpoint, own_origin, token, patience })
    }

    /// Which hub's paths are used.
    pub fn hub(&self) -> Hub {
        self.hub
    }

    /// The address in use, without a slash at the end.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// What stands in an answer's head; the file's own host is not asked where the hub says it all.
    pub(crate) fn head(&self, address: &str, repository: &str, path: &str) -> Result<Answer> {
        self.try_again(|| {
            let answer = self.send("HEAD", address, None, |answer| answer.headers.contains_key("x-linked-size"))?;
            if answer.status.is_success() || answer.status.is_redirection() {
                return Ok(answer);
            }
            Err(self.refusal(answer, repository, path))
        })
    }

    /// A document.
    pub(crate) fn json<T: DeserializeOwned>(&self, address: &str, repository: &str, path: &str) -> Result<T> {
        self.try_again(|| {
            let answer = self.send("GET", address, None, |_| false)?;
            if !answer.status.is_success() {
                return Err(self.refusal(answer, repository, path));
            }
            let Answer { mut body, .. } = answer;
            let bytes = body.with_config().limit(JSON_BYTES_MAX).read_to_vec();
            let bytes = bytes.map_err(|error| self.fault(address, &error))?;
            let parsed = serde_json::from_slice(&bytes);
            parsed.map_err(|error| {
                let problem = format!("with something else than a hub's list: {error}");
                Fault::Final(Error::Answer { address: shown(address).to_owned(), problem })
            })
        })
    }

    /// Bytes of a file, from `start` to before `end`; one attempt.
    pub(crate) fn open_range(&self, remote: &crate::Remote, (start, end): (u64, u64)) -> Result<Answer, Fault> {
        let answer = self.send("GET", &remote.address, Some((start, end)), |_| false)?;
        match answer.status {
            status if status.is_success() => Ok(answer),
            // The file there ends before.
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let crate::Remote { path, size_bytes, .. } = remote;
                Err(Fault::Final(Error::Short {
                    path: path.clone(),
                    size_bytes: *size_bytes,
                    missing: size_bytes - start,
                }))
            }
            _ => Err(self.refusal(answer, &remote.repository, &remote.path)),
        }
    }

    /// Asks until there is an answer, or no patience left.
    fn try_again<T>(&self, mut ask: impl FnMut() -> Result<T, Fault>) -> Result<T> {
        let mut attempt = 1;
        loop {
            match ask() {
                Ok(answer) => return Ok(answer),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Passing(error, _)) if attempt >= self.patience.attempts => {
                    return Err(error.after(attempt));
                }
                Err(Fault::Passing(error, wait)) => {
                    tracing::debug!("attempt {attempt}: {error}");
                    self.wait(attempt, wait, &Cancel::default());
                    attempt += 1;
                }
            }
        }
    }

    /// Waits after a failed attempt, from 1; as long as the server asked for, if it did.
    pub(crate) fn wait(&self, attempt: u32, asked: Option<Duration>, cancel: &Cancel) {
        let Patience { first_wait, wait_max, .. } = self.patience;
        let own = first_wait.saturating_mul(1 << (attempt - 1).min(16));
        let mut left = asked.unwrap_or(own).min(wait_max);
        while !left.is_zero() && !cancel.is_cancelled() {
            let slice = left.min(WAIT_SLICE);
            thread::sleep(slice);
            left -= slice;
        }
    }

    /// One request, through its redirects, until `enough`.
    fn send(
        &self,
        method: &'static str,
        address: &str,
        range: Option<(u64, u64)>,
        enough: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, Fault> {
        let mut address = address.to_owned();
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.send_once(method, &address, range)?;
            if !answer.status.is_redirection() || enough(&answer) {
                return Ok(answer);
            }
            let location = answer.headers.get("location").and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| join(&address, location));
            let wrong = |problem: &str| {
                Fault::Final(Error::Answer { address: shown(&address).to_owned(), problem: problem.to_owned() })
            };
            let next = next.ok_or_else(|| wrong("with a redirect that leads nowhere"))?;
            if address.starts_with("https://") && !next.starts_with("https://") {
                return Err(wrong("with a redirect to an address that is not encrypted"));
            }
            // What is left of the body is read, so that the connection can be used again.
            let _ = answer.body.into_with_config().limit(REFUSAL_BYTES_MAX).read_to_vec();
            address = next;
        }
        Err(Fault::Final(Error::Answer { address, problem: "with one redirect after the other".into() }))
    }

    fn send_once(&self, method: &str, address: &str, range: Option<(u64, u64)>) -> Result<Answer, Fault> {
        let request = match method {
            "HEAD" => self.agent.head(address),
            _ => self.agent.get(address),
        };
        // Compressed, neither sizes nor ranges would be those of the file.
        let mut request = request.header("Accept-Encoding", "identity");
        if let Some((start, end)) = range {
            request = request.header("Range", format!("bytes={start}-{}", end - 1));
        }
        if let Some(token) = self.token.as_ref().filter(|_| self.is_own(address)) {
            request = request.header("Authorization", format!("Bearer {token}"));
            if self.hub == Hub::ModelScope {
                request = request.header("Cookie", format!("m_session_id={token}"));
            }
        }
        let response = request.call().map_err(|error| self.fault(address, &error))?;
        tracing::debug!("{method} {} {range:?}: {}", shown(address), response.status());
        let (head, body) = response.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, address: address.to_owned(), body })
    }

    /// Whether an address is the hub's own.
    fn is_own(&self, address: &str) -> bool {
        origin(address).is_some_and(|origin| origin == self.own_origin)
    }

    /// No answer at all, or one that broke.
    pub(crate) fn fault(&self, address: &str, error: &ureq::Error) -> Fault {
        let host = origin(address).unwrap_or_else(|| shown(address).to_owned());
        let unreachable = |cause: String| Error::Unreachable { host, cause };
        match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Fault::Final(Error::Endpoint(shown(address).to_owned())),
            ureq::Error::HostNotFound => Fault::Passing(unreachable("no such host is known".into()), None),
            ureq::Error::Timeout(_) => {
                let seconds = self.patience.silence.as_secs_f64();
                Fault::Passing(unreachable(format!("no answer within {seconds} s")), None)
            }
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) => Fault::Final(unreachable(error.to_string())),
            // What TLS has against a certificate comes as this.
            ureq::Error::Io(cause) if cause.kind() == io::ErrorKind::InvalidData => {
                Fault::Final(unreachable(cause.to_string()))
            }
            ureq::Error::Io(cause) => Fault::Passing(unreachable(cause.to_string()), None),
            other => Fault::Passing(unreachable(other.to_string()), None),
        }
    }

    /// An answer that says no.
    fn refusal(&self, answer: Answer, repository: &str, path: &str) -> Fault {
        let Answer { status, headers, address, body } = answer;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let said = match header("x-error-message") {
            "" => said(&body.into_with_config().limit(REFUSAL_BYTES_MAX).read_to_vec().unwrap_or_default()),
            text => one_line(text),
        };
        let (hub, had_token) = (self.hub, self.token.is_some());
        let (repository, endpoint) = (repository.to_owned(), self.endpoint.clone());
        let code = header("x-error-code");
        let status_code = status.as_u16();
        match (status_code, code) {
            // The file's own host refuses when the address that the hub gave has grown too old.
            (400..=404, _) if !self.is_own(&address) => Fault::Passing(server(&address, status_code, said), None),
            (401 | 403, "GatedRepo") => {
                let page = hub.page(&endpoint, &repository);
                Fault::Final(Error::Gated { repository, page, had_token })
            }
            (401 | 404, "RepoNotFound" | "RevisionNotFound") => {
                Fault::Final(Error::NoRepository { hub, repository, endpoint })
            }
            (401, _) => Fault::Final(Error::Unauthorised { hub, repository, had_token }),
            (403, _) => Fault::Final(Error::Forbidden { hub, repository, said }),
            (404, code) if path.is_empty() && code != "EntryNotFound" => {
                Fault::Final(Error::NoRepository { hub, repository, endpoint })
            }
            (404, _) => Fault::Final(Error::NoFile { hub, repository, path: path.to_owned(), endpoint }),
            (408 | 425 | 429 | 500..=599, _) => {
                let wait = header("retry-after").parse().ok().map(Duration::from_secs);
                Fault::Passing(server(&address, status_code, said), wait)
            }
            _ => {
                let problem = format!("with status {status}");
                Fault::Final(Error::Answer { address: shown(&address).to_owned(), problem })
            }
        }
    }
}

impl Proxy {
    fn build(&self) -> Result<ureq::Proxy> {
        let wrong = || Error::Proxy(self.address.clone());
        let parsed = ureq::Proxy::new(&self.address).map_err(|_| wrong())?;
        // Only the builder takes exceptions.
        let mut builder = ureq::Proxy::builder(match parsed.protocol() {
            ProxyProtocol::Http => ProxyProtocol::Http,
            other => other,
        })
        .host(parsed.host())
        .port(parsed.port());
        if let Some(user) = parsed.username() {
            builder = builder.username(user);
        }
        if let Some(password) = parsed.password() {
            builder = builder.password(password);
        }
        for host in &self.except {
            builder = builder.no_proxy(host);
        }
        builder.build().map_err(|_| wrong())
    }
}

fn server(address: &str, status: u16, said: String) -> Error {
    Error::Server { host: origin(address).unwrap_or_default(), status, attempts: 1, said }
}

/// An address without what may be secret in it.
pub(crate) fn shown(address: &str) -> &str {
    address.split('?').next().unwrap_or(address)
}

/// What a refusal's body says, if it is a hub's.
fn said(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else { return String::new() };
    let text = ["error", "Message", "message"].iter().find_map(|name| value[name].as_str());
    one_line(text.unwrap_or_default())
}

fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    line.trim().to_owned()
}
