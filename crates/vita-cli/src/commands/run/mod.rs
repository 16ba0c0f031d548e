//! `run WORKFLOW`: a workflow of nodes, run once, without the server.

mod faults;
mod progress;
mod results;
mod set;
mod source;

use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde_json::{Value as Json, json};
use vita_base::{Cancel, Report};
use vita_graph::{End, Executor, Failure, validate};

use crate::{aliases, folders, logs, terminal};
use progress::Progress;
use set::Setting;

/// Run a workflow once, without the server; the files that it writes are printed, a line each.
///
/// Seeds stay as they are in the workflow: the page alone draws new ones.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A workflow as the page saves it, or in API format (.json, or - for stdin); or a PNG, MP4 or WebP file that
    /// ComfyUI or this program has written, for what made it.
    #[arg(value_name = "WORKFLOW")]
    workflow: PathBuf,
    /// Give an input of a node another value; may be given several times.
    ///
    /// NODE is a node's id, or its title or class where only one node has it: --set 3.seed=7,
    /// --set "KSampler.steps=4", --set 62.image=girl.png.
    #[arg(long = "set", value_name = "NODE.INPUT=VALUE")]
    settings: Vec<Setting>,
    #[command(flatten)]
    folders: folders::Arguments,
}

/// Runs the workflow.
///
/// # Errors
/// If it cannot be read or cannot run, or a node fails.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let registry = vita_nodes::registry();
    let source = source::read(&arguments.workflow)?;
    let mut prompt = source.prompt(&registry)?;
    set::apply(&mut prompt, &registry, &arguments.settings)?;

    let folders = Arc::new(arguments.folders.open()?);
    if arguments.folders.nano_aliases {
        terminal::note(aliases::RESULT_NOTE);
    }
    let studio = Arc::new(arguments.folders.open_studio(&folders, &terminal::warn)?);
    let name = arguments.workflow.display().to_string();
    let plan = match validate(&registry, &*studio, &prompt, None) {
        Ok(plan) if plan.faults.is_empty() => plan,
        Ok(plan) => return Err(faults::of_nodes(&name, &plan.faults, &registry, &folders)),
        Err(rejection) => return Err(faults::of(&name, &rejection, &registry, &folders)),
    };

    // The page's form says what ran only as long as nothing is changed beside it.
    let workflow = source.workflow().filter(|_| arguments.settings.is_empty());
    let extra_pnginfo = workflow.map_or(Json::Null, |workflow| json!({ "workflow": workflow }));
    let mut progress = Progress::new(terminal::stderr_is_terminal() && !logs::are_on(), &plan.prompt, &registry);
    let cancel = watch_for_interrupts(progress.eraser())?;
    let mut executor = Executor::new(registry, studio);
    let outcome = executor.run(&plan, &extra_pnginfo, &cancel, &mut progress);
    drop(progress);

    for line in results::lines(&outcome, &folders) {
        terminal::print(&line)?;
    }
    match outcome.end {
        End::Success => Ok(()),
        End::Failed(failure) => Err(failed(failure)),
        End::Interrupted { .. } => {
            terminal::note("stopped");
            process::exit(INTERRUPTED);
        }
    }
}

/// As shells have it for programs ended by Ctrl-C: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// Ctrl-C, or a request of the system to end, stops the run where it next looks; a second one ends the program.
fn watch_for_interrupts(erase: impl Fn() + Send + 'static) -> Result<Cancel, Report> {
    let cancel = Cancel::default();
    let asked = AtomicBool::new(false);
    let shared = cancel.clone();
    let handler = ctrlc::set_handler(move || {
        shared.cancel();
        if asked.swap(true, Ordering::Relaxed) {
            erase();
            process::exit(INTERRUPTED);
        }
    });
    handler.map_err(|error| Report::new(format!("cannot watch for Ctrl-C: {error}")))?;
    Ok(cancel)
}

fn failed(failure: Failure) -> Report {
    let Failure { node, class, message, hint, .. } = failure;
    let report = Report::new(format!("{}\n  in node {node} ({class})", message.trim_end()));
    match hint {
        Some(hint) => report.with_hint(hint),
        None => report,
    }
}
