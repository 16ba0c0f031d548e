//! `serve`: the server, from the flags to its end.

mod arguments;
mod foreign_flags;
mod machine;
mod runner;

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use std::{env, fs, io};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt as log_format;
use tracing_subscriber::prelude::*;
use vita_base::Report;
use vita_folders::Folders;
use vita_queue::{Durability, HistoryLimit, Queue, QueueOptions, WorkerThread};
use vita_server::{App, Editor, LogLayer, LogRing, Parts, Server, ServerConfig, TlsFiles, Versions, auth, find_editor};

pub use arguments::Arguments;
pub use foreign_flags::with_log_level;
use machine::Machine;
use runner::GraphRunner;

use crate::aliases;

/// The interface that clients are told they talk to.
const COMFYUI_VERSION: &str = "0.8.0";

/// Of the newest history, held in memory.
const HISTORY_MEMORY_BYTES: usize = 16 << 20;

/// Starts the server and runs it until Ctrl-C or a termination signal.
///
/// # Errors
/// If a folder, the database, an address or a certificate cannot be used, or others could come in unasked.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let logs = LogRing::default();
    start_logs(arguments, &logs);
    for name in &arguments.foreign.given {
        tracing::info!("--{name} is a flag of ComfyUI's that does nothing here");
    }
    let variable = |name: &str| env::var(name).ok();
    let folders = Arc::new(open_folders(arguments)?);
    let decided = auth::decide(&auth::Start {
        listen: &arguments.addresses()?,
        token: arguments.token.as_deref(),
        login: arguments.login,
        no_auth: arguments.no_auth,
        file: folders.user().join("login.json"),
    })?;
    if let Some(notice) = &decided.notice {
        // On the console and in the log panel, and in no log file.
        eprintln!("{notice}");
        logs.pin(SystemTime::now(), notice);
    }
    let editor = find_editor(arguments.front_end_root.as_deref(), &variable);
    let config = config(arguments, decided.settings, &editor)?;
    let studios = arguments.folders.open_studios(&folders, &|text| tracing::warn!("{text}"))?;
    let studios: Vec<_> = studios.into_iter().map(|(workplace, studio)| (workplace, Arc::new(studio))).collect();
    let Some((_, first)) = studios.first() else { return Err(Report::new("there is nothing to work on")) };
    let queue = open_queue(arguments, &folders)?;
    let parts = Parts {
        config,
        host: first.clone(),
        registry: vita_nodes::registry(),
        queue: queue.clone(),
        folders,
        logs,
        surroundings: Arc::new(Machine::new(studios.iter().map(|(workplace, _)| workplace.clone()).collect())),
    };
    let note = arguments.folders.nano_aliases.then_some(aliases::RESULT_NOTE);
    let registry = parts.registry.clone();
    let runner = |(workplace, studio)| GraphRunner::new(registry.clone(), studio, workplace, note);
    let runners: Vec<_> = studios.into_iter().map(runner).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(answering_threads())
        .enable_all()
        .build()
        .map_err(|error| Report::new(format!("cannot start the server's threads: {error}")))?;
    runtime.block_on(async {
        let server = Server::bind(&parts.config).await?;
        let app = App::new(parts);
        let spawn = |runner| queue.spawn_worker(Box::new(runner));
        let workers = runners.into_iter().map(spawn).collect::<Result<Vec<_>, _>>();
        let workers = workers.map_err(|error| Report::new(format!("cannot start a worker's thread: {error}")))?;
        say_where(&server);
        server.run(app, stop_signal()).await;
        tracing::info!("Stopping; what is queued or running goes on at the next start");
        queue.close();
        let join = move || workers.into_iter().for_each(WorkerThread::join);
        drop(tokio::task::spawn_blocking(join).await);
        Ok(())
    })
}

/// Half of the cores, at most 4. Answers are short, and more threads than that only wake each other and stand in the way
/// of the computing ones: on two cores one thread answers 1.5 times as many requests as two.
fn answering_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, 4))
}

fn say_where(server: &Server) {
    let scheme = if server.is_encrypted() { "https" } else { "http" };
    for address in server.addresses() {
        tracing::info!("To see the page go to: {scheme}://{address}");
    }
}

