//! What the program offers to its nodes.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vita_folders::{Folders, LocalTime, Place};
use vita_graph::{Host, NodeError};
use vita_pipeline::Residency;

/// What nodes take out of their context: directories, loaded networks, settings, the clock.
pub struct Studio {
    /// Where models, inputs and results lie.
    pub folders: Arc<Folders>,
    /// Which networks are loaded.
    pub residency: Residency,
    /// How nodes behave.
    pub settings: Settings,
    clock: Clock,
    seed: u64,
    /// Previews so far.
    previews: AtomicU64,
}

/// How nodes behave.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether prompts and workflows are left out of files.
    pub disable_metadata: bool,
    /// The FFmpeg program, if there is one: for formats that are not written natively, and for sound.
    pub ffmpeg: Option<PathBuf>,
}

/// Tells the time of day where the user is.
pub type Clock = Box<dyn Fn() -> LocalTime + Send + Sync>;

impl Studio {
    /// `seed` makes the names of previews differ between runs of the program, which pages may have kept.
    pub fn new(
        folders: impl Into<Arc<Folders>>,
        residency: Residency,
        settings: Settings,
        clock: Clock,
        seed: u64,
    ) -> Self {
        Self { folders: folders.into(), residency, settings, clock, seed, previews: AtomicU64::new(0) }
    }

    /// The time of day.
    pub fn now(&self) -> LocalTime {
        (self.clock)()
    }

    /// A model file by category and name.
    ///
    /// # Errors
    /// If there is none of that name.
    pub(crate) fn model_file(&self, category: &str, name: &str) -> Result<PathBuf, NodeError> {
        self.folders.find(category, name).map_err(|error| NodeError::of(&error))
    }

    /// The FFmpeg program.
    ///
    /// # Errors
    /// If there is none; `what` says what it was needed for, as "WebM files are written".
    pub(crate) fn ffmpeg(&self, what: &str) -> Result<&Path, NodeError> {
        self.settings.ffmpeg.as_deref().ok_or_else(|| NodeError::Failed {
            kind: "RuntimeError",
            message: format!("{what} by FFmpeg, and there is none on this machine"),
            hint: Some(
                "install FFmpeg so that `ffmpeg` is found on the PATH and start again, or choose another format".into(),
            ),
        })
    }

    /// The beginning of the names of `count` previews, and the number of the first: no two previews of a run of the
    /// program have the same, and earlier runs' are gone.
    pub(crate) fn preview_names(&self, count: u64) -> (String, u64) {
        let first = self.previews.fetch_add(count, Ordering::Relaxed) + 1;
        (format!("ComfyUI_temp_{}", letters(self.seed)), first)
    }
}

/// Five letters that look unrelated for consecutive seeds.
fn letters(seed: u64) -> String {
    // SplitMix64.
    let mut bits = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    (0..5).map(|i| char::from(b'a' + (bits / 26u64.pow(i) % 26) as u8)).collect()
}

/// Pictures of the input directory, as the folder of a file picker.
pub(crate) const INPUT_IMAGES: &str = "input/image";
/// Videos of the input directory, as the folder of a file picker.
pub(crate) const INPUT_VIDEOS: &str = "input/video";

/// Autoencoders, as the folder of a file picker: the files and ComfyUI's word for none.
pub(crate) const VAE_CHOICES: &str = "vae or pixel space";
/// ComfyUI's word for pixels that are their own latents.
pub(crate) const PIXEL_SPACE: &str = "pixel_space";

/// Vision encoders, as the folder of a file picker: the Wan wrapper keeps them among the text encoders too.
pub(crate) const VISION_CHOICES: &str = "clip_vision and text_encoders";
/// Transformers in GGUF, as the folder of a file picker.
pub(crate) const GGUF_CHOICES: &str = "diffusion_models in gguf";

/// Endings of what counts as a picture and as a video, by their media types.
const IMAGES: &[&str] = &[
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".svg",
    ".ico",
];
const VIDEOS: &[&str] =
    &[".mp4", ".m4v", ".mov", ".qt", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ogv", ".3gp", ".wmv", ".flv"];

impl Host for Studio {
    fn files(&self, folder: &str) -> Vec<String> {
        let ending_in = |endings: &[&str]| {
            let mut names = self.folders.top_files(Place::Input);
            names.retain(|name| {
                let name = name.to_lowercase();
                endings.iter().any(|ending| name.ends_with(ending))
            });
            names
        };
        match folder {
            INPUT_IMAGES => ending_in(IMAGES),
            INPUT_VIDEOS => ending_in(VIDEOS),
            "input" => self.folders.top_files(Place::Input),
            VAE_CHOICES => self.folders.files("vae").into_iter().chain([PIXEL_SPACE.to_owned()]).collect(),
            VISION_CHOICES => {
                ["clip_vision", "text_encoders"].into_iter().flat_map(|category| self.folders.files(category)).collect()
            }
            GGUF_CHOICES => {
                let names = self.folders.files("diffusion_models").into_iter();
                names.filter(|name| name.to_lowercase().ends_with(".gguf")).collect()
            }
            category => self.folders.files(category),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The host of a program whose nodes are these.
///
/// # Panics
/// If the program was put together with another host.
pub(crate) fn studio(host: &dyn Host) -> &Studio {
    host.as_any().downcast_ref().expect("the nodes and the host of a program are made for each other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_differ() {
        let all: std::collections::HashSet<String> = (0..1000).map(letters).collect();
        assert!(all.len() > 990 && all.iter().all(|letters| letters.len() == 5), "{}", all.len());
    }
}
