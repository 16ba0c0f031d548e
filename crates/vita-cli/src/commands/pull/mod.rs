//! `pull PRESET`: the files of a system, from Hugging Face or ModelScope into ComfyUI's folders.

mod access;
mod progress;
mod sources;
mod wanted;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Duration;

use clap::{Args, value_parser};
use vita_base::{Cancel, Report, bytes_text};
use vita_hub::{Client, Error, Event, Existing, Parts, Remote, existing};
use vita_pipeline::Preset;

use crate::{disk, logs, terminal};
use access::Origin;
use progress::Progress;
use wanted::{Wanted, wanted};

/// Download the files of a model into ComfyUI's folders.
///
/// Shows sizes and licences and asks before it begins. A download that was cut or stopped goes on where it was; every
/// file is compared with the SHA-256 that the hub states. Files that are there already are checked and kept.
///
/// Tokens are those of the hubs' own programs: HF_TOKEN or what `hf auth login` keeps, and MODELSCOPE_API_TOKEN. So is
/// the mirror in HF_ENDPOINT, and the proxy in HTTPS_PROXY.
#[derive(Args, Debug)]
pub struct Arguments {
    /// What `generate --model` takes, such as wan2.2-ti2v-5b.
    preset: String,
    /// Which hub.
    #[arg(long, value_enum, default_value_t = Origin::Huggingface)]
    from: Origin,
    /// Address of a mirror with the hub's paths [default: the hub's own, or that in HF_ENDPOINT or MODELSCOPE_ENDPOINT].
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Where models are: a folder with diffusion_models, text_encoders, vae, clip_vision and loras in it.
    #[arg(long, value_name = "DIR", env = "VITASCOPE_MODELS_DIR", default_value = "models")]
    models_dir: PathBuf,
    /// Another form of a file than the preset's first, such as an fp16 or GGUF one; may be given several times.
    ///
    /// A name that is not known is answered by those that are.
    #[arg(long = "use", value_name = "NAME")]
    instead: Vec<String>,
    /// Replace files of the right name that are not those of the hub.
    #[arg(long)]
    replace: bool,
    /// Connections at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u8).range(1..=16))]
    connections: u8,
    /// Begin without asking.
    #[arg(short, long)]
    yes: bool,
}

/// A file, what the hub says of it, and what is there of it.
struct Planned {
    wanted: Wanted,
    remote: Remote,
    place: PathBuf,
    existing: Existing,
}

/// Downloads what is missing.
///
/// # Errors
/// If the preset is unknown, the hub does not give its files, they do not fit on the disk, or a checksum is wrong.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let preset = Preset::named(&arguments.preset)?;
    let Some(files) = &preset.files else {
        return terminal::print(&format!("`{}` is part of this program: there is nothing to pull", preset.name));
    };
    let wanted = wanted(preset, files, &arguments.instead)?;
    let client = Client::new(access::options(arguments.from, arguments.endpoint.as_deref()))?;
    let cancel = watch_for_interrupts()?;

    let plan = stopping(plan(&client, wanted, &arguments.models_dir, &cancel))?;
    show(&client, preset, &plan, &arguments.models_dir);
    check_files(&plan, arguments.replace)?;
    let missing: Vec<&Planned> = plan.iter().filter(|planned| planned.existing != Existing::Whole).collect();
    check_disk(&missing, &arguments.models_dir)?;
    if !missing.is_empty() && !arguments.yes {
        confirm()?;
    }
    for planned in missing {
        stopping(download(&client, planned, arguments.connections, &cancel))?;
    }
    let lines: Vec<String> = plan.iter().map(|planned| planned.place.display().to_string()).collect();
    terminal::print(&lines.join("\n"))
}

fn plan(client: &Client, wanted: Vec<Wanted>, models: &Path, cancel: &Cancel) -> Result<Vec<Planned>, Error> {
    let one = |wanted: Wanted| {
        let remote = client.find(wanted.repository, &wanted.path)?;
        let place = wanted.place(models);
        let progress = Progress::new(wanted.name, remote.size_bytes, has_bar());
        let existing = existing(&place, &remote, cancel, &|bytes| progress.observe(Event::Checked(bytes)))?;
        Ok(Planned { wanted, remote, place, existing })
    };
    wanted.into_iter().map(one).collect()
}

