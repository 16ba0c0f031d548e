//! What a result is called: the prefix of a save node, its tokens replaced, and the next free number.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::reservations::{Reservation, Reservations};
use crate::safe_name::{SafeName, UnsafeName};

/// Local time of day, as the caller's clock shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Four digits.
    pub year: i32,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 60.
    pub second: u32,
}

/// Whose pattern the names follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// ComfyUI's save nodes: `stem_00001_.png`.
    Core,
    /// VideoHelperSuite: `stem_00001.mp4`.
    Vhs,
}

/// What a save node asks for.
#[derive(Clone, Debug)]
pub struct SaveRequest<'a> {
    /// `video/ComfyUI_%width%x%height%`: folders, then the beginning of the name.
    pub prefix: &'a str,
    /// Pixels; what `%width%` becomes.
    pub width: u32,
    /// Pixels; what `%height%` becomes.
    pub height: u32,
    /// What `%year%` to `%second%` become.
    pub now: LocalTime,
    /// Whose pattern.
    pub naming: Naming,
    /// How many numbers in a row.
    pub count: u64,
}

/// Where a result goes, and its number. The folder exists, and the numbers are nobody else's until this is dropped.
#[derive(Debug)]
pub struct SavePath {
    /// The folder on disk.
    pub folder: PathBuf,
    /// The same below the output directory, with `/`; empty at its top.
    pub subfolder: String,
    /// The name before the number. May hold `%batch_num%`.
    pub stem: String,
    /// The first free number.
    pub counter: u64,
    naming: Naming,
    _reservation: Reservation,
}

/// Larger numbers are ignored: JavaScript could not hold them.
const COUNTER_MAX: u64 = 1_000_000_000_000_000;

impl SavePath {
    /// Finds the next number below `base`, and makes the folder.
    ///
    /// # Errors
    /// A prefix that would leave the directory, or a folder that cannot be made or read.
    pub(crate) fn next(base: &Path, request: &SaveRequest<'_>, reservations: &Reservations) -> Result<Self> {
        let prefix = replace_tokens(request);
        let name = SafeName::folder(&prefix).map_err(|error| UnsafeName { name: request.prefix.into(), ..error })?;
        let (subfolder, stem) = (name.parent().to_owned(), name.file_name().to_owned());
        let folder = SafeName::folder(&subfolder)?.under(base);
        fs::create_dir_all(&folder).map_err(|source| Error::io("create", &folder, source))?;
        let naming = request.naming;
        let free = || next_counter(&folder, &stem, naming);
        let (counter, reservation) = reservations.take(&folder, &stem, request.count, free)?;
        Ok(Self { folder, subfolder, stem, counter, naming, _reservation: reservation })
    }

    /// The name of the result with this number: `ComfyUI_00001_.png` (`extension` is `png`).
    pub fn file_name(&self, counter: u64, extension: &str) -> String {
        match self.naming {
            Naming::Core => format!("{}_{counter:05}_.{extension}", self.stem),
            Naming::Vhs => format!("{}_{counter:05}.{extension}", self.stem),
        }
    }

    /// The path of the first free number.
    pub fn path(&self, extension: &str) -> PathBuf {
        self.folder.join(self.file_name(self.counter, extension))
    }
}

/// `%date:...%` and `%Node.widget%` are the page's to replace and stay as they are.
fn replace_tokens(request: &SaveRequest<'_>) -> String {
    if !request.prefix.contains('%') {
        return request.prefix.to_owned();
    }
    let now = request.now;
    let tokens = [
        ("%width%", request.width.to_string()),
        ("%height%", request.height.to_string()),
        ("%year%", now.year.to_string()),
        ("%month%", format!("{:02}", now.month)),
        ("%day%", format!("{:02}", now.day)),
        ("%hour%", format!("{:02}", now.hour)),
        ("%minute%", format!("{:02}", now.minute)),
        ("%second%", format!("{:02}", now.second)),
    ];
    tokens.iter().fold(request.prefix.to_owned(), |prefix, (token, value)| prefix.replace(token, value))
}

fn next_counter(folder: &Path, stem: &str, naming: Naming) -> Result<u64> {
    let entries = fs::read_dir(folder).map_err(|source| Error::io("list", folder, source))?;
    let mut newest = 0;
    for entry in entries {
        let entry = entry.map_err(|source: io::Error| Error::io("list", folder, source))?;
        if let Some(counter) = counter_of(&entry.file_name().to_string_lossy(), stem, naming) {
            newest = newest.max(counter);
        }
    }
    if newest >= COUNTER_MAX {
        return Err(Error::CounterFull { folder: folder.to_owned(), counter: newest });
    }
    Ok(newest + 1)
}

