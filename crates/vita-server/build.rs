//! Puts the ready-made workflows, every `web/workflows/*.json`, into the program.

use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo tells where the crate is");
    let folder = Path::new(&root).join("../../web/workflows");
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut files: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    let lines: Vec<String> = files
        .iter()
        .map(|path| {
            println!("cargo::rerun-if-changed={}", path.display());
            let name = path.file_name().expect("a file has a name").to_string_lossy();
            format!("({name:?}, include_str!({:?})),\n", path.display().to_string())
        })
        .collect();
    let target = Path::new(&env::var("OUT_DIR").expect("cargo tells where to write")).join("workflows.rs");
    fs::write(target, format!("&[{}]", lines.concat())).expect("cargo's own folder can be written to");
}
