//! Where Python packages lie on this machine, told from its files alone.

use std::path::{Path, PathBuf};

/// The folders of packages, in the order in which a person would expect them to count: the active environment, the
/// `python3` on the path, the user's own, the system's. Only such as exist.
pub fn package_folders(variable: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let mut folders = Vec::new();
    let mut add = |folder: PathBuf| {
        if folder.is_dir() && !folders.contains(&folder) {
            folders.push(folder);
        }
    };
    for folder in std::env::split_paths(&path("PYTHONPATH").unwrap_or_default()) {
        add(folder);
    }
    for prefix in ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(path) {
        below_prefix(&prefix).into_iter().for_each(&mut add);
    }
    for folder in std::env::split_paths(&path("PATH").unwrap_or_default()) {
        for prefix in prefixes_of(&folder) {
            below_prefix(&prefix).into_iter().for_each(&mut add);
        }
    }
    let home = path("HOME").or_else(|| path("USERPROFILE"));
    let user_base = path("PYTHONUSERBASE").or_else(|| home.as_ref().map(|home| home.join(".local")));
    for prefix in user_base.into_iter().chain(["/usr/local".into(), "/usr".into()]) {
        below_prefix(&prefix).into_iter().for_each(&mut add);
    }
    // macOS and Windows keep a user's packages elsewhere.
    if let Some(home) = home {
        let library = home.join("Library/Python");
        newest_first(&library, "3.")
            .into_iter()
            .map(|folder| folder.join("lib/python/site-packages"))
            .for_each(&mut add);
    }
    if let Some(data) = path("APPDATA") {
        let library = data.join("Python");
        newest_first(&library, "Python3").into_iter().map(|folder| folder.join("site-packages")).for_each(&mut add);
    }
    folders
}

/// The names in a folder, sorted; none where it cannot be read.
pub fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// The installations whose `python3` is in a folder of the path.
fn prefixes_of(folder: &Path) -> Vec<PathBuf> {
    let names = ["python3", "python", "python3.exe", "python.exe"];
    let Some(program) = names.iter().map(|name| folder.join(name)).find(|program| program.is_file()) else {
        return Vec::new();
    };
    let mut prefixes = Vec::new();
    // pyenv puts scripts there that choose a version.
    if folder.file_name().is_some_and(|name| name == "shims")
        && let Some(root) = folder.parent()
    {
        let chosen = std::fs::read_to_string(root.join("version")).unwrap_or_default();
        prefixes.extend(chosen.split_whitespace().map(|version| root.join("versions").join(version)));
    }
    // An environment's program is a link to the system's; its packages are its own.
    for program in [Some(program.clone()), std::fs::canonicalize(program).ok()].into_iter().flatten() {
        let folder = program.parent().unwrap_or(Path::new(""));
        let is_bin = folder.file_name().is_some_and(|name| name == "bin" || name == "Scripts");
        let prefix = if is_bin { folder.parent() } else { Some(folder) };
        prefixes.extend(prefix.map(Path::to_owned));
    }
    prefixes
}

/// The folders of packages of one installation.
fn below_prefix(prefix: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for lib in ["lib", "lib64"] {
        let lib = prefix.join(lib);
        for version in newest_first(&lib, "python3.") {
            folders.push(version.join("site-packages"));
            folders.push(version.join("dist-packages"));
        }
        folders.push(lib.join("python3/dist-packages"));
    }
    folders.push(prefix.join("Lib/site-packages"));
    folders
}

/// The folders whose name is `begin` and a number, the largest number first.
fn newest_first(folder: &Path, begin: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = entries(folder)
        .iter()
        .filter_map(|name| Some((name.strip_prefix(begin)?.parse().ok()?, folder.join(name))))
        .collect();
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn places_are_found_in_order() {
        let home = tempfile::tempdir().unwrap();
        let at = |path: &str| home.path().join(path);
        for folder in [
            "venv/lib/python3.12/site-packages",
            "opt/bin",
            "opt/lib/python3.9/site-packages",
            "opt/lib/python3.11/site-packages",
            "pyenv/shims",
            "pyenv/versions/3.13.1/lib/python3.13/site-packages",
            "home/.local/lib/python3.11/site-packages",
            "linked/bin",
            "linked/lib/python3.11/site-packages",
        ] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for program in ["opt/bin/python3", "pyenv/shims/python3"] {
            fs::write(at(program), "").unwrap();
        }
        fs::write(at("pyenv/version"), "3.13.1\n").unwrap();
        std::os::unix::fs::symlink(at("opt/bin/python3"), at("linked/bin/python3")).unwrap();
        let path = std::env::join_paths(["nothing", "pyenv/shims", "linked/bin"].map(at)).unwrap();
        let variable = |name: &str| match name {
            "VIRTUAL_ENV" => Some(at("venv").display().to_string()),
            "PATH" => path.to_str().map(str::to_owned),
            "HOME" => Some(at("home").display().to_string()),
            _ => None,
        };
        let found = package_folders(&variable);
        let own: Vec<&PathBuf> = found.iter().filter(|folder| folder.starts_with(home.path())).collect();
        let expected = [
            "venv/lib/python3.12/site-packages",
            "pyenv/versions/3.13.1/lib/python3.13/site-packages",
            "linked/lib/python3.11/site-packages",
            "opt/lib/python3.11/site-packages",
            "opt/lib/python3.9/site-packages",
            "home/.local/lib/python3.11/site-packages",
        ];
        assert_eq!(own, expected.map(at).iter().collect::<Vec<_>>());
        assert!(package_folders(&|_| None).iter().all(|folder| folder.starts_with("/usr")));
    }
}
