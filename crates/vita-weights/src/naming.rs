//! From the names in a file to canonical ones: finds the prefix and the dialect, and renames.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::{Checkpoint, Role, networks};

/// The canonical names of one network's tensors in one file.
pub struct Names {
    naming: Naming,
    prefix: &'static str,
    keys: BTreeMap<String, String>,
}

/// How a network's tensors are named, apart from a prefix.
pub struct Naming {
    /// For people: "original", "diffusers".
    pub text: &'static str,
    /// Whether a key (prefix included) can only come from this naming.
    pub is_mark: fn(&str) -> bool,
    /// Canonical name of a key without its prefix. Names that it does not know stay as they are.
    pub rename: fn(&str) -> String,
}

/// Names of one network: dialects, prefixes, and the names that tell that it is there.
pub struct Dialects {
    /// Tried in turn; the last one matches anything.
    pub namings: &'static [Naming],
    /// What may stand before all names.
    pub prefixes: &'static [&'static str],
    /// Whether a canonical name can only belong to this network.
    pub is_anchor: fn(&str) -> bool,
}

impl Names {
    /// Finds a network in a file; `None` if none of its anchors is there under any prefix.
    pub fn find(role: Role, checkpoint: &Checkpoint) -> Option<Self> {
        let dialects = networks::dialects(role);
        let keys = || checkpoint.tensors().map(|(key, _)| key);
        let naming = dialects.namings.iter().find(|naming| keys().any(naming.is_mark))?;
        let anchors = |prefix: &str| {
            keys()
                .filter_map(|key| key.strip_prefix(prefix))
                .filter(|rest| (dialects.is_anchor)(&(naming.rename)(rest)))
                .count()
        };
        // The first of equals, so that "" (first in each list) wins where nothing is found.
        let counts = dialects.prefixes.iter().map(|prefix| (anchors(prefix), *prefix));
        let (count, prefix) = counts.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        if count == 0 {
            return None;
        }
        let mut names = BTreeMap::new();
        for key in keys() {
            if let Some(rest) = key.strip_prefix(prefix) {
                let name = (naming.rename)(rest);
                // A key that is already canonical wins over one that becomes so.
                if name == rest || !names.contains_key(&name) {
                    names.insert(name, key.to_owned());
                }
            }
        }
        let Naming { text, is_mark, rename } = *naming;
        Some(Self { naming: Naming { text, is_mark, rename }, prefix, keys: names })
    }

    /// Name in the file.
    pub fn key(&self, name: &str) -> Option<&str> {
        self.keys.get(name).map(String::as_str)
    }

    /// Canonical name of a key, whether or not the file has it.
    pub fn canonical(&self, key: &str) -> Option<String> {
        Some((self.naming.rename)(key.strip_prefix(self.prefix).unwrap_or(key)))
    }

    /// Whether any canonical name starts like this.
    pub fn any_below(&self, start: &str) -> bool {
        let from = (Bound::Included(start), Bound::Unbounded);
        self.keys.range::<str, _>(from).next().is_some_and(|(name, _)| name.starts_with(start))
    }

    /// Canonical names and the names in the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.iter().map(|(name, key)| (name.as_str(), key.as_str()))
    }

    /// What the file would have to call a tensor that it lacks, as far as the prefix goes.
    pub fn key_of_missing(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// "original names with prefix `model.`".
    pub fn text(&self) -> String {
        match self.prefix {
            "" => format!("{} names", self.naming.text),
            prefix => format!("{} names with prefix `{prefix}`", self.naming.text),
        }
    }
}

/// Splits off the last part of a name: `blocks.0.ffn.0.weight` -> (`blocks.0.ffn.0`, `weight`).
pub fn split_leaf(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

/// Splits a numbered part off the front: (`blocks.`, `blocks.12.ffn.0`) -> (`12`, `ffn.0`).
pub fn split_index<'a>(name: &'a str, list: &str) -> Option<(&'a str, &'a str)> {
    let (index, rest) = name.strip_prefix(list)?.split_once('.')?;
    (!index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit())).then_some((index, rest))
}
