#!/usr/bin/env python3
"""Everything that `vitascope` is held to on an NVIDIA card, within ten minutes, and a table last.

    check.py --binary vitascope [--only PART ..] [--skip PART ..] [--out FOLDER]

Needs the program, this folder, and Python; for the comparison also PyTorch with diffusers and transformers. Nothing is
downloaded: weights are random, from a seed. Each part has a limit of time, and one that fails does not stop the rest.
Rows and numbers are kept in FOLDER/gpu-check.json, so that parts that are run alone add to one table.

`--rehearse` tries all of it on the processor with networks of a few blocks, which says nothing of speed.
"""

import argparse
import datetime
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import jobs
import sanitizer
from processes import CardMemory, Clock, Failure, Side, environment, last_words, run
from table import Results, bounded, compared, failed, skipped, text

HERE = os.path.dirname(os.path.abspath(__file__))

# Seconds for one video of 14B I2V, 832x480, 81 frames, 40 steps with guidance, published for one H200.
PUBLISHED = {"the official code": 366.0, "the fastest known, bf16": 216.0, "the fastest known, fp8": 191.0}
STEPS = 40

# Weights of 8 bits, multiplied and attended to in 8 bits.
FP8 = ["--numbers", "fp8", "--fp8-products", "--attention", "fp8"]

BUDGET = "22GB"
BUDGET_BYTES = 22_000_000_000
# How much slower a step may be within the budget.
SLOWER_MAX = 1.15


class Sizes:
    """What is run, and how often."""

    wan_480p = ["--size", "832x480", "--frames", "81"]
    wan_704p = ["--size", "1280x704", "--frames", "121"]
    i2v, ti2v, a14b, text, vision, vae = "i2v-14b", "5b", "a14b-i2v", "xxl", "vit-h", "2.1"
    tokens = ["--tokens", "512"]
    rounds, rounds_short = 3, 5
    jobs = 50


class Rehearsal(Sizes):
    wan_480p = wan_704p = ["--size", "64x32", "--frames", "5"]
    i2v = ti2v = a14b = text = vision = vae = "tiny"
    tokens = ["--tokens", "20"]
    rounds, rounds_short = 2, 3
    jobs = 7


class Check:
    """The programs, the sizes, and where results go."""

    def __init__(self, options):
        self.options = options
        self.sizes = Rehearsal if options.rehearse else Sizes
        self.device = "cpu" if options.rehearse else options.device
        self.variables = environment(options.python)
        self.results = Results(options.out)
        self.total = Clock(60 * options.minutes)
        self.rows = []
        self.numbers = {}

    def log(self, name):
        return os.path.join(self.options.out, f"{name}.log")

    def index(self):
        return int(self.device.partition(":")[2] or 0)

    def ours(self, *arguments):
        return [self.options.binary, *arguments]

    def bench(self, network, *arguments):
        return self.ours("-v", "bench", network, *arguments, "--device", self.device, "--json")

    def peer(self, network, *arguments):
        compiled = ["--compile"] if self.options.compile and network == "dit" else []
        return [self.options.python, os.path.join(HERE, "peer.py"), network, *arguments, "--device", self.device, *compiled]

    def measured(self, name, command, clock):
        """What a program of ours says as JSON."""
        import json

        code, out = run(command, clock, self.log(name), self.variables)
        if code != 0:
            raise Failure(f"{name} ended with {code}: {last_words(self.log(name))}")
        return json.loads(out)

    def in_turn(self, network, kinds, arguments, model, rounds, clock):
        """PyTorch and each kind of ours, all loaded once and then run in turn. kinds: name -> more arguments of ours.
        A side that does not work is None. Returns what each measured."""
        sides, reports = {}, {}
        try:
            commands = {"peer": self.peer(network, "--model", model, *arguments, "--asked")}
            commands |= {
                kind: self.bench(network, "--model", model, *arguments, *more, "--asked") for kind, more in kinds.items()
            }
            # One after the other, so that what each finds out about its own speed while it starts is right.
            for kind, command in commands.items():
                name = f"{network} {kind}" if kind != "peer" else f"{network}, PyTorch"
                try:
                    log = self.log(f"{network}-{model}-{kind}")
                    sides[kind] = Side(name, command, log, self.variables if kind != "peer" else None)
                    sides[kind].ready(clock)
                except Failure as failure:
                    self.say(f"{name}: {failure}")
                    sides.pop(kind).__exit__() if kind in sides else None
                    reports[kind] = str(failure)
            if not any(kind in sides for kind in kinds):
                raise Failure("; ".join(reports[kind] for kind in kinds))
            for _ in range(rounds):
                for kind, side in list(sides.items()):
                    try:
                        self.say(f"{side.name}: {side.ask(clock):.3f} s")
                    except Failure as failure:
                        self.say(str(failure))
                        sides.pop(kind).__exit__()
                        reports[kind] = str(failure)
            for kind, side in sides.items():
                try:
                    reports[kind] = side.done(clock)
                except Failure as failure:
                    reports[kind] = str(failure)
            return reports
        finally:
            for side in sides.values():
                side.__exit__()

    def compare(self, label, key, network, arguments, model, rounds, clock, goals):
        """Rows of times beside PyTorch's. goals: kind -> (arguments of ours, most of the ratio)."""
        kinds = {kind: more for kind, (more, _) in goals.items()}
        reports = self.in_turn(network, kinds, arguments, model, rounds, clock)
        seconds = lambda kind: reports[kind]["seconds_median"] if isinstance(reports[kind], dict) else None
        peer = seconds("peer")
        if peer is not None:
            self.numbers[f"{key}.peer"] = reports["peer"]
        for kind, (_, most) in goals.items():
            row = compared(f"{label}, {kind}" if len(goals) > 1 else label, seconds(kind), peer, most)
            whys = [reports[side] for side in [kind, "peer"] if not isinstance(reports[side], dict)]
            if whys:
                row.why = "; ".join(whys)
                row.kept = False if seconds(kind) is None else None
            if seconds(kind) is not None:
                self.numbers[f"{key}.{kind}"] = reports[kind]
            self.rows.append(row)
        return reports

    def say(self, line):
        print(f"[{self.options.minutes * 60 - self.total.left():5.0f} s] {line}", file=sys.stderr, flush=True)