/// Says what is about to be downloaded.
fn show(client: &Client, preset: &Preset, plan: &[Planned], models: &Path) {
    terminal::note(&format!("{} ({}) from {}", preset.name, preset.title, client.endpoint()));
    for Planned { wanted, remote, existing, .. } in plan {
        let note = match existing {
            Existing::Missing => "",
            Existing::Whole => "  is there",
            Existing::Other { .. } => "  another file is there",
        };
        let unchecked = if remote.sha256.is_none() { "  (the hub states no checksum)" } else { "" };
        let name = format!("{}/{}", wanted.folder, wanted.name);
        terminal::note(&format!("  {:>9}  {name}{note}{unchecked}", bytes_text(remote.size_bytes)));
    }
    let repositories: BTreeSet<&str> = plan.iter().map(|planned| planned.wanted.repository).collect();
    for repository in repositories {
        let licence = client.licence(repository);
        let page = client.hub().page(client.endpoint(), repository);
        let licence = licence.unwrap_or_else(|| "not stated; read its page".to_owned());
        terminal::note(&format!("  licence of {page}: {licence}"));
    }
    let bytes = plan.iter().filter(|planned| planned.existing != Existing::Whole).map(|planned| planned.left_bytes());
    let free =
        disk::free_bytes(models).map_or_else(String::new, |free| format!(", {} are free there", bytes_text(free)));
    terminal::note(&match bytes.sum() {
        0 => format!("everything is in {}", models.display()),
        bytes => format!("{} to download to {}{free}", bytes_text(bytes), models.display()),
    });
}

impl Planned {
    /// Bytes that are still to be written.
    fn left_bytes(&self) -> u64 {
        let mut partial = self.place.clone().into_os_string();
        partial.push(".partial");
        self.remote.size_bytes.saturating_sub(disk::taken_bytes(Path::new(&partial)))
    }
}

fn check_files(plan: &[Planned], replace: bool) -> Result<(), Report> {
    let other = plan.iter().find_map(|planned| match planned.existing {
        Existing::Other { size_bytes } if !replace => Some((planned, size_bytes)),
        _ => None,
    });
    let Some((planned, found)) = other else { return Ok(()) };
    let stated = planned.remote.size_bytes;
    let difference = match found == stated {
        true => "another checksum".to_owned(),
        false => format!("{found} bytes instead of {stated}"),
    };
    let report = Report::new(format!("`{}` is not the hub's file: it has {difference}", planned.place.display()));
    Err(report
        .with_hint("add --replace to download it anew, or move it away; a download that broke off looks like this"))
}

fn check_disk(missing: &[&Planned], models: &Path) -> Result<(), Report> {
    let needed: u64 = missing.iter().map(|planned| planned.left_bytes()).sum();
    match disk::free_bytes(models) {
        Some(free) if free < needed => {
            let (needed, free) = (bytes_text(needed), bytes_text(free));
            let report = Report::new(format!("`{}` has {free} free, and {needed} are needed", models.display()));
            Err(report
                .with_hint("free some space, choose another disk with --models-dir, or a smaller form with --use"))
        }
        _ => Ok(()),
    }
}

fn confirm() -> Result<(), Report> {
    let stopped = || Report::new("nothing was downloaded").with_hint("answer y, or add --yes");
    if !io::stdin().is_terminal() {
        return Err(stopped());
    }
    let mut err = io::stderr();
    let _ = write!(err, "download? [y/N] ").and_then(|()| err.flush());
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    match read {
        Ok(_) if ["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str()) => Ok(()),
        _ => Err(stopped()),
    }
}

fn download(client: &Client, planned: &Planned, connections: u8, cancel: &Cancel) -> Result<(), Error> {
    let Planned { wanted, remote, place, .. } = planned;
    if !has_bar() {
        terminal::note(&format!("{}: {}", wanted.name, bytes_text(remote.size_bytes)));
    }
    let progress = Progress::new(wanted.name, remote.size_bytes, has_bar());
    let parts = Parts { connections: connections.into(), ..Parts::default() };
    client.download(remote, place, parts, cancel, &|event| progress.observe(event))
}

fn has_bar() -> bool {
    terminal::stderr_is_terminal() && !logs::are_on()
}

/// As shells have it for programs ended by Ctrl-C: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// Ends the program where the user stopped it.
fn stopping<T>(result: Result<T, Error>) -> Result<T, Report> {
    match result {
        Err(error @ Error::Stopped) => {
            terminal::print_error(&error.into());
            process::exit(INTERRUPTED);
        }
        result => Ok(result?),
    }
}

/// What a connection that is silent is waited for after Ctrl-C, before the program ends without it.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Ctrl-C, or a request of the system to end, stops the download where it is.
fn watch_for_interrupts() -> Result<Cancel, Report> {
    let cancel = Cancel::default();
    let shared = cancel.clone();
    let handler = ctrlc::set_handler(move || {
        shared.cancel();
        // A thread of its own; the others mostly end the program before.
        thread::sleep(LAST_WAIT);
        terminal::print_error(&Error::Stopped.into());
        process::exit(INTERRUPTED);
    });
    handler.map_err(|error| Report::new(format!("cannot watch for Ctrl-C: {error}")))?;
    Ok(cancel)
}
