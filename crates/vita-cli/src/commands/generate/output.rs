//! The output while it is written, and its name if nobody chose one.

use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vita_base::Report;
use vita_media::{Frame, FrameSink, SinkOptions, Written, open_sink};

use crate::terminal;

/// A video under way. Ctrl-C (or a request of the system to end) removes what there is of it and
/// ends the program at once with code 130: a step of a large model takes too long to be waited for.
pub struct Output(Arc<Mutex<Option<Box<dyn FrameSink>>>>);

/// As shells have it for programs ended by Ctrl-C: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

impl Output {
    /// Opens the file under a temporary name, so that a place that cannot be written is found
    /// before the work. `on_interrupt` is called before the program ends by Ctrl-C.
    ///
    /// # Errors
    /// If the name does not say what to write, or the place refuses.
    pub fn open(path: &Path, options: SinkOptions, on_interrupt: impl Fn() + Send + 'static) -> Result<Self, Report> {
        let sink = Arc::new(Mutex::new(None));
        let shared = sink.clone();
        let handler = ctrlc::set_handler(move || {
            // Held until the end, so that nothing is written after this.
            let mut sink = lock(&shared);
            drop(sink.take());
            on_interrupt();
            terminal::note("stopped");
            process::exit(INTERRUPTED);
        });
        handler.map_err(|error| Report::new(format!("cannot watch for Ctrl-C: {error}")))?;
        *lock(&sink) = Some(open_sink(path, options)?);
        Ok(Self(sink))
    }

    /// Writes a frame.
    ///
    /// # Errors
    /// If the disk or the format refuses it.
    pub fn push(&self, frame: Frame<'_>) -> vita_media::Result<()> {
        match &mut *lock(&self.0) {
            Some(sink) => sink.push(frame),
            None => unreachable!("whoever took the output ends the program"),
        }
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn finish(self) -> vita_media::Result<Written> {
        let mut sink = lock(&self.0);
        match sink.take() {
            Some(sink) => sink.finish(),
            None => unreachable!("whoever took the output ends the program"),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // The handler holds on to the place until the program ends; what is in it must not.
        drop(lock(&self.0).take());
    }
}

fn lock(sink: &Mutex<Option<Box<dyn FrameSink>>>) -> MutexGuard<'_, Option<Box<dyn FrameSink>>> {
    // A panic while a frame was written leaves a sink that can still be dropped.
    sink.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name in the current folder that nothing has yet: the prompt's first words and the seed.
pub fn default_name(prompt: &str, seed: u64) -> PathBuf {
    free_name(&format!("{}-{seed}", slug(prompt)), |path| path.symlink_metadata().is_ok())
}

fn free_name(stem: &str, taken: impl Fn(&Path) -> bool) -> PathBuf {
    let numbered = (2..).map(|number| format!("{stem}-{number}.mp4"));
    let names = std::iter::once(format!("{stem}.mp4")).chain(numbered).map(PathBuf::from);
    names.into_iter().find(|path| !taken(path)).expect("some number is free")
}

/// Longest part of a name that is made of a prompt, in bytes of UTF-8.
const SLUG_BYTES_MAX: usize = 60;

/// "A red ball, moving!" -> "a-red-ball-moving": letters and digits of any script, whole words.
fn slug(prompt: &str) -> String {
    let lower = prompt.to_lowercase();
    let mut slug = String::new();
    for word in lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let joint = if slug.is_empty() { "" } else { "-" };
        let room = SLUG_BYTES_MAX - slug.len();
        if joint.len() + word.len() <= room {
            slug.extend([joint, word]);
            continue;
        }
        // One long word, as Chinese sentences are, is cut between letters.
        if slug.is_empty() {
            slug.push_str(&word[..word.floor_char_boundary(room)]);
        }
        break;
    }
    if slug.is_empty() { "video".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_prompts() {
        let long = "word ".repeat(40);
        let chinese = "红色的球向右移动".repeat(9);
        for (prompt, want) in [
            ("a red ball moves to the right", "a-red-ball-moves-to-the-right"),
            ("A red ball, moving! (fast:1.2)", "a-red-ball-moving-fast-1-2"),
            ("../../etc/passwd", "etc-passwd"),
            ("红色的球向右移动", "红色的球向右移动"),
            ("", "video"),
            ("?!", "video"),
            (&long, "word-word-word-word-word-word-word-word-word-word-word-word"),
            (&chinese, "红色的球向右移动红色的球向右移动红色的球"),
        ] {
            assert_eq!(slug(prompt), want, "{prompt}");
        }
    }

    #[test]
    fn a_name_that_is_taken_is_numbered() {
        let taken = ["a-1.mp4", "a-1-2.mp4"];
        let name = |stem| free_name(stem, |path| taken.contains(&path.to_str().unwrap()));
        assert_eq!(name("b-1"), PathBuf::from("b-1.mp4"));
        assert_eq!(name("a-1"), PathBuf::from("a-1-3.mp4"));
    }
}
