//! Ready-made workflows, put where the editor's sidebar finds them, and the picture that they start from.

use std::path::Path;

use vita_folders::{Folders, Result, replace_file};

/// Name and content of every `web/workflows/*.json`.
const WORKFLOWS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/workflows.rs"));

/// A picture to try image to video with, by the name that the editor's templates use too.
const PICTURE: (&str, &[u8]) = ("example.png", include_bytes!("../../../../web/input/example.png"));

/// Copies the ready-made workflows to the user's and a picture to the inputs, at the first start only: what a user
/// has removed stays so. Returns how many workflows were copied.
///
/// # Errors
/// If the user or input directory cannot be written to.
pub fn install_workflows(folders: &Folders) -> Result<usize> {
    install(&folders.user().join("default/workflows"), WORKFLOWS, folders.input())
}

fn install(folder: &Path, workflows: &[(&str, &str)], input: &Path) -> Result<usize> {
    if folder.exists() {
        return Ok(0);
    }
    let (name, bytes) = PICTURE;
    if !input.join(name).exists() {
        replace_file(&input.join(name), bytes)?;
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
        let input = home.path().join("input");
        assert_eq!(install(&folder, &workflows, &input).unwrap(), 2);
        assert!(vita_media::read_image(input.join("example.png")).is_ok());
        assert_eq!(std::fs::read_to_string(folder.join("b.json")).unwrap(), workflows[1].1);
        std::fs::remove_file(folder.join("a.json")).unwrap();
        std::fs::remove_file(input.join("example.png")).unwrap();
        assert_eq!(install(&folder, &workflows, &input).unwrap(), 0);
        assert!(!folder.join("a.json").exists() && !input.join("example.png").exists());
    }

    #[test]
    fn those_in_the_program_are_workflows() {
        for (name, content) in WORKFLOWS {
            let workflow: serde_json::Value = serde_json::from_str(content).unwrap();
            assert!(workflow["nodes"].is_array() && name.ends_with(".json"), "{name} is in the editor's format");
        }
    }
}
