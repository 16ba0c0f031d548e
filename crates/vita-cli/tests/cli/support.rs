//! Running the command, and making files for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use vita_tensor::Tensor;
use vita_weights::{Checkpoint, write_safetensors};

/// A folder of a test's own, in which the command runs.
pub struct Folder(TempDir);

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for a test"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), bytes).expect("a file in a test's folder");
    }

    /// Names in the folder, hidden ones too, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("a test's folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The command, not started, in this folder and without the environment's say in it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vitascope"));
        command.args(arguments).current_dir(self.path());
        command.env_remove("VITASCOPE_LOG").env_remove("VITASCOPE_MODELS_DIR");
        // Without the machine's say either: everything runs on the processor.
        command.env("CUDA_VISIBLE_DEVICES", "");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments).output().expect("the command starts"))
    }

    /// Runs, and gives what was printed.
    #[track_caller]
    pub fn success(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.stdout
    }

    /// Copies of the small model's files: `dit`, `umt5` and `vae` with `.safetensors`.
    pub fn add_nano(&self) {
        for (name, file) in NANO {
            fs::copy(assets().join(file), self.path().join(format!("{name}.safetensors"))).expect("the small model");
        }
    }

    /// Copies of some of the small models' files, under their own names without `nano-`.
    pub fn add_nano_files(&self, names: &[&str]) {
        for name in names {
            let file = format!("{name}.safetensors");
            fs::copy(assets().join(format!("nano-{file}")), self.path().join(file)).expect("a small model's file");
        }
    }

    /// A picture with a slope in it.
    pub fn add_picture(&self, name: &str, width: u32, height: u32) {
        let pixel = |i: u32| [(i % width * 255 / width) as u8, (i / width * 255 / height) as u8, 90];
        let rgb: Vec<u8> = (0..width * height).flat_map(pixel).collect();
        let frame = vita_media::Frame::new(width, height, &rgb).expect("a picture of a test");
        vita_media::write_png(self.path().join(name), frame, &Default::default()).expect("a picture of a test");
    }

    /// A file of the small model with some of its tensors changed.
    pub fn add_changed_nano(&self, name: &str, change: impl FnOnce(&mut Tensors)) {
        let mut tensors = tensors(&nano_file(name));
        change(&mut tensors);
        self.write_tensors(&format!("{name}.safetensors"), &tensors);
    }

    pub fn write_tensors(&self, name: &str, tensors: &Tensors) {
        let tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        write_safetensors(self.path().join(name), &tensors, &BTreeMap::new()).expect("a checkpoint of a test");
    }
}

pub type Tensors = BTreeMap<String, Tensor>;

/// Every tensor of a file.
pub fn tensors(path: &Path) -> Tensors {
    let checkpoint = Checkpoint::open(path).expect("a checkpoint of the repository");
    let names: Vec<String> = checkpoint.tensors().map(|(name, _)| name.to_owned()).collect();
    names.into_iter().map(|name| (name.clone(), checkpoint.tensor(&name).unwrap())).collect()
}

/// Flags for the files that [`Folder::add_nano`] adds.
pub const FILES: &[&str] =
    &["--dit", "dit.safetensors", "--text-encoder", "umt5.safetensors", "--vae", "vae.safetensors"];

/// Flags for a video that takes no time.
pub const TINY: &[&str] = &["--size", "16x16", "--frames", "1", "--steps", "1", "--seed", "7"];

const NANO: &[(&str, &str)] =
    &[("dit", "nano-t2v-dit.safetensors"), ("umt5", "nano-umt5.safetensors"), ("vae", "nano-vae.safetensors")];

/// The small model's `dit`, `umt5` or `vae`.
pub fn nano_file(name: &str) -> PathBuf {
    let (_, file) = NANO.iter().find(|(part, _)| *part == name).expect("a part of the small model");
    assets().join(file)
}

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano")
}

pub fn ended(output: Output) -> Ended {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs, expects an error, and holds what stderr says from "error:" on to the start of what is wanted.
#[track_caller]
pub fn check(folder: &Folder, arguments: &[&str], want: &str) {
    let before = folder.names();
    let ended = folder.run(arguments);
    assert_eq!(ended.code, Some(1), "{arguments:?}: {}", ended.stderr);
    let said = ended.stderr.find("error:").map_or("", |at| &ended.stderr[at..]);
    assert!(said.starts_with(want), "{arguments:?}\nsaid: {said}\nwant: {want}");
    assert_eq!(ended.stdout, "");
    assert_eq!(folder.names(), before, "{arguments:?}");
}