/// Log lines go to stderr and into the page's log panel. Like ComfyUI, the server tells what it does unasked.
fn start_logs(arguments: &Arguments, logs: &LogRing) {
    let wanted = || match env::var("VITASCOPE_LOG").ok().and_then(|text| text.parse::<Targets>().ok()) {
        Some(targets) => targets,
        None => Targets::new().with_default(arguments.log_level()),
    };
    let prefix = if arguments.folders.nano_aliases { aliases::LOG_PREFIX } else { "" };
    let console = log_format::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .event_format(Prefixed(prefix))
        .with_filter(wanted());
    let panel = LogLayer::new(logs.clone(), SystemTime::now).with_prefix(prefix).with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(console).with(panel).init();
}

/// A line with something before it.
struct Prefixed(&'static str);

impl<S, N> log_format::FormatEvent<S, N> for Prefixed
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    N: for<'a> log_format::FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &log_format::FmtContext<'_, S, N>,
        mut writer: log_format::format::Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        let level = event.metadata().level();
        if *level != tracing::Level::INFO {
            write!(writer, "{level} ")?;
        }
        write!(writer, "{}", self.0)?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

fn open_folders(arguments: &Arguments) -> Result<Folders, Report> {
    let folders = arguments.folders.open()?;
    folders.create()?;
    folders.empty_temp()?;
    let copied = vita_server::install_workflows(&folders)?;
    if copied > 0 {
        tracing::info!("{copied} ready-made workflows are in the sidebar");
    }
    Ok(folders)
}

fn config(arguments: &Arguments, auth: auth::Settings, editor: &Editor) -> Result<ServerConfig, Report> {
    if arguments.tls_keyfile.is_some() != arguments.tls_certfile.is_some() {
        return Err(Report::new("--tls-keyfile and --tls-certfile belong together").with_hint("give both, or neither"));
    }
    if let Some(root) = &editor.root {
        tracing::info!("The editor's files are in `{}`", root.display());
    } else {
        tracing::info!("There is no editor on this machine; `pip install comfyui-frontend-package` gets it");
    }
    let tls = arguments.tls_keyfile.clone().zip(arguments.tls_certfile.clone());
    Ok(ServerConfig {
        listen: arguments.addresses()?,
        port: arguments.port,
        tls: tls.map(|(key, certificate)| TlsFiles { key, certificate }),
        cors: arguments.enable_cors_header.clone(),
        max_upload_bytes: (arguments.max_upload_size * f64::from(1 << 20)) as u64,
        preview_method: arguments.preview_method(),
        preview_side: arguments.preview_size,
        front_end_root: editor.root.clone(),
        template_roots: editor.template_roots.clone(),
        offline: arguments.offline || arguments.disable_api_nodes,
        auth,
        versions: Versions {
            vitascope: env!("CARGO_PKG_VERSION").into(),
            comfyui: COMFYUI_VERSION.into(),
            frontend: editor.version.clone(),
            templates: editor.templates_version.clone(),
        },
        argv: arguments::without_secrets(env::args()),
    })
}

fn open_queue(arguments: &Arguments, folders: &Folders) -> Result<Queue, Report> {
    let path = folders.user().join("vitascope.db");
    fs::create_dir_all(folders.user()).map_err(|error| cannot_create(folders.user(), &error))?;
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64);
    let queue = Queue::open(QueueOptions {
        path,
        clock: Arc::new(now),
        durability: if arguments.durable { Durability::PowerLoss } else { Durability::ProcessKill },
        history_limit: HistoryLimit {
            count: arguments.history_max_count,
            age: arguments.history_max_days.map(|days| std::time::Duration::from_secs_f64(days * 86_400.0)),
        },
        history_memory_bytes: HISTORY_MEMORY_BYTES,
    })?;
    Ok(queue)
}

fn cannot_create(folder: &Path, error: &io::Error) -> Report {
    Report::new(format!("cannot create `{}`: {error}", folder.display()))
        .with_hint("choose a place that can be written to with --base-directory or --user-directory")
}

/// Ends with Ctrl-C or, where there are such, a termination signal.
async fn stop_signal() {
    let interrupt = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    #[cfg(unix)]
    {
        let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(signal) => signal,
            Err(_) => return interrupt.await,
        };
        tokio::select! {
            () = interrupt => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    interrupt.await;
}
