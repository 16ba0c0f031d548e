//! The files that a server left behind.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::ledger::Ledger;
use super::work::Work;

/// The output folder.
pub struct Files {
    root: PathBuf,
    /// Final names that have been looked at.
    looked_at: BTreeSet<PathBuf>,
    partial_count: usize,
}

impl Files {
    /// Of a folder that need not be there yet.
    pub fn new(root: PathBuf) -> Self {
        Self { root, looked_at: BTreeSet::new(), partial_count: 0 }
    }

    /// Decodes every file under a final name that was not there before.
    pub fn check_new(&mut self, ledger: &mut Ledger) {
        let mut folders = vec![self.root.clone()];
        self.partial_count = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
                if path.is_dir() {
                    folders.push(path);
                } else if name.starts_with('.') && name.ends_with(".partial") {
                    self.partial_count += 1;
                } else if !self.looked_at.contains(&path) {
                    if let Err(error) = vita_media::read_image(&path) {
                        ledger.fault(format!("half a file under its final name: {error}"));
                    }
                    self.looked_at.insert(path);
                }
            }
        }
    }

    /// How many files had a final name.
    pub fn looked_at(&self) -> usize {
        self.looked_at.len()
    }

    /// How many had a temporary one, last time.
    pub fn partial_count(&self) -> usize {
        self.partial_count
    }

    /// Of an entry of a result.
    pub fn path(&self, image: &Json) -> PathBuf {
        let text = |key: &str| image[key].as_str().unwrap_or_default();
        self.root.join(text("subfolder")).join(text("filename"))
    }

    /// Whether a file shows what was asked for.
    pub fn check_picture(&self, path: &Path, work: &Work) -> Result<(), String> {
        let picture = vita_media::read_image(path).map_err(|error| error.to_string())?;
        let is_right = (picture.width(), picture.height()) == (work.side, work.side)
            && picture.as_bytes().as_chunks::<3>().0.iter().all(|pixel| *pixel == work.rgb());
        match is_right {
            true => Ok(()),
            false => Err(format!("`{}` does not show what was asked for", path.display())),
        }
    }
}