/// The number in the name of an earlier result, if it has the stem and a number that is used.
fn counter_of(file_name: &str, stem: &str, naming: Naming) -> Option<u64> {
    let ignore_case = naming == Naming::Vhs || cfg!(windows);
    let head = file_name.get(..stem.len())?;
    let is_same = if ignore_case { head.to_lowercase() == stem.to_lowercase() } else { head == stem };
    let tail = file_name[stem.len()..].strip_prefix('_').filter(|_| is_same)?;
    let digit_count = tail.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = tail.split_at(digit_count);
    let is_counter = match naming {
        // `00001_` and whatever follows; another `_` after letters is not a number.
        Naming::Core => rest.is_empty() || rest.starts_with('_'),
        // `00001`, no further digit before the extension, for example `00001-audio.mp4`.
        Naming::Vhs => rest.rsplit_once('.').is_some_and(|(middle, extension)| {
            !extension.is_empty()
                && !middle.split('.').next().unwrap_or_default().contains(|c: char| c.is_ascii_digit())
        }),
    };
    if is_counter { digits.parse().ok().filter(|counter| *counter <= COUNTER_MAX) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: LocalTime = LocalTime { year: 2031, month: 2, day: 3, hour: 4, minute: 5, second: 6 };

    fn next(base: &Path, prefix: &str, naming: Naming) -> Result<SavePath> {
        next_of(&Reservations::default(), base, prefix, naming, 1)
    }

    fn next_of(reservations: &Reservations, base: &Path, prefix: &str, naming: Naming, count: u64) -> Result<SavePath> {
        let request = SaveRequest { prefix, width: 832, height: 480, now: NOW, naming, count };
        SavePath::next(base, &request, reservations)
    }

    #[test]
    fn tokens_and_folders() {
        let base = tempfile::tempdir().unwrap();
        for (prefix, subfolder, stem) in [
            ("ComfyUI", "", "ComfyUI"),
            ("video/ComfyUI", "video", "ComfyUI"),
            ("a\\b\\c", "a/b", "c"),
            ("video/", "", "video"),
            ("%year%-%month%-%day%/%hour%%minute%%second%_%width%x%height%", "2031-02-03", "040506_832x480"),
            ("%date:yyyy%_%Node.seed%", "", "%date:yyyy%_%Node.seed%"),
            ("img_%batch_num%", "", "img_%batch_num%"),
            ("", "", ""),
        ] {
            let path = next(base.path(), prefix, Naming::Core).unwrap();
            assert_eq!((path.subfolder.as_str(), path.stem.as_str(), path.counter), (subfolder, stem, 1), "{prefix}");
            assert!(path.folder.starts_with(base.path()) && path.folder.is_dir());
        }
        for prefix in ["../x", "/tmp/x", "a/../../x", "C:\\x", "x\0"] {
            assert!(matches!(next(base.path(), prefix, Naming::Vhs), Err(Error::UnsafeName(_))), "{prefix}");
        }
    }

    #[test]
    fn counters_go_on_after_the_highest() {
        let check = |naming, files: &[&str], expected: u64| {
            let base = tempfile::tempdir().unwrap();
            for file in files {
                fs::write(base.path().join(file), "").unwrap();
            }
            assert_eq!(next(base.path(), "clip", naming).unwrap().counter, expected, "{files:?}");
        };
        check(Naming::Core, &[], 1);
        check(Naming::Core, &["clip_00001_.png", "clip_00007_.mp4", "clip_00003_.png"], 8);
        check(Naming::Core, &["clip_00009.mp4", "clipper_00009_.png", "clip_x_00009_.png", "other_00009_.png"], 1);
        check(Naming::Core, &["clip_100000_.png"], 100_001);
        check(Naming::Core, &["clip_20310203040506_.png"], 20_310_203_040_507);
        check(Naming::Core, &["clip_99999999999999999999_.png"], 1);
        check(Naming::Core, if cfg!(windows) { &[] } else { &["CLIP_00004_.png"] }, 1);
        check(Naming::Vhs, &["clip_00001.png", "clip_00001.mp4", "CLIP_00002-audio.MP4"], 3);
        check(Naming::Vhs, &["clip_00005_.png"], 6);
        check(Naming::Vhs, &["clip_00005", "clip_00005_2.png", "clip_x5.png"], 1);
    }

    #[test]
    fn numbers_in_use_are_nobody_elses() {
        let base = tempfile::tempdir().unwrap();
        let reservations = Reservations::default();
        let next = |prefix, count| next_of(&reservations, base.path(), prefix, Naming::Core, count).unwrap();
        let (batch, other) = (next("clip", 3), next("other", 1));
        let second = next("clip", 1);
        assert_eq!((batch.counter, other.counter, second.counter), (1, 1, 4));
        // The second one is done before the first.
        fs::write(second.path("png"), "").unwrap();
        drop(second);
        assert_eq!(next("clip", 1).counter, 5);
        // What was not used is free again.
        fs::remove_file(base.path().join("clip_00004_.png")).unwrap();
        drop(batch);
        assert_eq!(next("clip", 1).counter, 1);
    }

    #[test]
    fn names_follow_their_pattern() {
        let base = tempfile::tempdir().unwrap();
        let core = next(base.path(), "video/clip", Naming::Core).unwrap();
        assert_eq!(core.path("mp4"), base.path().join("video/clip_00001_.mp4"));
        let vhs = next(base.path(), "clip", Naming::Vhs).unwrap();
        assert_eq!(vhs.file_name(12, "mp4"), "clip_00012.mp4");
    }
}
