//! Where files lie: models by category, inputs, outputs, users; and which names are safe.
//!
//! - [`Folders`] knows every directory that the program reads or writes, lists the model files of a category
//!   (`diffusion_models`, `vae`) and finds the path of a listed name.
//! - [`SafeName`] is the one place where a name that came from outside becomes a path. Nothing else in the
//!   program joins such a name to a directory.
//! - [`SavePath`] numbers results as ComfyUI and VideoHelperSuite do; [`PartialFile`] makes them appear whole.
//!
//! Nothing here reads the environment or the time of day, both arrive as arguments; all calls may come from any
//! thread and block on the disk.
#![forbid(unsafe_code)]

mod annotated;
mod category;
mod error;
mod extra_paths;
mod folders;
mod listing;
mod partial_file;
pub mod python;
mod reservations;
mod safe_name;
mod save_path;

pub use annotated::Annotated;
pub use category::Category;
pub use error::{Error, Result};
pub use folders::{Folders, Options, Place};
pub use listing::Listed;
pub use partial_file::{PartialFile, replace_file, replace_private_file};
pub use safe_name::{Rules, SafeName, UnsafeName, resolve_inside};
pub use save_path::{LocalTime, Naming, SavePath, SaveRequest};
