//! How much a server does in a second.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use vita_base::Report;

use super::prompts;
use super::side::Side;
use crate::program::Connection;

/// As many as a page and some scripts have.
const CONNECTIONS: usize = 8;
/// Small prompts of a batch.
const BATCH: usize = 200;
/// Batches; the median counts.
const BATCHES: usize = 5;

/// GETs of a path.
///
/// # Errors
/// If the server does not answer.
pub fn gets(side: &Side<'_>, path: &str, seconds: u32) -> Result<f64, Report> {
    match wrk(side.address(), path, None, seconds)? {
        Some(rate) => Ok(rate),
        None => own(side.address(), seconds, |connection| connection.get(path).map(drop)),
    }
}

/// POSTs of a body.
///
/// # Errors
/// If the server does not answer.
pub fn posts(side: &Side<'_>, path: &str, body: &str, seconds: u32) -> Result<f64, Report> {
    match wrk(side.address(), path, Some(body), seconds)? {
        Some(rate) => Ok(rate),
        None => own(side.address(), seconds, |connection| connection.post(path, body).map(drop)),
    }
}

/// `None` where wrk is not installed.
fn wrk(address: SocketAddr, path: &str, body: Option<&str>, seconds: u32) -> Result<Option<f64>, Report> {
    let script = tempfile::NamedTempFile::new().map_err(|error| Report::new(format!("no temporary file: {error}")))?;
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s")]);
    if let Some(body) = body {
        let lines = format!(
            "wrk.method = \"POST\"\nwrk.body = [==[{body}]==]\nwrk.headers[\"Content-Type\"] = \"application/json\"\n"
        );
        std::fs::write(script.path(), lines).map_err(|error| Report::new(format!("cannot write a script: {error}")))?;
        command.arg("-s").arg(script.path());
    }
    let output = match command.arg(format!("http://{address}{path}")).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(_) => return Ok(None),
    };
    let rate = output.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    rate.map(Some).ok_or_else(|| Report::new(format!("wrk says nothing of requests: {output}")))
}

/// The same with connections of our own, one a thread.
fn own(
    address: SocketAddr,
    seconds: u32,
    request: impl Fn(&mut Connection) -> io::Result<()> + Sync,
) -> Result<f64, Report> {
    let (count, begin) = (AtomicUsize::new(0), Instant::now());
    let client = || -> io::Result<()> {
        let mut connection = Connection::open(address)?;
        while begin.elapsed() < Duration::from_secs(seconds.into()) {
            request(&mut connection)?;
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().try_for_each(|client| client.join().unwrap_or(Ok(())))
    })
    .map_err(|error| Report::new(format!("{address}: {error}")))?;
    Ok(count.into_inner() as f64 / begin.elapsed().as_secs_f64())
}

/// Batches of small prompts, from the first request to the empty queue.
///
/// # Errors
/// If the server refuses one, or does not get done.
pub fn prompts_done(side: &Side<'_>) -> Result<f64, Report> {
    let mut rates = Vec::new();
    for batch in 0..BATCHES {
        let begin = Instant::now();
        submit(side, BATCH, &|index| prompts::small(batch * BATCH + index, None))?;
        wait_until_idle(side)?;
        rates.push(BATCH as f64 / begin.elapsed().as_secs_f64());
    }
    Ok(super::median(rates))
}

/// Submits prompts over several connections.
///
/// # Errors
/// If the server refuses one.
pub fn submit(side: &Side<'_>, count: usize, body: &(dyn Fn(usize) -> String + Sync)) -> Result<(), Report> {
    let next = AtomicUsize::new(0);
    let client = || -> io::Result<()> {
        let mut connection = Connection::open(side.address())?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(());
            }
            let answer = connection.post("/prompt", &body(index))?;
            if answer.status != 200 {
                return Err(io::Error::other(String::from_utf8_lossy(&answer.body).into_owned()));
            }
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().try_for_each(|client| client.join().unwrap_or(Ok(())))
    })
    .map_err(|error| Report::new(format!("POST /prompt: {error}")))
}

/// Asks until nothing waits or runs.
///
/// # Errors
/// If the server does not answer.
pub fn wait_until_idle(side: &Side<'_>) -> Result<(), Report> {
    let lost = |error: io::Error| Report::new(format!("GET /prompt: {error}"));
    let mut connection = Connection::open(side.address()).map_err(lost)?;
    loop {
        let told = connection.get("/prompt").and_then(|answer| answer.json()).map_err(lost)?;
        if told["exec_info"]["queue_remaining"] == 0 {
            return Ok(());
        }
        // Seldom enough not to be a load of its own.
        thread::sleep(Duration::from_millis(4));
    }
}
