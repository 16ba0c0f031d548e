//! Every way we know of to leave a directory, tried on names, on the disk and by the rules of both systems.
#![allow(missing_docs, reason = "a program of its own, not an interface")]

use std::fs;
use std::path::{Component, Path};

use vita_folders::{Folders, LocalTime, Naming, Options, Place, Rules, SafeName, SaveRequest, resolve_inside};

fn tricks() -> Vec<String> {
    serde_json::from_str(include_str!("data/path_tricks.json")).unwrap()
}

#[test]
fn the_list_is_long_and_mostly_refused() {
    let tricks = tricks();
    assert!(tricks.len() >= 200, "{}", tricks.len());
    for (rules, refused_min) in [(Rules::Unix, 150), (Rules::Windows, 190)] {
        let refused = tricks.iter().filter(|trick| SafeName::with_rules(trick, rules).is_err()).count();
        assert!(refused >= refused_min, "{rules:?} refuses {refused} of {}", tricks.len());
    }
}

#[test]
fn what_is_allowed_stays_below_its_directory() {
    for trick in tricks() {
        for rules in [Rules::Unix, Rules::Windows] {
            let Ok(name) = SafeName::with_rules(&trick, rules) else { continue };
            let path = name.under(Path::new("/base"));
            let below = path.strip_prefix("/base").unwrap_or_else(|_| panic!("{trick:?} became {path:?}"));
            assert!(below.components().all(|part| matches!(part, Component::Normal(_))), "{trick:?} became {path:?}");
            assert!(below.components().count() >= 1 && !below.to_string_lossy().contains('\\'), "{trick:?}");
            for part in name.as_str().split('/') {
                assert!(!part.trim_matches([' ', '.']).is_empty(), "{trick:?} became {name:?}");
                let drive = part.as_bytes().get(1) == Some(&b':') && part.as_bytes()[0].is_ascii_alphabetic();
                assert!(!drive && !part.chars().any(char::is_control), "{trick:?} became {name:?}");
                if rules == Rules::Windows {
                    assert!(!part.contains(['<', '>', ':', '"', '|', '?', '*']), "{trick:?} became {name:?}");
                    assert!(!part.ends_with(['.', ' ']), "{trick:?} became {name:?}");
                }
            }
        }
    }
}

#[test]
fn no_name_reaches_the_secret_on_this_disk() {
    let home = tempfile::tempdir().unwrap();
    let base = home.path().join("output");
    fs::create_dir_all(base.join("a/b")).unwrap();
    fs::write(home.path().join("secret.txt"), "secret").unwrap();
    for trick in tricks() {
        for (subfolder, name) in [("", trick.as_str()), ("a", &trick), (&trick, "secret.txt"), (&trick, &trick)] {
            let Ok(path) = resolve_inside(&base, subfolder, name) else { continue };
            assert_ne!(fs::read(&path).ok().as_deref(), Some(b"secret".as_slice()), "{subfolder:?} {name:?}");
            if let Ok(real) = fs::canonicalize(&path) {
                assert!(real.starts_with(fs::canonicalize(&base).unwrap()), "{subfolder:?} {name:?} is {real:?}");
            }
        }
    }
}

#[test]
fn no_call_of_folders_leaves_its_directory() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("secret.txt"), "secret").unwrap();
    fs::write(home.path().join("secret.safetensors"), "secret").unwrap();
    let base = home.path().join("base");
    let folders = Folders::new(Options { base: base.clone(), ..Options::default() }, &|_| None).unwrap();
    folders.create().unwrap();
    let inside = |path: &Path| fs::canonicalize(path).unwrap().starts_with(fs::canonicalize(&base).unwrap());
    let now = LocalTime { year: 2031, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
    for trick in tricks() {
        for name in [trick.clone(), trick.replace("secret.txt", "secret.safetensors"), format!("{trick} [output]")] {
            assert!(folders.find("vae", &name).is_err(), "{name:?}");
            if let Ok(path) = folders.annotated(&name) {
                panic!("{name:?} is {path:?}");
            }
        }
        let request = SaveRequest { prefix: &trick, width: 1, height: 1, now, naming: Naming::Core, count: 1 };
        if let Ok(path) = folders.save_path(Place::Output, &request) {
            assert!(inside(&path.folder), "{trick:?} is {path:?}");
        }
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 3, "nothing appeared beside the base");
}
