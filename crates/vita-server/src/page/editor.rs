//! Finds the official editor and its workflow templates among installed Python packages. Nothing is run.

use std::path::{Path, PathBuf};

use vita_folders::python;

/// The package with the editor's files, under `static`.
const EDITOR_PACKAGE: &str = "comfyui_frontend_package";
/// The packages with templates begin like this; their files lie under `templates`.
const TEMPLATES_PREFIX: &str = "comfyui_workflow_templates";

/// The editor as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Editor {
    /// The folder with its `index.html`.
    pub root: Option<PathBuf>,
    /// Its version, where a package says it.
    pub version: Option<String>,
    /// Folders whose files are templates, by flat name.
    pub template_roots: Vec<PathBuf>,
    /// The version of the templates.
    pub templates_version: Option<String>,
}

/// Looks for the editor: in `given` (`--front-end-root`) if that is set, else where Python packages lie. `variable`
/// looks up the environment (`PATH`, `VIRTUAL_ENV`, `HOME`, ...).
pub fn find_editor(given: Option<&Path>, variable: &dyn Fn(&str) -> Option<String>) -> Editor {
    find_in(given, &python::package_folders(variable))
}

fn find_in(given: Option<&Path>, folders: &[PathBuf]) -> Editor {
    let installed = folders.iter().find(|folder| folder.join(EDITOR_PACKAGE).join("static/index.html").is_file());
    let mut editor = match (given, installed) {
        (Some(root), _) => Editor { root: Some(root.to_owned()), version: version_beside(root), ..Editor::default() },
        (None, Some(folder)) => Editor {
            root: Some(folder.join(EDITOR_PACKAGE).join("static")),
            version: version(folder, EDITOR_PACKAGE),
            ..Editor::default()
        },
        (None, None) => Editor::default(),
    };
    for folder in folders {
        editor.template_roots = template_roots(folder);
        if !editor.template_roots.is_empty() {
            editor.templates_version =
                version(folder, TEMPLATES_PREFIX).or_else(|| version(folder, "comfyui_workflow_templates_json"));
            break;
        }
    }
    editor
}

/// All template folders of one place of packages, those with the workflows themselves first.
fn template_roots(folder: &Path) -> Vec<PathBuf> {
    let names = python::entries(folder).into_iter().filter(|name| name.starts_with(TEMPLATES_PREFIX));
    let mut roots: Vec<PathBuf> =
        names.map(|name| folder.join(name).join("templates")).filter(|root| root.is_dir()).collect();
    roots.sort_by_key(|root| (!root.to_string_lossy().contains("_json"), root.clone()));
    roots
}

/// The version of a package, from its `NAME-1.2.3.dist-info`.
fn version(folder: &Path, package: &str) -> Option<String> {
    python::entries(folder).into_iter().find_map(|name| {
        let version = name.strip_suffix(".dist-info")?.strip_prefix(package)?.strip_prefix('-')?;
        Some(version.to_owned())
    })
}

/// A folder that was given may be the package's own `static`.
fn version_beside(root: &Path) -> Option<String> {
    let package = root.parent().filter(|package| package.file_name().is_some_and(|name| name == EDITOR_PACKAGE))?;
    version(package.parent()?, EDITOR_PACKAGE)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn packages_are_found_in_the_first_place_that_has_them() {
        let home = tempfile::tempdir().unwrap();
        let (empty, first, second) = (home.path().join("0"), home.path().join("1"), home.path().join("2"));
        for (folder, version) in [(&first, "1.58.1"), (&second, "1.35.9")] {
            touch(&folder.join("comfyui_frontend_package/static/index.html"));
            touch(&folder.join(format!("comfyui_frontend_package-{version}.dist-info/METADATA")));
        }
        touch(&second.join("comfyui_workflow_templates/__init__.py"));
        touch(&second.join("comfyui_workflow_templates-0.11.97.dist-info/METADATA"));
        touch(&second.join("comfyui_workflow_templates_core/manifest.json"));
        touch(&second.join("comfyui_workflow_templates_json/templates/a.json"));
        touch(&second.join("comfyui_workflow_templates_media_api/templates/a-1.webp"));
        let folders = [empty, first.clone(), second.clone()];
        let editor = find_in(None, &folders);
        assert_eq!(editor.root.as_deref(), Some(first.join("comfyui_frontend_package/static").as_path()));
        assert_eq!(editor.version.as_deref(), Some("1.58.1"));
        let roots =
            ["json", "media_api"].map(|name| second.join(format!("comfyui_workflow_templates_{name}/templates")));
        assert_eq!(editor.template_roots, roots);
        assert_eq!(editor.templates_version.as_deref(), Some("0.11.97"));

        let given = second.join("comfyui_frontend_package/static");
        let editor = find_in(Some(&given), &folders);
        assert_eq!((editor.root, editor.version.as_deref()), (Some(given), Some("1.35.9")));
        assert_eq!(find_in(None, &folders[..1]), Editor::default());
    }
}