def selftest(check, clock):
    """Every kernel against its reference, every network and a whole video against the processor."""
    import json

    if check.options.rehearse:
        check.rows.append(skipped("self-test, cases that are wrong", "there is no card", "<= 0"))
        return
    log = check.log("selftest")
    code, out = run(check.ours("selftest", "--device", check.device, "--json"), clock, log, check.variables)
    try:
        lines = json.loads(out)
    except json.JSONDecodeError as error:
        raise Failure(f"the self-test ended with {code}: {last_words(log)}") from error
    ran = [line for line in lines if not line["skipped"]]
    wrong = [f"{line['name']} {line['title']}: {line['text']}" for line in lines if not line["passed"]]
    row = bounded("self-test, cases that are wrong", len(wrong), f"{len(wrong)} of {len(ran)}", most=0)
    row.why = "; ".join(wrong[:5]) + ("; .." if len(wrong) > 5 else "") if wrong else None
    check.rows.append(row)
    networks = [line for line in lines if line["error_max"] and line["passed"] and line["error"] is not None]
    for most in [1e-2, 3e-2]:
        errors = [line["error"] for line in networks if line["error_max"] == most]
        kind = "bf16" if most == 1e-2 else "fp8"
        worst = max(errors, default=None)
        check.rows.append(bounded(f"networks against the processor, {kind}", worst, f"{worst or 0:.1e}", most=most))
    decibels = [line["decibels"] for line in lines if line["decibels"] is not None or line["name"] == "video"]
    least = min((float("inf") if value is None else value for value in decibels), default=None)
    check.rows.append(bounded("whole video against the processor, dB", least, f"{least or 0:.1f}", least=35))


def step_14b(check, clock):
    """A step of 14B I2V with guidance, 832x480, 81 frames."""
    sizes = check.sizes
    arguments = [*sizes.wan_480p, *sizes.tokens, "--guidance"]
    goals = {"bf16": (["--numbers", "bf16"], 0.80), "fp8": (FP8, 0.50)}
    label = "14B step, guidance, 832x480x81"
    check.compare(label, "14b", "dit", arguments, sizes.i2v, sizes.rounds, clock, goals)
    utilisation(check, "14b.bf16", "utilisation of the bf16 step")


def utilisation(check, key, label):
    card = check.numbers.get(key, {}).get("card")
    share = card and card["utilisation"]
    rate = card and f", of {card['matrix_gflops'] / 1000:.0f} TFLOP/s"
    check.rows.append(bounded(label, share, f"{100 * (share or 0):.1f} %{rate}", least=0.65, goal=">= 65 %"))


