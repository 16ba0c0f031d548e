//! Several connections fill one partial file, part by part.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use ureq::http::StatusCode;
use vita_base::Cancel;

use crate::client::{Answer, Client, Fault, shown};
use crate::error::{Error, Result};
use crate::partial::Partial;
use crate::{Hub, Remote};

/// Bytes read at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// How a file is divided.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Connections at once.
    pub connections: usize,
    /// Bytes asked for at once. A part that is there need not come again.
    pub part_bytes: u64,
}

impl Default for Parts {
    /// What fills most lines; more connections than this, hubs begin to refuse.
    fn default() -> Self {
        Self { connections: 4, part_bytes: 64 << 20 }
    }
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// So many bytes are there, those of earlier attempts too. May fall where a server gives no ranges.
    Received(u64),
    /// All are there, and so many of them have been read again for the checksum.
    Checked(u64),
}

/// One download, as its threads see it.
struct Job<'a> {
    client: &'a Client,
    remote: &'a Remote,
    partial: Partial,
    cancel: &'a Cancel,
    observe: &'a (dyn Fn(Event) + Sync),
    waiting: Mutex<VecDeque<usize>>,
    is_over: AtomicBool,
}

/// Why a part was not filled.
enum Obstacle {
    Fault(Fault),
    /// The server sends whole files only.
    NoRanges,
}

impl<T: Into<Fault>> From<T> for Obstacle {
    fn from(fault: T) -> Self {
        Self::Fault(fault.into())
    }
}

/// Why a download was not done.
enum Failure {
    Error(Error),
    NoRanges,
}

impl Client {
    /// Fetches a file to `path`, whose folder is created, replacing what is there. Goes on from what an earlier
    /// attempt left. `observe` is called from several threads.
    ///
    /// # Errors
    /// If the hub does not give it, the disk does not take it, it is not what the hub says it is, or `cancel` was
    /// asked. What came is kept, unless its checksum was wrong.
    pub fn download(
        &self,
        remote: &Remote,
        path: &Path,
        parts: Parts,
        cancel: &Cancel,
        observe: &(dyn Fn(Event) + Sync),
    ) -> Result<()> {
        let mut parts = parts;
        loop {
            let partial = Partial::open(path, remote, parts.part_bytes)?;
            observe(Event::Received(partial.done_bytes()));
            let waiting = Mutex::new(partial.unfinished().into());
            let is_over = AtomicBool::new(false);
            let job = Job { client: self, remote, partial, cancel, observe, waiting, is_over };
            match job.run(parts.connections.max(1)) {
                Ok(()) => return job.finish(),
                Err(Failure::Error(error)) => {
                    // Where this fails, the error at hand says more.
                    let _ = job.partial.save();
                    return Err(error);
                }
                Err(Failure::NoRanges) => {
                    tracing::debug!("{} sends whole files only", shown(&remote.address));
                    job.partial.discard();
                    parts = Parts { connections: 1, part_bytes: remote.size_bytes };
                }
            }
        }
    }
}

