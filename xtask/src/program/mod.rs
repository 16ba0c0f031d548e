//! A server in a process of its own, and how the chores talk to it.

mod http;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use vita_base::Report;

pub use http::Connection;

/// How long a server may take to answer for the first time.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// A running server; killed when dropped.
pub struct Program {
    child: Child,
    address: SocketAddr,
    started: Instant,
    log: PathBuf,
}

impl Program {
    /// Starts a command that will listen on `port` of this machine; what it prints is added to `log`.
    ///
    /// # Errors
    /// If the program or the log cannot be used.
    pub fn start(mut command: Command, port: u16, log: &Path) -> Result<Self, Report> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.map_err(|error| Report::new(format!("cannot write `{}`: {error}", log.display())))?;
        let other = file.try_clone().map_err(|error| Report::new(format!("cannot write the log: {error}")))?;
        command.stdin(Stdio::null()).stdout(file).stderr(other);
        let started = Instant::now();
        let child = command.spawn().map_err(|error| {
            Report::new(format!("cannot start `{}`: {error}", command.get_program().to_string_lossy()))
                .with_hint("build it with `cargo build --release`, or name another with --binary")
        })?;
        Ok(Self { child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), started, log: log.to_owned() })
    }

    /// Waits for the first answer. Returns the time since the start of the process.
    ///
    /// # Errors
    /// If the process ends, or does not answer in time.
    pub fn wait_until_ready(&mut self) -> Result<Duration, Report> {
        while self.started.elapsed() < START_PATIENCE {
            if let Ok(mut connection) = Connection::open(self.address)
                && connection.get("/queue").is_ok_and(|answer| answer.status == 200)
            {
                return Ok(self.started.elapsed());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Report::new(format!("the server ended with {status}; see `{}`", self.log.display())));
            }
            thread::sleep(Duration::from_micros(500));
        }
        Err(Report::new(format!("the server does not answer on {}; see `{}`", self.address, self.log.display())))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Memory that it has resident now, in bytes; `None` where /proc does not tell.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    }

    /// Ends it without warning (`kill -9`) and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of this machine that nobody listens on.
///
/// # Errors
/// If there is none.
pub fn free_port() -> Result<u16, Report> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| Report::new(format!("no port to listen on: {error}")))
}

/// `serve` of our own program.
pub fn serve_command(binary: &Path, base: &Path, port: u16) -> Command {
    let mut command = Command::new(binary);
    command.arg("serve").arg("--base-directory").arg(base).args(["--port", &port.to_string()]);
    // The environment must not have a say in what is tested.
    command.env_remove("VITASCOPE_TOKEN").env_remove("VITASCOPE_LOG").env_remove("VITASCOPE_MODELS_DIR");
    command
}

/// The program that was built beside this one.
pub fn beside() -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    let folder = here.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).unwrap_or(Path::new("."));
    folder.join(format!("vitascope{}", std::env::consts::EXE_SUFFIX))
}
