//! The files below the places of a category, remembered until a directory changes.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::category::Category;

/// Disks stamp directories at most this coarsely (FAT: 2 s), so a change this soon after a look may be missed.
const STAMP_COARSENESS: Duration = Duration::from_secs(2);
/// What a tree of links could blow up to is cut here.
const DIRECTORY_COUNT_MAX: usize = 20_000;
/// The same for files.
const FILE_COUNT_MAX: usize = 200_000;

/// One file of a category.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Relative to its place, with `/`.
    pub name: String,
    /// Index of its place among those of the category.
    pub place: usize,
}

/// A listing and what it was made of.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Sorted by name, then by place; a name may be in several places.
    pub files: Arc<[Listed]>,
    /// Every directory that was read, and places that were not there, with their times of change.
    directories: Vec<(PathBuf, Option<SystemTime>)>,
    /// `None` once the directories were looked at long enough after their last change.
    unsettled_since: Option<Instant>,
}

impl Listing {
    /// Reads all places of a category.
    pub fn read(category: &Category) -> Self {
        let mut walk = Walk { category, files: Vec::new(), directories: Vec::new() };
        for (index, place) in category.places.iter().enumerate() {
            walk.enter(place, "", index, &mut HashSet::new());
        }
        walk.files.sort_unstable();
        walk.files.dedup();
        Self { files: walk.files.into(), directories: walk.directories, unsettled_since: Some(Instant::now()) }
    }

    /// Whether reading again would give the same.
    ///
    /// A directory is asked for its time of change only. Since a second change within one tick of the disk's
    /// clock shows nowhere, a listing is read once more when that time is over.
    pub fn is_current(&self) -> bool {
        let is_settled = self.unsettled_since.is_none_or(|since| since.elapsed() < STAMP_COARSENESS);
        is_settled && self.is_unchanged()
    }

    /// Says that this listing is the second look.
    pub fn settle(&mut self, earlier: &Self) {
        let is_second_look = earlier.unsettled_since.is_some_and(|since| since.elapsed() >= STAMP_COARSENESS);
        if is_second_look && earlier.directories == self.directories {
            self.unsettled_since = None;
        }
    }

    fn is_unchanged(&self) -> bool {
        self.directories.iter().all(|(path, stamp)| changed_at(path) == *stamp)
    }
}

struct Walk<'a> {
    category: &'a Category,
    files: Vec<Listed>,
    directories: Vec<(PathBuf, Option<SystemTime>)>,
}

impl Walk<'_> {
    /// `above` holds the real paths of the directories from the place down to here: a link back to one of them
    /// would go round for ever.
    fn enter(&mut self, directory: &Path, prefix: &str, place: usize, above: &mut HashSet<PathBuf>) {
        if self.directories.len() >= DIRECTORY_COUNT_MAX || self.files.len() >= FILE_COUNT_MAX {
            return;
        }
        // The stamp is taken first: a change while reading then shows at the next look.
        self.directories.push((directory.to_owned(), changed_at(directory)));
        let (Ok(real), Ok(entries)) = (fs::canonicalize(directory), fs::read_dir(directory)) else { return };
        if !above.insert(real.clone()) {
            return;
        }
        for entry in entries.flatten() {
            // A name that is no Unicode cannot be said in JSON.
            let Ok(file_name) = entry.file_name().into_string() else { continue };
            let path = entry.path();
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_symlink() => fs::metadata(&path).map(|data| data.file_type()),
                kind => kind,
            };
            let name = if prefix.is_empty() { file_name.clone() } else { format!("{prefix}/{file_name}") };
            match kind {
                Ok(kind) if kind.is_dir() && file_name != ".git" => self.enter(&path, &name, place, above),
                Ok(kind) if kind.is_file() && self.category.takes(&file_name) => {
                    self.files.push(Listed { name, place });
                }
                _ => {}
            }
        }
        above.remove(&real);
    }
}

fn changed_at(directory: &Path) -> Option<SystemTime> {
    fs::metadata(directory).and_then(|data| data.modified()).ok()
}
