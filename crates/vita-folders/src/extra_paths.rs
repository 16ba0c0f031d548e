//! `extra_model_paths.yaml`: further places of model files, in the format that ComfyUI's users have already.
//!
//! ```yaml
//! a1111:
//!     base_path: ~/stable-diffusion-webui
//!     is_default: true
//!     checkpoints: models/Stable-diffusion
//!     loras: |
//!         models/Lora
//!         models/LyCORIS
//! ```

use std::path::{Component, Path, PathBuf};

use saphyr::{LoadableYamlNode, Yaml};

use crate::error::{Error, Result};

/// One line of the file: a place for a category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExtraPlace {
    /// As it is written; may be an old name or one that nobody knows.
    pub category: String,
    /// Absolute where the file's own path is.
    pub place: PathBuf,
    /// Before the other places of the category.
    pub is_default: bool,
}

/// Reads such a file. `variable` looks up the environment, for `~`, `$NAME`, `${NAME}` and `%NAME%`.
///
/// # Errors
/// A file that cannot be read or is not YAML of that shape.
pub(crate) fn read(path: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<ExtraPlace>> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::io("read", path, source))?;
    parse(&text, path, variable)
}

fn parse(text: &str, path: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<ExtraPlace>> {
    let fault = |problem: String| Error::ExtraPaths { path: path.to_owned(), problem };
    let documents = Yaml::load_from_str(text).map_err(|error| fault(error.to_string()))?;
    let Some(document) = documents.first().filter(|document| !document.is_null()) else { return Ok(Vec::new()) };
    let sections = document.as_mapping().ok_or_else(|| fault("it is not a list of `name:` sections".into()))?;
    let folder = path.parent().unwrap_or(Path::new(""));

    let mut places = Vec::new();
    for (name, section) in sections {
        let name = name.as_str().unwrap_or("?");
        if section.is_null() {
            continue;
        }
        let section = section.as_mapping().ok_or_else(|| fault(format!("`{name}` holds no `key: value` lines")))?;
        let value = |key: &str| section.iter().find(|(known, _)| known.as_str() == Some(key)).map(|(_, value)| value);
        let base = match value("base_path") {
            None => folder.to_owned(),
            Some(base) => {
                let base = base.as_str().ok_or_else(|| fault(format!("`base_path` of `{name}` is not text")))?;
                folder.join(expand(base, variable))
            }
        };
        let is_default = value("is_default").is_some_and(is_true);
        for (key, value) in section {
            let key = key.as_str().ok_or_else(|| fault(format!("`{name}` has a key that is not text")))?;
            if key == "base_path" || key == "is_default" || value.is_null() {
                continue;
            }
            let lines = value.as_str().ok_or_else(|| fault(format!("`{key}` of `{name}` is not text")))?;
            for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
                let place = normal(&base.join(expand(line, variable)));
                places.push(ExtraPlace { category: key.to_owned(), place, is_default });
            }
        }
    }
    Ok(places)
}

/// The words that YAML 1.1 took for yes are text in YAML 1.2; people still write them.
fn is_true(value: &Yaml<'_>) -> bool {
    if let Some(value) = value.as_bool() {
        return value;
    }
    if let Some(value) = value.as_integer() {
        return value != 0;
    }
    value.as_str().is_some_and(|text| ["true", "yes", "on"].contains(&text.to_lowercase().as_str()))
}

/// Replaces `~` at the beginning and variables anywhere; unknown ones stay as they are.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    if let Some(tail) = text.strip_prefix('~')
        && (tail.is_empty() || tail.starts_with(['/', '\\']))
        && let Some(home) = variable("HOME").or_else(|| variable("USERPROFILE"))
    {
        expanded.push_str(&home);
        rest = tail;
    }
    while let Some(at) = rest.find(['$', '%']) {
        expanded.push_str(&rest[..at]);
        let (name, length) = variable_name(&rest[at..]);
        match variable(name).filter(|_| !name.is_empty()) {
            Some(value) => expanded.push_str(&value),
            None => expanded.push_str(&rest[at..at + length]),
        }
        rest = &rest[at + length..];
    }
    expanded + rest
}

/// The name at the beginning of `$NAME`, `${NAME}` or `%NAME%`, and how many bytes it takes with its signs.
fn variable_name(text: &str) -> (&str, usize) {
    let enclosed = |opening: usize, closing: char| {
        text[opening..].find(closing).map(|length| (&text[opening..opening + length], opening + length + 1))
    };
    let found = if text.starts_with("${") {
        enclosed(2, '}')
    } else if text.starts_with('%') {
        enclosed(1, '%')
    } else {
        let length = text[1..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        Some((&text[1..=length], length + 1))
    };
    found.unwrap_or(("", 1))
}

/// Takes `.` and `..` out of a path by its text; this path is the owner's, not a client's.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            component => normal.push(component),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/home/ada".into()),
            "DISK" => Some("/mnt/disk".into()),
            _ => None,
        }
    }

    fn check(yaml: &str, expected: &[(&str, &str, bool)]) {
        let places = parse(yaml, Path::new("/etc/vita/extra.yaml"), &variable).unwrap();
        let found: Vec<(&str, String, bool)> = places
            .iter()
            .map(|extra| (extra.category.as_str(), extra.place.display().to_string(), extra.is_default))
            .collect();
        let expected: Vec<(&str, String, bool)> = expected.iter().map(|&(a, b, c)| (a, b.to_owned(), c)).collect();
        assert_eq!(found, expected);
    }

    #[cfg(unix)]
    #[test]
    fn files_of_comfyui_are_read() {
        check("", &[]);
        check("# all commented out\n", &[]);
        check("comfyui:\n", &[]);
        check(
            "a1111:\n    base_path: path/to/webui\n    checkpoints: models/SD\n    loras: |\n         models/Lora\n\n         models/LyCORIS\n",
            &[
                ("checkpoints", "/etc/vita/path/to/webui/models/SD", false),
                ("loras", "/etc/vita/path/to/webui/models/Lora", false),
                ("loras", "/etc/vita/path/to/webui/models/LyCORIS", false),
            ],
        );
        check(
            "comfyui:\n  base_path: ~/comfy/\n  is_default: true\n  clip: models/clip/\n  custom_nodes:\nother:\n  base_path: ${DISK}/m\n  vae: ../vae\n  unet: /abs\n",
            &[("clip", "/home/ada/comfy/models/clip", true), ("vae", "/mnt/disk/vae", false), ("unet", "/abs", false)],
        );
        check(
            "x:\n  is_default: Yes\n  vae: $DISK/v\n  loras: $NOBODY/%DISK%\n",
            &[("vae", "/mnt/disk/v", true), ("loras", "/etc/vita/$NOBODY//mnt/disk".replace("//", "/").as_str(), true)],
        );
    }

    #[test]
    fn faults_are_told() {
        for (yaml, expected) in [
            ("- a\n- b\n", "it is not a list of `name:` sections"),
            ("a: b\n", "`a` holds no `key: value` lines"),
            ("a:\n  vae: [1, 2]\n", "`vae` of `a` is not text"),
            ("a:\n  base_path: 3\n", "`base_path` of `a` is not text"),
        ] {
            let error = parse(yaml, Path::new("x.yaml"), &variable).unwrap_err();
            assert_eq!(error.to_string(), format!("cannot understand `x.yaml`: {expected}"));
        }
        let error = parse("a:\n  b: 'open\n", Path::new("x.yaml"), &variable).unwrap_err();
        assert!(error.to_string().contains("line"), "{error}");
    }
}
