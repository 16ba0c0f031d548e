//! What the system says of itself: free memory, this process's peak, a random seed.
//!
//! Linux alone is asked about memory; elsewhere it is not known, which switches the check off
//! before a run.

use std::fs;
use std::path::{Path, PathBuf};

use vita_base::Report;

/// Bytes that a run may take without pushing anything else out, or into its container's limit.
pub fn memory_free_bytes() -> Option<u64> {
    free_below(Path::new("/"))
}

/// The most memory that this process had in use at once.
pub fn peak_rss_bytes() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// A seed that nobody chose; of 32 bits, since PyTorch's generator uses no more.
///
/// # Errors
/// If the system has no random numbers.
pub fn random_seed() -> Result<u64, Report> {
    getrandom::u32()
        .map(u64::from)
        .map_err(|error| Report::new(format!("the system gave no random number: {error}")).with_hint("choose a --seed"))
}

/// The least of what the machine has and what each control group around the process leaves.
fn free_below(root: &Path) -> Option<u64> {
    let machine = kilobytes(&fs::read_to_string(root.join("proc/meminfo")).ok()?, "MemAvailable:")?;
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let left = groups.lines().filter_map(|line| group_left(root, line)).min();
    Some(left.map_or(machine, |left| left.min(machine)))
}

/// Files of one version of control groups.
struct GroupFiles {
    mount: &'static str,
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`: pages of files, which the system drops when it needs them.
    cached: &'static str,
}

const GROUPS_2: GroupFiles =
    GroupFiles { mount: "sys/fs/cgroup", limit: "memory.max", used: "memory.current", cached: "inactive_file " };

const GROUPS_1: GroupFiles = GroupFiles {
    mount: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: "total_inactive_file ",
};

/// What the group of a line of `/proc/self/cgroup` leaves, and those above it.
fn group_left(root: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    let files = match controllers {
        "" => &GROUPS_2,
        _ if controllers.split(',').any(|controller| controller == "memory") => &GROUPS_1,
        _ => return None,
    };
    let mount = root.join(files.mount);
    let folder: PathBuf = mount.join(path.trim_start_matches('/'));
    let folders = folder.ancestors().take_while(|folder| folder.starts_with(&mount));
    folders.filter_map(|folder| left_in(folder, files)).min()
}

fn left_in(folder: &Path, files: &GroupFiles) -> Option<u64> {
    let number = |name| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    // "max" is no number, and no limit.
    let limit = number(files.limit)?;
    let used = number(files.used)?;
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let cached = stat.lines().find_map(|line| line.strip_prefix(files.cached)?.trim().parse().ok());
    Some(limit.saturating_sub(used.saturating_sub(cached.unwrap_or(0))))
}

/// "MemAvailable:   123 kB" -> bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_tightest_limit_counts() {
        let meminfo = ("proc/meminfo", "MemTotal:  4096 kB\nMemAvailable:    2048 kB\n");
        let in_group = ("proc/self/cgroup", "0::/user/job\n");
        type Files<'a> = &'a [(&'a str, &'a str)];
        let cases: &[(&str, Files, Option<u64>)] = &[
            ("nothing is known", &[], None),
            ("no groups", &[meminfo], Some(2 * MIB)),
            ("no limit", &[meminfo, in_group, ("sys/fs/cgroup/user/job/memory.max", "max\n")], Some(2 * MIB)),
            (
                "a limit around the group, with 1 MiB of files cached",
                &[
                    meminfo,
                    in_group,
                    ("sys/fs/cgroup/user/job/memory.max", "max\n"),
                    ("sys/fs/cgroup/user/memory.max", "3145728\n"),
                    ("sys/fs/cgroup/user/memory.current", "3145728\n"),
                    ("sys/fs/cgroup/user/memory.stat", "anon 1\nactive_file 7\ninactive_file 1048576\n"),
                ],
                Some(MIB),
            ),
            (
                "a limit above what the machine has",
                &[
                    meminfo,
                    ("proc/self/cgroup", "0::/\n"),
                    ("sys/fs/cgroup/memory.max", "9999999999\n"),
                    ("sys/fs/cgroup/memory.current", "1\n"),
                ],
                Some(2 * MIB),
            ),
            (
                "version 1, nothing left",
                &[
                    meminfo,
                    ("proc/self/cgroup", "5:cpu:/x\n4:memory:/x\n"),
                    ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "4096\n"),
                    ("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "8192\n"),
                ],
                Some(0),
            ),
        ];
        for (name, files, want) in cases {
            let root = tempfile::tempdir().unwrap();
            for (file, text) in *files {
                let path = root.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            assert_eq!(free_below(root.path()), *want, "{name}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_says_something() {
        assert!(memory_free_bytes().is_some_and(|bytes| bytes > MIB));
        assert!(peak_rss_bytes().is_some_and(|bytes| bytes > MIB / 4));
    }

    #[test]
    fn seeds_differ_and_are_short() {
        let (a, b) = (random_seed().unwrap(), random_seed().unwrap());
        assert_ne!(a, b);
        assert!(a <= u64::from(u32::MAX) && b <= u64::from(u32::MAX));
    }
}
