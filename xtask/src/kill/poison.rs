//! A prompt during which the process ends twice is given up, and the next one runs.

use std::time::{Duration, Instant};

use serde_json::Value as Json;
use vita_base::Report;

use super::clients::submit;
use super::work::Work;
use super::{DRAIN_PATIENCE, Trial, ask};
use crate::program::Program;

const ID: &str = "ffffffff-ffff-4000-8000-000000000001";
const NEXT_ID: &str = "ffffffff-ffff-4000-8000-000000000002";

/// Kills the process twice as soon as the prompt runs, and looks at the third start.
///
/// # Errors
/// If the server cannot be used. What is wrong otherwise goes to the ledger.
pub fn try_it(trial: &mut Trial) -> Result<(), Report> {
    // Long enough that it cannot end between being seen and being killed.
    let work = Work { side: 1024, count: 8, color: 0x20_40_60, is_saved: true, saves: 24 };
    for time in 0..2 {
        let mut program = trial.start()?;
        program.wait_until_ready()?;
        if time == 0 {
            submit(&trial.ledger, program.address(), ID, work)?;
            submit(&trial.ledger, program.address(), NEXT_ID, Work { side: 16, count: 1, saves: 1, ..work })?;
        }
        wait_until_running(&program)?;
        trial.kill(program);
    }
    let mut program = trial.start()?;
    program.wait_until_ready()?;
    let history = ask(&program, &format!("/history/{ID}"))?;
    let status = &history[ID]["status"];
    if status["status_str"] != "error" || !status.to_string().contains("the process ended twice") {
        trial.locked().fault(format!("what ended the process twice is not given up: {status}"));
    }
    program.kill();
    Ok(())
}

fn wait_until_running(program: &Program) -> Result<(), Report> {
    let begin = Instant::now();
    while begin.elapsed() < DRAIN_PATIENCE {
        let queue = ask(program, "/queue")?;
        if queue["queue_running"][0][1] == ID {
            return Ok(());
        }
        if queue["queue_running"] == Json::Array(Vec::new()) && queue["queue_pending"] == Json::Array(Vec::new()) {
            return Err(Report::new("the long prompt ended before it could be killed"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(Report::new("the long prompt does not begin"))
}
