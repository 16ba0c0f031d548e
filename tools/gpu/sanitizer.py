"""NVIDIA's compute-sanitizer over the self-test of each kernel."""

import glob
import os
import shutil

from processes import Clock, Failure, run
from table import bounded, failed, skipped

# What it ends with where it found something; the self-test itself ends with 0 or 1.
FOUND = 86
TOOLS = ["memcheck", "racecheck"]
# Most of what is left of the time that one kernel may take: a slow one must not cost all others.
SHARE = 0.3


def part(check, clock):
    """compute-sanitizer, memcheck and racecheck, kernel by kernel."""
    labels = {tool: f"compute-sanitizer {tool}, kernels with findings" for tool in TOOLS}
    program = find()
    if program is None or check.device == "cpu":
        why = "there is no card" if check.device == "cpu" else "skipped: compute-sanitizer is not installed"
        for label in labels.values():
            check.rows.append(skipped(label, why, "<= 0"))
        return
    code, out = run(check.ours("selftest", "--list"), clock, check.log("sanitizer"), check.variables)
    if code != 0:
        raise Failure("`vitascope selftest --list` does not work")
    ops = out.split()
    for index, tool in enumerate(TOOLS):
        # What is left is shared by the tools that are left.
        mine = Clock(clock.left() / (len(TOOLS) - index), clock)
        check.rows.append(look(check, program, tool, ops, mine, labels[tool]))


def look(check, program, tool, ops, clock, label):
    found, broken, late = [], [], []
    for op in ops:
        log = check.log(f"sanitizer-{tool}-{op}")
        command = [program, "--tool", tool, "--error-exitcode", str(FOUND), "--print-limit", "20"]
        test = check.ours("selftest", "--device", check.device, "--op", op, "--exact")
        try:
            code, _ = run([*command, *test], Clock(max(SHARE * clock.left(), 1.0), clock), log, check.variables)
        except Failure:
            late.append(op)
            continue
        check.say(f"{tool} {op}: {code}")
        if code == FOUND:
            found.append(op)
        elif code != 0:
            broken.append(op)
    done = len(ops) - len(late) - len(broken)
    check.numbers[tool] = {"found": found, "broken": broken, "late": late, "clean": done - len(found)}
    if not done:
        return failed(label, f"of {len(ops)} kernels none was looked at to its end; see sanitizer-{tool}-*.log", "<= 0")
    row = bounded(label, len(found), f"{len(found)} of {done}", most=0)
    whys = [("findings", found), ("the self-test itself fails", broken), ("no time was left", late)]
    row.why = "; ".join(f"{why}: {', '.join(names)}" for why, names in whys if names) or None
    if row.kept and (broken or late):
        row.kept = False if broken else None
    return row


def find():
    """On the path, or where NVIDIA's packages put it."""
    folders = [os.environ.get("CUDA_HOME", ""), "/usr/local/cuda", *sorted(glob.glob("/usr/local/cuda-*"), reverse=True)]
    places = [os.path.join(folder, "bin/compute-sanitizer") for folder in folders if folder]
    return shutil.which("compute-sanitizer") or next((place for place in places if os.access(place, os.X_OK)), None)
