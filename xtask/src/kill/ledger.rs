//! What the clients know of their prompts, and what is wrong with what the server makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value as Json;

use super::files::Files;
use super::work::Work;

/// Every prompt, and every fault.
#[derive(Default)]
pub struct Ledger {
    prompts: BTreeMap<String, Prompt>,
    /// How often the process has been killed.
    pub kills: u32,
    /// How many of them came before the first answer.
    pub early_kills: u32,
    faults: BTreeSet<String>,
    finished: usize,
    given_up: usize,
    result_files: usize,
}

struct Prompt {
    work: Work,
    /// As answered; `None` while the server has not.
    number: Option<i64>,
    kills_before: u32,
    /// Lives of the server in which it was seen to begin.
    lives: BTreeSet<u32>,
    is_done: bool,
    is_given_up: bool,
}

impl Ledger {
    /// A prompt is about to be sent.
    pub fn send(&mut self, id: &str, work: Work) {
        let prompt = Prompt {
            work,
            number: None,
            kills_before: self.kills,
            lives: BTreeSet::new(),
            is_done: false,
            is_given_up: false,
        };
        self.prompts.insert(id.into(), prompt);
    }

    /// The server has taken it.
    pub fn accept(&mut self, id: &str, number: i64) {
        if let Some(prompt) = self.prompts.get_mut(id) {
            prompt.number = Some(number);
        }
    }

    /// It began.
    pub fn see_start(&mut self, id: &str, life: u32) {
        match self.prompts.get_mut(id) {
            Some(prompt) if prompt.is_done => self.fault(format!("{id} began although it was in the history")),
            Some(prompt) => drop(prompt.lives.insert(life)),
            None => self.fault(format!("{id} began, but nobody sent it")),
        }
    }

    /// Something is wrong.
    pub fn fault(&mut self, fault: String) {
        self.faults.insert(fault);
    }

    /// How much is wrong.
    pub fn fault_count(&self) -> usize {
        self.faults.len()
    }

    /// Holds the queue (nothing at the end) and the history against what was accepted.
    pub fn compare(&mut self, queue: &Json, history: &Json) {
        let waiting: Vec<&Json> = ["queue_running", "queue_pending"]
            .into_iter()
            .flat_map(|list| queue[list].as_array().into_iter().flatten())
            .collect();
        let numbers: Vec<Option<i64>> = waiting.iter().map(|item| item[0].as_i64()).collect();
        if !numbers.is_sorted() {
            self.fault(format!("the queue is out of order: {numbers:?}"));
        }
        for item in queue["queue_running"].as_array().into_iter().flatten() {
            let life = self.kills;
            self.see_start(item[1].as_str().unwrap_or_default(), life);
        }
        let waiting: BTreeMap<&str, &Json> =
            waiting.iter().filter_map(|item| Some((item[1].as_str()?, *item))).collect();
        let mut faults = Vec::new();
        for (id, prompt) in &mut self.prompts {
            // Those in the history may have been taken off the queue between the two answers, but not the reverse.
            let item = match history.get(id) {
                Some(entry) => {
                    prompt.is_done = true;
                    Some(&entry["prompt"])
                }
                None => waiting.get(id.as_str()).copied(),
            };
            match (item, prompt.number) {
                (None, Some(_)) if prompt.is_done => {} // Further back in the history than was asked for.
                (None, Some(number)) => faults.push(format!("{id} was accepted as {number} and is lost")),
                (None, None) => {}
                (Some(item), number) => {
                    if number.is_some() && item[0].as_i64() != number {
                        faults.push(format!("{id} was accepted as {number:?} and is {} now", item[0]));
                    }
                    if item[2] != prompt.work.prompt(id) {
                        faults.push(format!("{id} is another prompt now: {}", item[2]));
                    }
                }
            }
        }
        self.faults.extend(faults);
    }

    /// What was accepted first ended first, over all lives.
    pub fn check_order(&mut self, history: &Json) {
        let mut before: Option<(i64, &String)> = None;
        for (id, entry) in history.as_object().into_iter().flatten() {
            let Some(number) = entry["prompt"][0].as_i64() else {
                self.fault(format!("{id} has the number {}", entry["prompt"][0]));
                continue;
            };
            if let Some((earlier, other)) = before
                && earlier >= number
            {
                self.fault(format!("{id} ({number}) ended after {other} ({earlier})"));
            }
            before = Some((number, id));
        }
    }

    /// Every entry was sent by someone, and has its files or a good reason.
    pub fn check_results(&mut self, history: &Json, files: &Files) {
        let mut paths: BTreeSet<PathBuf> = BTreeSet::new();
        let mut faults = Vec::new();
        for (id, entry) in history.as_object().into_iter().flatten() {
            let Some(prompt) = self.prompts.get_mut(id) else {
                faults.push(format!("{id} is in the history, but nobody sent it"));
                continue;
            };
            if entry["status"]["status_str"] != "success" {
                let was_killed = entry["status"].to_string().contains("the process ended twice");
                prompt.is_given_up = was_killed;
                self.given_up += usize::from(was_killed);
                if !was_killed || self.kills - prompt.kills_before < 2 {
                    faults.push(format!("{id} failed: {}", entry["status"]));
                }
                continue;
            }
            self.finished += 1;
            // A start in the last of the lives is the one that ended; those before ended with the process.
            if prompt.lives.len() > 2 {
                faults.push(format!("{id} was begun {} times", prompt.lives.len()));
            }
            for save in 0..prompt.work.saves {
                let images = entry["outputs"][(save + 2).to_string()]["images"].as_array();
                let images = images.map(Vec::as_slice).unwrap_or_default();
                if images.len() != prompt.work.count as usize {
                    faults.push(format!("{id} has {} of {} pictures", images.len(), prompt.work.count));
                }
                for image in images.iter().filter(|image| image["type"] == "output") {
                    let path = files.path(image);
                    if let Err(problem) = files.check_picture(&path, &prompt.work) {
                        faults.push(format!("{id}: {problem}"));
                    }
                    self.result_files += 1;
                    if !paths.insert(path) {
                        faults.push(format!("{id} shares its file with another: {image}"));
                    }
                }
            }
        }
        self.faults.extend(faults);
    }

    /// Prints the counts, and what is wrong.
    pub fn print(&self, files: &Files) {
        let count = |of: fn(&Prompt) -> bool| self.prompts.values().filter(|prompt| of(prompt)).count();
        let unanswered = |is_done: bool| {
            self.prompts.values().filter(|prompt| prompt.number.is_none() && prompt.is_done == is_done).count()
        };
        for (what, count) in [
            ("kills", self.kills as usize),
            ("  before the first answer", self.early_kills as usize),
            ("prompts accepted", count(|prompt| prompt.number.is_some())),
            ("prompts sent, the answer cut off by a kill", unanswered(true) + unanswered(false)),
            ("  of these found in the queue afterwards", unanswered(true)),
            ("prompts finished", self.finished),
            (
                "  of these seen to run in a life before, too",
                count(|prompt| prompt.lives.len() > 1 && !prompt.is_given_up),
            ),
            ("prompts that two kills hit, marked failed", self.given_up),
            ("result files of the history, whole and as asked for", self.result_files),
            ("files under final names looked at after kills", files.looked_at()),
            ("unfinished files under temporary names", files.partial_count()),
            ("faults", self.faults.len()),
        ] {
            println!("{what:54} {count:6}");
        }
        for fault in self.faults.iter().take(20) {
            println!("FAULT: {fault}");
        }
    }
}

/// The ledger, also after a thread has panicked with it.
pub fn locked(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
