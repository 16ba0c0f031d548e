//! Many listeners, and slow ones.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tokio_tungstenite::tungstenite::stream::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, connect};
use vita_base::Report;

use super::side::Side;
use super::{prompts, rates};

/// A listener that has heard nothing for so long after the end has heard everything.
const QUIET: Duration = Duration::from_millis(500);
/// Readers beside the slow ones, and slow ones.
const READERS: usize = 10;

type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

/// What became of many sockets.
pub struct Many {
    sockets: usize,
    messages: usize,
    /// Sockets whose own prompt was not told whole, with what they heard.
    incomplete: Vec<String>,
    /// Different counts of `status` messages; all hear all of them.
    status_counts: BTreeSet<usize>,
    seconds: f64,
}

/// What slow readers do to others.
pub struct Slow {
    prompts: usize,
    /// Prompts a second without and with them.
    rates: [f64; 2],
    /// Different counts of messages that the fast readers heard, without and with slow ones.
    counts: [BTreeSet<usize>; 2],
    resident_mb: f64,
}

/// Each socket has a prompt of its own, and has to hear all of it once and in order.
///
/// # Errors
/// If a socket cannot be opened.
pub fn many(side: &Side<'_>, count: usize) -> Result<Many, Report> {
    let end = Arc::new(AtomicBool::new(false));
    let name = |index: usize| format!("socket-{index}");
    let listeners: Vec<_> =
        (0..count).map(|index| Listener::open(side.address(), &name(index), &end)).collect::<Result<_, _>>()?;
    let begin = Instant::now();
    rates::submit(side, count, &|index| prompts::small(index, Some(&name(index))))?;
    rates::wait_until_idle(side)?;
    let seconds = begin.elapsed().as_secs_f64();
    end.store(true, Ordering::Relaxed);
    let mut result =
        Many { sockets: count, messages: 0, incomplete: Vec::new(), status_counts: BTreeSet::new(), seconds };
    for listener in listeners {
        let heard = listener.join();
        result.messages += heard.len();
        result.status_counts.insert(heard.iter().filter(|kind| *kind == "status").count());
        let told: Vec<&str> = heard.iter().map(String::as_str).filter(|kind| WHOLE.contains(kind)).collect();
        if told != WHOLE {
            result.incomplete.push(told.join(" "));
        }
    }
    Ok(result)
}

/// What is told of a prompt of two nodes, `progress_state` and `status` left out.
const WHOLE: &[&str] = &[
    "execution_start",
    "execution_cached",
    "executing 1",
    "executing 2",
    "executed 2",
    "execution_success",
    "executing null",
];

/// Prompts without a client, of which everybody hears, with fast readers alone and then with slow ones beside them.
///
/// # Errors
/// If a socket cannot be opened.
pub fn slow_beside_fast(side: &Side<'_>, count: usize) -> Result<Slow, Report> {
    let mut result =
        Slow { prompts: count, rates: [0.0; 2], counts: [BTreeSet::new(), BTreeSet::new()], resident_mb: 0.0 };
    for turn in 0..2 {
        let end = Arc::new(AtomicBool::new(false));
        let fast: Vec<_> = (0..READERS)
            .map(|index| Listener::open(side.address(), &format!("fast-{turn}-{index}"), &end))
            .collect::<Result<_, _>>()?;
        // They are open and never read.
        let slow: Vec<Socket> = (0..READERS * turn)
            .map(|index| open(side.address(), &format!("slow-{index}")))
            .collect::<Result<_, _>>()?;
        let begin = Instant::now();
        rates::submit(side, count, &|index| prompts::small(turn * count + index, None))?;
        rates::wait_until_idle(side)?;
        result.rates[turn] = count as f64 / begin.elapsed().as_secs_f64();
        result.resident_mb = side.resident_bytes().map_or(f64::NAN, |bytes| bytes as f64 / 1e6);
        end.store(true, Ordering::Relaxed);
        for listener in fast {
            let heard = listener.join();
            result.counts[turn].insert(heard.iter().filter(|kind| *kind == "status").count());
        }
        drop(slow);
    }
    Ok(result)
}

/// A socket that is read by a thread of its own.
struct Listener(JoinHandle<Vec<String>>);

impl Listener {
    fn open(address: SocketAddr, id: &str, end: &Arc<AtomicBool>) -> Result<Self, Report> {
        let mut socket = open(address, id)?;
        let end = end.clone();
        let listen = move || {
            let mut heard = Vec::new();
            loop {
                match socket.read() {
                    Ok(Message::Text(text)) => heard.extend(kind(&text)),
                    Ok(_) => {}
                    Err(Error::Io(_)) if !end.load(Ordering::Relaxed) => {}
                    Err(_) => return heard,
                }
            }
        };
        let builder = thread::Builder::new().stack_size(256 << 10);
        let thread = builder.spawn(listen).map_err(|error| Report::new(format!("no thread for a socket: {error}")))?;
        Ok(Self(thread))
    }

    fn join(self) -> Vec<String> {
        self.0.join().unwrap_or_default()
    }
}

/// A socket whose greeting has been read.
fn open(address: SocketAddr, id: &str) -> Result<Socket, Report> {
    let failed = |error: Error| Report::new(format!("a socket of {address}: {error}"));
    let (mut socket, _) = connect(format!("ws://{address}/ws?clientId={id}")).map_err(failed)?;
    if let MaybeTlsStream::Plain(stream) = socket.get_mut() {
        stream.set_read_timeout(Some(QUIET)).map_err(|error| failed(Error::Io(error)))?;
    }
    socket.read().map_err(failed)?;
    Ok(socket)
}

/// The type of a message, with the node if it has one to tell.
fn kind(text: &str) -> Option<String> {
    let event: Json = serde_json::from_str(text).ok()?;
    let kind = event["type"].as_str()?;
    Some(match kind {
        "executing" | "executed" => format!("{kind} {}", event["data"]["node"].as_str().unwrap_or("null")),
        _ => kind.to_owned(),
    })
}

impl Many {
    /// Whether nothing was lost.
    pub fn is_right(&self) -> bool {
        self.incomplete.is_empty() && self.status_counts.len() == 1
    }
}

impl Slow {
    /// Whether the fast readers heard everything, at about the same pace.
    pub fn is_right(&self) -> bool {
        self.counts.iter().all(|counts| counts.len() == 1) && self.rates[1] > 0.7 * self.rates[0]
    }
}

impl fmt::Display for Many {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} websockets, a prompt each, {} messages in {:.2} s: {} told wrongly, `status` messages each {:?}",
            self.sockets,
            self.messages,
            self.seconds,
            self.incomplete.len(),
            self.status_counts,
        )?;
        self.incomplete.first().map_or(Ok(()), |told| write!(f, "\n  one of them heard: {told}"))
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = self.rates;
        write!(
            f,
            "{READERS} fast readers of {} prompts: {before:.0} prompts a second; with {READERS} that never read: \
             {after:.0} ({:.2} times); `status` messages of each fast reader {:?} and {:?}; resident {:.0} MB after it",
            self.prompts,
            after / before,
            self.counts[0],
            self.counts[1],
            self.resident_mb,
        )
    }
}