def step_5b(check, clock):
    """A step of TI2V 5B with guidance, 1280x704, 121 frames."""
    sizes = check.sizes
    arguments = [*sizes.wan_704p, *sizes.tokens, "--guidance"]
    goals = {"bf16": ([], 0.80)}
    check.compare("TI2V 5B step, 1280x704x121", "5b", "dit", arguments, sizes.ti2v, sizes.rounds_short, clock, goals)


def vae(check, clock):
    """The autoencoder of 2.1, 832x480, 81 frames."""
    sizes = check.sizes
    arguments = ["--model", sizes.vae, *sizes.wan_480p, "--repeat", "2"]
    goals = {"bf16": ([], 0.60)}
    label = "VAE 2.1 decode, 832x480x81"
    try:
        check.compare(label, "decode", "vae-decode", sizes.wan_480p, sizes.vae, sizes.rounds, clock, goals)
    except Failure as failure:
        check.rows.append(failed(label, str(failure), "<= 0.60"))
    check.numbers["encode"] = check.measured("vae-encode", check.bench("vae-encode", *arguments), clock)


def texts(check, clock):
    """The text encoder, and the vision encoder."""
    sizes = check.sizes
    goals = {"bf16": ([], 1.0)}
    check.compare("text encoder, 512 tokens", "text", "umt5", sizes.tokens, sizes.text, sizes.rounds_short, clock, goals)
    command = check.bench("clip-vision", "--model", sizes.vision, "--repeat", "3")
    check.numbers["vision"] = check.measured("clip-vision", command, clock)


def end_to_end(check, clock):
    """40 steps of 14B I2V with guidance and both ends, from what other parts measured."""
    known = {}
    for part in check.results.parts:
        known |= check.results.numbers(part)
    median = lambda key: known[key]["seconds_median"] if key in known else None
    # Two prompts, a picture, a video of it to the latent, and the latent back.
    ends = {"text": 2, "vision": 1, "encode": 1, "decode": 1}
    keys = {"text": "text.bf16", "vision": "vision", "encode": "encode", "decode": "decode.bf16"}
    missing = [name for name in ends if median(keys[name]) is None]
    both = sum(times * (median(keys[name]) or 0.0) for name, times in ends.items())
    for kind, publisher in [("bf16", "the fastest known, bf16"), ("fp8", "the fastest known, fp8")]:
        step = median(f"14b.{kind}")
        label = f"14B I2V 480p, 81 frames, {STEPS} steps, {kind}"
        goal = f"< {PUBLISHED[publisher]:g} s (official {PUBLISHED['the official code']:g} s)"
        if step is None:
            check.rows.append(skipped(label, "needs the part `14b`", goal))
            continue
        seconds = STEPS * step + both
        row = bounded(label, seconds, f"{seconds:.1f} s", most=PUBLISHED[publisher], goal=goal)
        row.peer = f"{PUBLISHED[publisher]:g} s"
        row.ratio = seconds / PUBLISHED[publisher]
        row.why = f"{STEPS} x {step:.3f} s and {both:.1f} s for both ends, weights loaded"
        if missing:
            row.why += f"; without {', '.join(missing)}, which were not measured"
            row.kept = False if row.kept is False else None
        check.rows.append(row)


def budget(check, clock):
    """The same steps within 22 GB."""
    if check.options.rehearse:
        check.rows.append(skipped(f"within {BUDGET}", "there is no card"))
        return
    sizes = check.sizes
    for label, model, size, more in [
        ("TI2V 5B, bf16", sizes.ti2v, sizes.wan_704p, []),
        ("A14B, fp8", sizes.a14b, sizes.wan_480p, FP8),
    ]:
        try:
            seconds, peaks = {}, {}
            for limit in [[], ["--vram-budget", BUDGET]]:
                name = f"budget-{model}{'-limited' if limit else ''}"
                arguments = ["--model", model, *size, *sizes.tokens, "--guidance", *more, *limit, "--repeat", "2"]
                with CardMemory(check.index()) as memory:
                    measured = check.measured(name, check.bench("dit", *arguments), clock)
                seconds[bool(limit)] = measured["seconds_median"]
                peaks[bool(limit)] = memory.peak_bytes()
                check.numbers[name] = measured | {"nvidia_smi_bytes_peak": memory.peak_bytes()}
                check.say(f"{name}: {measured['seconds_median']:.3f} s, {measured['card']['swapped_blocks']} blocks swapped")
            check.rows.append(compared(f"{label}, within {BUDGET} beside no bound", seconds[True], seconds[False], SLOWER_MAX))
            peak = peaks[True]
            row = bounded(f"{label}, most that nvidia-smi saw", peak, f"{(peak or 0) / 1e9:.2f} GB", most=BUDGET_BYTES)
            row.goal = f"<= {BUDGET}"
            check.rows.append(row)
        except Failure as failure:
            check.rows.append(failed(f"{label}, within {BUDGET}", str(failure), f"<= {SLOWER_MAX:.2f}"))


