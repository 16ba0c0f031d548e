//! Ready-made workflows, put where the editor's sidebar finds them.

use std::path::Path;

use vita_folders::{Folders, Result, replace_file};

/// Name and content of every `web/workflows/*.json`.
const WORKFLOWS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/workflows.rs"));

/// Copies the ready-made workflows to the user's, at the first start only: what a user has removed stays so.
/// Returns how many were copied.
///
/// # Errors
/// If the user directory cannot be written to.
pub fn install_workflows(folders: &Folders) -> Result<usize> {
    install(&folders.user().join("default/workflows"), WORKFLOWS)
}

fn install(folder: &Path, workflows: &[(&str, &str)]) -> Result<usize> {
    if folder.exists() {
        return Ok(0);
    }
    for (name, content) in workflows {
        replace_file(&folder.join(name), content.as_bytes())?;
    }
    Ok(workflows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflows_are_copied_once() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("default/workflows");
        let workflows = [("a.json", "{}"), ("b.json", "{\"nodes\": []}")];
        assert_eq!(install(&folder, &workflows).unwrap(), 2);
        assert_eq!(std::fs::read_to_string(folder.join("b.json")).unwrap(), workflows[1].1);
        std::fs::remove_file(folder.join("a.json")).unwrap();
        assert_eq!(install(&folder, &workflows).unwrap(), 0);
        assert!(!folder.join("a.json").exists());
    }

    #[test]
    fn those_in_the_program_are_workflows() {
        for (name, content) in WORKFLOWS {
            let workflow: serde_json::Value = serde_json::from_str(content).unwrap();
            assert!(workflow["nodes"].is_array() && name.ends_with(".json"), "{name} is in the editor's format");
        }
    }
}
