//! Names from outside, and the only way in which they become paths.
//!
//! A name is taken apart at `/` and `\`, each part is judged, and only the parts are joined to a directory. What
//! decides is the text alone, never the disk: links that the owner of a directory has put into it are followed,
//! as ComfyUI does, and no route of the server makes links. Percent signs are not decoded here: what reaches
//! this file was decoded once, by HTTP, and `%2e%2e` is then a name like any other.

use std::fmt;
use std::path::{Path, PathBuf};

/// The longest part of a path, which common file systems share.
const PART_BYTES_MAX: usize = 255;
/// The longest name as a whole; a base directory comes before it.
const NAME_BYTES_MAX: usize = 2048;
/// The most folders below each other.
const DEPTH_MAX: usize = 64;

/// A relative path that stays below the directory it is joined to. Parts are separated by `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SafeName(String);

/// Which file system the name must be safe on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Parts may hold any character but `/`, `\` and control characters.
    Unix,
    /// Device names, trailing dots and spaces, and `<>:"|?*` are refused too.
    Windows,
}

impl Rules {
    /// Those of the system this program was built for.
    pub const NATIVE: Self = if cfg!(windows) { Self::Windows } else { Self::Unix };
}

/// A name that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not allowed as a name: {reason}", Shown(.name))]
pub struct UnsafeName {
    /// As it was given.
    pub name: String,
    /// Why.
    pub reason: &'static str,
}

impl SafeName {
    /// Judges the name of a file: at least one part.
    ///
    /// # Errors
    /// A name that is empty or could leave the directory it is joined to.
    pub fn new(name: &str) -> Result<Self, UnsafeName> {
        Self::with_rules(name, Rules::NATIVE)
    }

    /// As [`SafeName::new`], by the rules of a chosen system.
    ///
    /// # Errors
    /// As [`SafeName::new`].
    pub fn with_rules(name: &str, rules: Rules) -> Result<Self, UnsafeName> {
        let safe = Self::folder_with_rules(name, rules)?;
        if safe.0.is_empty() {
            return Err(UnsafeName { name: name.into(), reason: "it names nothing" });
        }
        Ok(safe)
    }

    /// Judges the name of a folder; an empty one, or `.`, is the directory itself.
    ///
    /// # Errors
    /// A name that could leave the directory it is joined to.
    pub fn folder(name: &str) -> Result<Self, UnsafeName> {
        Self::folder_with_rules(name, Rules::NATIVE)
    }

    fn folder_with_rules(name: &str, rules: Rules) -> Result<Self, UnsafeName> {
        match parts(name, rules) {
            Ok(parts) => Ok(Self(parts.join("/"))),
            Err(reason) => Err(UnsafeName { name: name.into(), reason }),
        }
    }

    /// The name, with `/` between its parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part; empty for the directory itself.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// All but the last part; empty where there is only one.
    pub fn parent(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(parent, _)| parent)
    }

    /// This folder's entry of another name.
    #[must_use]
    pub fn join(&self, name: &SafeName) -> Self {
        match (self.0.as_str(), name.0.as_str()) {
            ("", _) => name.clone(),
            (_, "") => self.clone(),
            (folder, name) => Self(format!("{folder}/{name}")),
        }
    }

    /// The path below a directory.
    pub fn under(&self, base: &Path) -> PathBuf {
        let mut path = base.to_owned();
        path.extend(self.0.split('/').filter(|part| !part.is_empty()));
        path
    }
}

impl fmt::Display for SafeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path of `name` in `subfolder` (may be empty) of `base`. Neither may leave it.
///
/// # Errors
/// If one of the names is not safe.
pub fn resolve_inside(base: &Path, subfolder: &str, name: &str) -> Result<PathBuf, UnsafeName> {
    Ok(SafeName::folder(subfolder)?.join(&SafeName::new(name)?).under(base))
}

/// The parts of a name, or why it is refused.
fn parts(name: &str, rules: Rules) -> Result<Vec<&str>, &'static str> {
    if name.len() > NAME_BYTES_MAX {
        return Err("it is longer than 2048 bytes");
    }
    if name.chars().any(char::is_control) {
        return Err("it holds a control character");
    }
    if name.starts_with(['/', '\\']) {
        return Err("it is absolute");
    }
    let mut parts = Vec::new();
    for part in name.split(['/', '\\']) {
        if part.is_empty() || part == "." {
            continue;
        }
        check_part(part, rules)?;
        parts.push(part);
    }
    if parts.len() > DEPTH_MAX {
        return Err("it names more than 64 folders");
    }
    Ok(parts)
}