# Name -> the part and the most seconds that it may take.
PARTS = {
    "selftest": (selftest, 180),
    "14b": (step_14b, 220),
    "5b": (step_5b, 120),
    "vae": (vae, 100),
    "text": (texts, 70),
    "end-to-end": (end_to_end, 5),
    "budget": (budget, 120),
    "jobs": (jobs.part, 60),
    "sanitizer": (sanitizer.part, 240),
}


def main():
    options = parse()
    os.makedirs(options.out, exist_ok=True)
    check = Check(options)
    if not options.table:
        for name in [name for name in PARTS if name in options.only and name not in options.skip]:
            run_part(check, name)
    rows = check.results.rows(PARTS)
    print(heading(check))
    print(text(rows))
    missing = [name for name in PARTS if name not in check.results.parts]
    if missing:
        print(f"\nnot run: {', '.join(missing)}")
    return 1 if any(row.kept is False for row in rows) else 0


def run_part(check, name):
    work, limit = PARTS[name]
    check.rows, check.numbers = [], {}
    started = time.monotonic()
    check.say(f"{name}: {work.__doc__ or ''}".strip())
    try:
        clock = Clock(limit, check.total)
        clock.check(f"`{name}`")
        work(check, clock)
    except Failure as failure:
        check.rows.append(failed(name, str(failure)))
    except Exception as error:  # a part's mistake must not cost the others' results
        check.rows.append(failed(name, f"{type(error).__name__}: {error}"))
    if check.options.rehearse:
        # Ratios of such networks are no one's goal.
        check.rows = [replace(row, kept=None) if row.ratio is not None else row for row in check.rows]
    check.results.keep(name, check.rows, check.numbers, time.monotonic() - started)


def heading(check):
    """Date, versions and machine: what a number is worth nothing without."""
    versions = [datetime.date.today().isoformat()]
    try:
        code, out = run(check.ours("--version"), Clock(10), check.log("versions"))
        versions.append(out.strip() if code == 0 else "vitascope does not start")
    except Failure as failure:
        versions.append(str(failure))
    if smi := shutil.which("nvidia-smi"):
        query = [smi, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        out = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout
        versions.append("; ".join(line.strip() for line in out.splitlines()))
    else:
        versions.append("no nvidia-smi")
    peers = [report for part in check.results.parts for key, report in check.results.numbers(part).items() if "torch" in report]
    versions.append(f"PyTorch {peers[0]['torch']}" if peers else "no PyTorch")
    if check.options.rehearse:
        versions.append("a rehearsal on the processor with networks of a few blocks: it says nothing of speed")
    return ", ".join([*versions, platform.platform(terse=True)]) + "\n"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", default="vitascope", help="the program")
    parser.add_argument("--python", default=sys.executable, help="a Python that has PyTorch and diffusers")
    parser.add_argument("--device", default="cuda", help="the card: cuda, or cuda:1 for the second")
    parser.add_argument("--out", default="gpu-check", help="folder of logs and results")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--skip", nargs="+", choices=PARTS, default=[], metavar="PART")
    parser.add_argument("--minutes", type=float, default=9.5, help="for all parts together")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="PyTorch without torch.compile")
    parser.add_argument("--rehearse", action="store_true", help="on the processor, with networks of a few blocks")
    parser.add_argument("--table", action="store_true", help="print the table of what was run before")
    options = parser.parse_args()
    if os.sep in options.binary or os.path.exists(options.binary):
        options.binary = os.path.abspath(options.binary)
    options.out = os.path.abspath(options.out)
    if not options.table and not shutil.which(options.binary):
        parser.error(f"`{options.binary}` is no program; build it with `cargo build --release` and give its path to --binary")
    options.compile = options.compile and not options.rehearse
    return options


if __name__ == "__main__":
    sys.exit(main())
