//! Kills the server's process at random moments, starts it again, and looks for what was lost.
//!
//! Several clients submit prompts all the time. What they were told is in a [`Ledger`]; the history and the files
//! of the server are held against it.

mod clients;
mod files;
mod ledger;
mod poison;
mod random;
mod work;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use vita_base::Report;

use crate::program::{Connection, Program, beside, free_port, serve_command};
use clients::{Clients, Manner};
use files::Files;
use ledger::{Ledger, locked};
use random::Random;

/// What to kill, and how often.
#[derive(clap::Args)]
pub struct Arguments {
    /// The program [default: the one built beside this].
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Kills at random moments.
    #[arg(long, default_value_t = 50)]
    times: u32,
    /// Of the moments and the prompts. Threads make a run differ a little from the next, the seed notwithstanding.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients that submit at the same time.
    #[arg(long, default_value_t = 3)]
    clients: u32,
    /// Folder for the server, which is left there [default: a temporary one].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Accepted prompts outlive the power too, which takes longer.
    #[arg(long)]
    durable: bool,
}

/// One kill in so many comes while the server starts; the others come after its first answer.
const EARLY_ONE_IN: u64 = 5;
/// Latest moment of an early kill.
const EARLY_MS: u64 = 60;
/// Of those others, one in so many comes while clients storm.
const STORM_ONE_IN: u64 = 3;
/// Latest moment in a storm, so that not too many prompts wait.
const STORM_MS: u64 = 80;
/// Latest moment of the rest.
const LATE_MS: u64 = 400;
/// How long everything that waits may take at the end.
const DRAIN_PATIENCE: Duration = Duration::from_secs(300);

/// Kills and looks.
///
/// # Errors
/// If anything was lost, or the server cannot be used.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let temporary = tempfile::tempdir().map_err(|error| Report::new(format!("no temporary folder: {error}")))?;
    let folder = arguments.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut trial = Trial::new(arguments, &folder)?;
    let start = Instant::now();
    for _ in 0..arguments.times {
        trial.live_and_die()?;
    }
    poison::try_it(&mut trial)?;
    let history = trial.finish()?;
    trial.check(&history);
    println!("{} kills in {:.1} s, seed {}", trial.kills, start.elapsed().as_secs_f64(), arguments.seed);
    let ledger = locked(&trial.ledger);
    ledger.print(&trial.files);
    if ledger.fault_count() == 0 {
        return Ok(());
    }
    let report = Report::new(format!("{} faults", ledger.fault_count()));
    Err(match arguments.folder {
        Some(_) => report,
        None => report.with_hint(format!("everything is kept in `{}`", temporary.keep().display())),
    })
}

/// A server that dies again and again.
struct Trial {
    binary: PathBuf,
    base: PathBuf,
    log: PathBuf,
    port: u16,
    is_durable: bool,
    client_count: u32,
    kills: u32,
    random: Random,
    ledger: Arc<Mutex<Ledger>>,
    files: Files,
}

impl Trial {
    fn new(arguments: &Arguments, folder: &Path) -> Result<Self, Report> {
        let base = folder.join("base");
        Ok(Self {
            binary: arguments.binary.clone().unwrap_or_else(beside),
            log: folder.join("server.log"),
            port: free_port()?,
            is_durable: arguments.durable,
            client_count: arguments.clients.max(1),
            kills: 0,
            random: Random(arguments.seed),
            ledger: Arc::default(),
            files: Files::new(base.join("output")),
            base,
        })
    }

    /// Starts the server, has it work, kills it, and looks at its files.
    fn live_and_die(&mut self) -> Result<(), Report> {
        let (is_early, is_storm) = (self.random.below(EARLY_ONE_IN) == 0, self.random.below(STORM_ONE_IN) == 0);
        let latest_ms = match (is_early, is_storm) {
            (true, _) => EARLY_MS,
            (false, true) => STORM_MS,
            (false, false) => LATE_MS,
        };
        let (moment, seed) = (Duration::from_millis(self.random.below(latest_ms)), self.random.next());
        let mut program = self.start()?;
        if is_early {
            thread::sleep(moment);
            self.kill(program);
            self.locked().early_kills += 1;
            return Ok(());
        }
        program.wait_until_ready()?;
        self.look(&program)?;
        let manner = if is_storm { Manner::Storm } else { Manner::Steady };
        let manners = vec![manner; self.client_count as usize];
        let clients = Clients::start(&self.ledger, program.address(), &manners, self.kills, seed);
        thread::sleep(moment);
        self.kill(program);
        clients.join();
        Ok(())
    }

    fn start(&self) -> Result<Program, Report> {
        self.write_log(&format!("---- start after {} kills", self.kills));
        let mut command = serve_command(&self.binary, &self.base, self.port);
        if self.is_durable {
            command.arg("--durable");
        }
        Program::start(command, self.port, &self.log)
    }

    fn kill(&mut self, mut program: Program) {
        program.kill();
        self.kills += 1;
        let mut ledger = locked(&self.ledger);
        ledger.kills = self.kills;
        self.files.check_new(&mut ledger);
    }

    /// Directly after a start: everything accepted is somewhere.
    fn look(&self, program: &Program) -> Result<(), Report> {
        // The queue first: prompts only ever go from there to the history.
        let queue = ask(program, "/queue")?;
        let history = ask(program, "/history?max_items=4000")?;
        self.locked().compare(&queue, &history);
        Ok(())
    }

    /// A last life, in which everything is done. Returns the whole history.
    fn finish(&mut self) -> Result<Json, Report> {
        let mut program = self.start()?;
        program.wait_until_ready()?;
        let begin = Instant::now();
        while ask(&program, "/prompt")?["exec_info"]["queue_remaining"] != 0 {
            if begin.elapsed() > DRAIN_PATIENCE {
                return Err(Report::new("the queue does not become empty"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        let history = ask(&program, "/history")?;
        program.kill();
        Ok(history)
    }

    fn check(&mut self, history: &Json) {
        let mut ledger = locked(&self.ledger);
        ledger.compare(&Json::Null, history);
        ledger.check_order(history);
        ledger.check_results(history, &self.files);
        self.files.check_new(&mut ledger);
    }

    fn locked(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }

    fn write_log(&self, line: &str) {
        if let Ok(mut log) = File::options().create(true).append(true).open(&self.log) {
            let _ = writeln!(log, "{line}");
        }
    }
}

/// A GET whose answer has to be JSON.
fn ask(program: &Program, path: &str) -> Result<Json, Report> {
    let answer = Connection::open(program.address()).and_then(|mut connection| connection.get(path)?.json());
    answer.map_err(|error| Report::new(format!("GET {path}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, smaller, with the program that was built for this test run.
    #[test]
    fn a_server_that_is_killed_loses_nothing() {
        let binary = beside();
        if !binary.exists() {
            eprintln!("skipped: `{}` was not built (`cargo test --workspace` builds it)", binary.display());
            return;
        }
        let arguments = Arguments { binary: Some(binary), times: 5, seed: 7, clients: 2, folder: None, durable: false };
        run(&arguments).unwrap_or_else(|report| panic!("{report}"));
    }
}