fn check_part(part: &str, rules: Rules) -> Result<(), &'static str> {
    if part.len() > PART_BYTES_MAX {
        return Err("a part of it is longer than 255 bytes");
    }
    // `..` is the way out; Windows drops dots and spaces at the end, so `.. ` and `...` could become it.
    if part.chars().all(|character| character == '.' || character == ' ') {
        return Err("a part of it is nothing but dots and spaces");
    }
    if let [letter, b':', ..] = part.as_bytes()
        && letter.is_ascii_alphabetic()
    {
        return Err("it names a drive");
    }
    match rules {
        Rules::Unix => Ok(()),
        Rules::Windows => check_part_on_windows(part),
    }
}

fn check_part_on_windows(part: &str) -> Result<(), &'static str> {
    if part.contains(['<', '>', ':', '"', '|', '?', '*']) {
        return Err("it holds one of the characters < > : \" | ? *");
    }
    if part.ends_with(['.', ' ']) {
        return Err("a part of it ends with a dot or a space");
    }
    let stem = part.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let is_numbered_port = ["COM", "LPT"].iter().any(|port| {
        stem.strip_prefix(port).is_some_and(|number| {
            let mut characters = number.chars();
            matches!(characters.next(), Some('0'..='9' | '\u{b9}' | '\u{b2}' | '\u{b3}')) && characters.next().is_none()
        })
    });
    if is_numbered_port || ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"].contains(&stem.as_str()) {
        return Err("it names a device");
    }
    Ok(())
}

/// A refused name as it can be printed: escaped and not endless.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_CHARACTERS_MAX: usize = 80;
        for character in self.0.chars().take(SHOWN_CHARACTERS_MAX) {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        if self.0.chars().nth(SHOWN_CHARACTERS_MAX).is_some() {
            f.write_str("...")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_kept() {
        for (given, expected) in [
            ("ComfyUI_00001_.mp4", "ComfyUI_00001_.mp4"),
            ("video/ComfyUI_00001_.mp4", "video/ComfyUI_00001_.mp4"),
            ("wan2.1\\Wan2_1_VAE_bf16.safetensors", "wan2.1/Wan2_1_VAE_bf16.safetensors"),
            ("./a//b/", "a/b"),
            ("a..b.png", "a..b.png"),
            ("..hidden", "..hidden"),
            (".partial", ".partial"),
            ("~/x", "~/x"),
            ("图像 (1).png", "图像 (1).png"),
            ("%2e%2e%2fetc", "%2e%2e%2fetc"),
            ("CON_1.png", "CON_1.png"),
            ("COM10.txt", "COM10.txt"),
        ] {
            assert_eq!(SafeName::with_rules(given, Rules::Unix).unwrap().as_str(), expected);
            assert_eq!(SafeName::with_rules(given, Rules::Windows).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn reasons_are_told() {
        for (given, rules, reason) in [
            ("", Rules::Unix, "it names nothing"),
            (".", Rules::Unix, "it names nothing"),
            ("/etc/passwd", Rules::Unix, "it is absolute"),
            ("\\\\server\\share", Rules::Unix, "it is absolute"),
            ("a/../b", Rules::Unix, "a part of it is nothing but dots and spaces"),
            ("a/.. /b", Rules::Unix, "a part of it is nothing but dots and spaces"),
            ("c:\\x", Rules::Unix, "it names a drive"),
            ("a\0b", Rules::Unix, "it holds a control character"),
            ("ab:c:d", Rules::Windows, "it holds one of the characters < > : \" | ? *"),
            ("x.png.", Rules::Windows, "a part of it ends with a dot or a space"),
            ("x/aux.png", Rules::Windows, "it names a device"),
            ("com\u{b2}", Rules::Windows, "it names a device"),
        ] {
            assert_eq!(SafeName::with_rules(given, rules).unwrap_err().reason, reason, "{given:?}");
        }
        let long = "a".repeat(256);
        assert_eq!(
            SafeName::new(&long).unwrap_err().to_string(),
            format!("`{}...` is not allowed as a name: a part of it is longer than 255 bytes", "a".repeat(80)),
        );
    }
}