impl Job<'_> {
    fn run(&self, connections: usize) -> Result<(), Failure> {
        let count = connections.min(lock(&self.waiting).len());
        let results = thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(|| self.work())).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().expect("a download does not panic");
            threads.into_iter().map(join).collect::<Vec<_>>()
        });
        let failures = results.into_iter().filter_map(Result::err);
        // The one that is the user's doing, or the first.
        match failures.min_by_key(|failure| !matches!(failure, Failure::Error(Error::Stopped) | Failure::NoRanges)) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// Fills one part after the other, until none is left or something is wrong.
    fn work(&self) -> Result<(), Failure> {
        loop {
            let next = lock(&self.waiting).pop_front();
            let Some(index) = next.filter(|_| !self.is_over.load(Ordering::Relaxed)) else { return Ok(()) };
            if let Err(failure) = self.fill(index) {
                self.is_over.store(true, Ordering::Relaxed);
                return Err(failure);
            }
        }
    }

    /// Asks for a part until it is there. Attempts that bring something do not count.
    fn fill(&self, index: usize) -> Result<(), Failure> {
        let mut attempt = 1;
        loop {
            let (start, end) = self.partial.rest(index);
            if start == end || self.is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            if self.cancel.is_cancelled() {
                return Err(Failure::Error(Error::Stopped));
            }
            let (error, wait) = match self.receive(index, (start, end)) {
                Ok(()) => continue,
                Err(Obstacle::NoRanges) => return Err(Failure::NoRanges),
                Err(Obstacle::Fault(Fault::Final(error))) => return Err(Failure::Error(error)),
                Err(Obstacle::Fault(Fault::Passing(error, wait))) => (error, wait),
            };
            if self.partial.rest(index).0 > start {
                attempt = 1;
            } else if attempt >= self.client.patience().attempts {
                return Err(Failure::Error(error.after(attempt)));
            } else {
                self.client.wait(attempt, wait, self.cancel);
                attempt += 1;
            }
            tracing::debug!("{} from {start}: {error}", self.remote.path);
        }
    }

    /// One request's bytes.
    fn receive(&self, index: usize, (start, end): (u64, u64)) -> Result<(), Obstacle> {
        let answer = self.client.open_range(self.remote, (start, end))?;
        let Answer { status, headers, address, body } = answer;
        let mut place = start;
        if status == StatusCode::PARTIAL_CONTENT {
            let range = headers.get("content-range").and_then(|value| value.to_str().ok()).unwrap_or_default();
            match answers(range, start, self.remote.size_bytes) {
                Answers::Right => {}
                // The file there ends before.
                Answers::Shorter(missing) => return Err(self.short(missing).into()),
                Answers::Wrong => {
                    let problem = format!("with bytes `{range}` where those from {start} were asked for");
                    return Err(Error::Answer { address: shown(&address).to_owned(), problem }.into());
                }
            }
        } else if self.partial.is_one_part() {
            self.partial.restart(index);
            place = 0;
        } else {
            return Err(Obstacle::NoRanges);
        }
        let mut body = body.into_reader();
        let mut buffer = vec![0; BUFFER_BYTES];
        while place < end {
            if self.cancel.is_cancelled() {
                return Err(Error::Stopped.into());
            }
            if self.is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            let wanted = usize::try_from(end - place).map_or(BUFFER_BYTES, |left| left.min(BUFFER_BYTES));
            let count = match body.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(Fault::Passing(self.short(self.missing()), None).into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(Fault::Passing(self.short(self.missing()), None).into());
                }
                Err(error) => return Err(self.client.fault(&address, &ureq::Error::from(error)).into()),
            };
            let there = self.partial.append(index, &buffer[..count])?;
            place += count as u64;
            (self.observe)(Event::Received(there));
        }
        Ok(())
    }

    fn missing(&self) -> u64 {
        self.remote.size_bytes.saturating_sub(self.partial.done_bytes())
    }

    fn short(&self, missing: u64) -> Error {
        let Remote { path, size_bytes, .. } = self.remote;
        Error::Short { path: path.clone(), size_bytes: *size_bytes, missing }
    }

    /// Compares the checksum, and gives the file its name.
    fn finish(self) -> Result<()> {
        let Self { client, remote, partial, cancel, observe, .. } = self;
        if let Some(stated) = &remote.sha256 {
            let found = partial.sha256(cancel, &|bytes| observe(Event::Checked(bytes)))?;
            if found != *stated {
                partial.discard();
                let (hub, path, stated): (Hub, _, _) = (client.hub(), remote.path.clone(), stated.clone());
                return Err(Error::Checksum { hub, path, stated, found });
            }
        }
        partial.finish()
    }
}

/// What a `Content-Range` says of the bytes that follow.
#[derive(Debug, PartialEq, Eq)]
enum Answers {
    Right,
    /// They are of a file that lacks so many bytes.
    Shorter(u64),
    Wrong,
}

/// Whether a `Content-Range` begins where it should, in a file of the right size.
fn answers(range: &str, start: u64, size_bytes: u64) -> Answers {
    let parsed = || {
        let (bytes, total) = range.strip_prefix("bytes ")?.split_once('/')?;
        let from: u64 = bytes.split_once('-')?.0.parse().ok()?;
        let total = if total == "*" { size_bytes } else { total.parse().ok()? };
        Some((from, total))
    };
    match parsed() {
        Some((from, total)) if from == start && total == size_bytes => Answers::Right,
        Some((_, total)) if total < size_bytes => Answers::Shorter(size_bytes - total),
        _ => Answers::Wrong,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_answer() {
        for (range, want) in [
            ("bytes 5-9/10", Answers::Right),
            ("bytes 5-9/*", Answers::Right),
            ("bytes 4-9/10", Answers::Wrong),
            ("bytes 5-9/11", Answers::Wrong),
            ("bytes 5-6/7", Answers::Shorter(3)),
            ("bytes */10", Answers::Wrong),
            ("items 5-9/10", Answers::Wrong),
            ("", Answers::Wrong),
        ] {
            assert_eq!(answers(range, 5, 10), want, "{range}");
        }
    }
}
