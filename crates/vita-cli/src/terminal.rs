//! What is written to the terminal: results on stdout, errors on stderr.

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};

use vita_base::Report;

/// Writes a result and a line break to stdout.
///
/// # Errors
/// If stdout cannot be written. A reader that has gone away (`| head`) ends the program instead,
/// without a word: it has what it wanted.
pub fn print(text: &str) -> Result<(), Report> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Report::new(format!("cannot write to stdout: {error}"))),
    }
}

/// Writes JSON and a line break to stdout.
///
/// # Errors
/// Like [`print`].
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Report> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Report::new(format!("cannot write the result as JSON: {error}")))?;
    print(&text)
}

/// Writes a remark to stderr. One that cannot be written is not missed.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes to stderr what the user may want to change.
pub fn warn(text: &str) {
    note(&format!("warning: {text}"));
}

/// Writes an error to stderr.
pub fn print_error(report: &Report) {
    let text = report.to_string();
    note(&if stderr_has_colour() { coloured(&text) } else { text });
}

/// Whether someone watches stderr.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether stderr is a terminal whose user wants colour (see <https://no-color.org>).
pub fn stderr_has_colour() -> bool {
    let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stderr_is_terminal() && !unwanted && env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

fn coloured(report: &str) -> String {
    const RED: &str = "\x1b[1;31m";
    const CYAN: &str = "\x1b[1;36m";
    const END: &str = "\x1b[0m";
    let report = report.replacen("error:", &format!("{RED}error:{END}"), 1);
    report.replacen("\n\nhint:", &format!("\n\n{CYAN}hint:{END}"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_marks_the_two_words_only() {
        let report = Report::new("no error: none").with_hint("none");
        assert_eq!(
            coloured(&report.to_string()),
            "\x1b[1;31merror:\x1b[0m no error: none\n\n\x1b[1;36mhint:\x1b[0m none"
        );
    }
}
