//! Clients that submit prompts until the server dies, and one that listens.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio_tungstenite::tungstenite::{Message, connect};
use vita_base::Report;

use super::ledger::{Ledger, locked};
use super::random::Random;
use super::work::Work;
use crate::program::Connection;

/// Prompts that may wait before a client holds back.
const WAITING_MAX: u64 = 40;
/// Prompts between two looks at how many wait.
const BURST: u32 = 8;

/// How clients behave.
#[derive(Clone, Copy)]
pub enum Manner {
    /// Prompts of all sizes, a few of them waiting.
    Steady,
    /// One small prompt after the other, so that the server dies between taking one and answering.
    Storm,
}
/// Whose events the listener gets.
const CLIENT_ID: &str = "kill";

/// Threads that end when the server does.
pub struct Clients(Vec<JoinHandle<()>>);

impl Clients {
    /// `life` numbers the prompts' ids apart from those of other lives.
    pub fn start(ledger: &Arc<Mutex<Ledger>>, address: SocketAddr, manners: &[Manner], life: u32, seed: u64) -> Self {
        let clients = manners.iter().zip(0u32..).map(|(&manner, client)| {
            let (ledger, mut random) = (ledger.clone(), Random(seed ^ u64::from(client)));
            thread::spawn(move || {
                let ids = (0u64..).map(|index| format!("{life:08x}-{client:04x}-4000-8000-{index:012x}"));
                // An error is the end of the server, and what was sent last stays unanswered.
                let _ = submit_all(&ledger, address, manner, ids, &mut random);
            })
        });
        let mut threads: Vec<_> = clients.collect();
        let ledger = ledger.clone();
        threads.push(thread::spawn(move || listen(&ledger, address, life)));
        Self(threads)
    }

    /// To be called when the server is gone.
    pub fn join(self) {
        for thread in self.0 {
            let _ = thread.join();
        }
    }
}

fn submit_all(
    ledger: &Mutex<Ledger>,
    address: SocketAddr,
    manner: Manner,
    ids: impl Iterator<Item = String>,
    random: &mut Random,
) -> Result<(), Report> {
    for (id, index) in ids.zip(0u32..) {
        let work = match manner {
            Manner::Storm => Work::small(random),
            Manner::Steady => {
                while index.is_multiple_of(BURST) && waiting(address)? > WAITING_MAX {
                    thread::sleep(Duration::from_millis(5));
                }
                Work::draw(random)
            }
        };
        submit(ledger, address, &id, work)?;
    }
    Ok(())
}

fn waiting(address: SocketAddr) -> Result<u64, Report> {
    let answer = Connection::open(address).and_then(|mut connection| connection.get("/prompt")?.json());
    let answer = answer.map_err(|error| Report::new(format!("GET /prompt: {error}")))?;
    Ok(answer["exec_info"]["queue_remaining"].as_u64().unwrap_or(0))
}

/// Submits one prompt; the ledger knows of it before the server does.
///
/// # Errors
/// If there is no answer, or a refusal.
pub fn submit(ledger: &Mutex<Ledger>, address: SocketAddr, id: &str, work: Work) -> Result<(), Report> {
    locked(ledger).send(id, work);
    let body = json!({ "prompt": work.prompt(id), "prompt_id": id, "client_id": CLIENT_ID }).to_string();
    let answer = Connection::open(address).and_then(|mut connection| connection.post("/prompt", &body));
    let answer = answer.map_err(|error| Report::new(format!("POST /prompt: {error}")))?;
    let told = answer.json().unwrap_or_default();
    match told["number"].as_i64() {
        Some(number) if answer.status == 200 && told["prompt_id"] == id => {
            locked(ledger).accept(id, number);
            Ok(())
        }
        _ => {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            locked(ledger).fault(format!("{id} was answered with {}: {text}", answer.status));
            Err(Report::new(text))
        }
    }
}

/// Writes down which prompts begin.
fn listen(ledger: &Mutex<Ledger>, address: SocketAddr, life: u32) {
    let Ok((mut socket, _)) = connect(format!("ws://{address}/ws?clientId={CLIENT_ID}")) else { return };
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let Ok(event) = serde_json::from_str::<Json>(&text) else {
            locked(ledger).fault(format!("a message is no JSON: {text}"));
            continue;
        };
        if event["type"] == "execution_start"
            && let Some(id) = event["data"]["prompt_id"].as_str()
        {
            locked(ledger).see_start(id, life);
        }
    }
}
