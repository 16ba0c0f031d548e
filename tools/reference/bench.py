"""Time `vitascope bench` and PyTorch (f32) in turn on the same weight files, and print ratios.

    python tools/reference/bench.py target/release/vitascope [--cases dit umt5 vae-decode] [--rounds 3] [--json FILE]

Each round starts a fresh process of either side, so that peak memory is that of one case. A ratio below 1
means that ours is faster or smaller. The weights (up to 1.5 GB a case) lie in a temporary folder while it runs.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from wan_reference import dialects, dit, umt5, vae
from wan_reference.fixture import VERSIONS, write_json, write_tensors


@dataclass
class Case:
    """A module at a real size. `call` loads weights and returns the thing to time."""

    module: str
    config: dict
    shape: list[int]  # of the latent: T, H, W; unused by umt5
    tokens: int
    time_bound: float
    memory_bound: float | None
    draw_weights: Callable[[dict, int], dict]
    call: Callable[["Case", dict], Callable[[], object]]

    def flags(self) -> list[str]:
        shape = ["--shape", ",".join(map(str, self.shape))] if self.shape else []
        return [*shape, "--tokens", str(self.tokens)] if self.tokens else shape


def call_dit(case: Case, weights: dict) -> Callable[[], object]:
    model = dit.load(case.config, weights)
    x = torch.randn(1, case.config["in_dim"], *case.shape)
    context = torch.randn(1, case.tokens, case.config["text_dim"])
    return lambda: dit.forward(model, x, torch.tensor([500.0]), context)


def call_umt5(case: Case, weights: dict) -> Callable[[], object]:
    model = umt5.load(case.config, weights)
    ids = torch.arange(case.tokens)[None] * 7 % case.config["vocab"]
    return lambda: umt5.forward(model, ids, torch.ones_like(ids))


def call_vae_decode(case: Case, weights: dict) -> Callable[[], object]:
    model = vae.load(case.config, weights)
    z = torch.randn(1, case.config["z_dim"], *case.shape)
    return lambda: vae.decode(model, z)


DIT = {"dim": 1536, "heads": 12, "layers": 8, "ffn_dim": 8960, "text_dim": 4096, "in_dim": 16, "out_dim": 16}
UMT5 = {"dim": 4096, "heads": 64, "head_dim": 64, "ffn_dim": 10240, "layers": 2, "vocab": 4096}

CASES = {
    "dit": Case("dit", DIT, [5, 30, 52], 512, 0.85, None, dit.draw_weights, call_dit),
    "umt5": Case("umt5", UMT5, [], 512, 0.90, None, umt5.draw_weights, call_umt5),
    "vae-decode": Case(
        "vae-decode", {"dim": 96, "z_dim": 16}, [2, 30, 52], 0, 0.50, 0.30, vae.draw_weights, call_vae_decode
    ),
}
# The same code in seconds, to see that it runs; the ratios mean nothing.
TINY = {
    "dit": ({"dim": 128, "heads": 1, "layers": 1, "ffn_dim": 256, "text_dim": 64}, [2, 4, 6], 16),
    "umt5": ({"dim": 64, "heads": 1, "ffn_dim": 96, "vocab": 64}, [], 16),
    "vae-decode": ({"dim": 8}, [2, 3, 4], 0),
}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vitascope", type=Path, help="a release build")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=2, help="timed calls a round, after one that warms up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the temporary weights go; default: the system's")
    parser.add_argument("--json", type=Path, help="write every measurement here")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try this script")
    parser.add_argument("--child", metavar="WEIGHTS", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.tiny:
        for name, (config, shape, tokens) in TINY.items():
            CASES[name].config = CASES[name].config | config
            CASES[name].shape, CASES[name].tokens = shape, tokens
    if arguments.child:
        print(json.dumps(time_pytorch(CASES[arguments.cases[0]], arguments)))
        return

    results = [measure(name, arguments) for name in arguments.cases]
    print(markdown(results))
    if arguments.json:
        write_json(arguments.json, {"machine": machine(arguments), "versions": VERSIONS, "results": results})


def measure(name: str, arguments: argparse.Namespace) -> dict:
    """All rounds of a case: {side: [measurement a round]}, sides being PyTorch and our storage types."""
    case = CASES[name]
    sides: dict[str, list[dict]] = {"pytorch": [], **{dtype: [] for dtype in DTYPES}}
    with tempfile.TemporaryDirectory(prefix="vitascope-bench-", dir=arguments.folder) as folder:
        files = {dtype: Path(folder) / f"{name}-{dtype}.safetensors" for dtype in DTYPES}
        weights = case.draw_weights(case.config, 0)
        for dtype, path in files.items():
            write_tensors(path, dialects.store_as(DTYPES[dtype], weights).tensors)
        del weights
        for number in range(arguments.rounds):
            say(f"{name}, round {number + 1} of {arguments.rounds}")
            sides["pytorch"].append(run_pytorch(name, files["f32"], arguments))
            for dtype, path in files.items():
                sides[dtype].append(run_ours(case, path, arguments))
    return {"case": name, "config": case.config, "shape": case.shape, "tokens": case.tokens, "sides": sides}


def run_pytorch(name: str, weights: Path, arguments: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, str(arguments.vitascope), "--child", str(weights), "--cases", name]
    command += ["--repeat", str(arguments.repeat), "--threads", str(arguments.threads)]
    return run(command + ["--tiny"] * arguments.tiny, {})


def run_ours(case: Case, weights: Path, arguments: argparse.Namespace) -> dict:
    command = [str(arguments.vitascope), "bench", case.module, "--weights", str(weights), *case.flags()]
    # Our bench times its first call too; that one is the warm-up here, and `without_first` drops it.
    command += ["--repeat", str(arguments.repeat + 1), "--json"]
    return without_first(run(command, {"RAYON_NUM_THREADS": str(arguments.threads)}))


def without_first(measured: dict) -> dict:
    seconds = measured["seconds"][1:]
    return measured | {"seconds_min": min(seconds), "seconds_median": statistics.median(seconds)}


def run(command: list[str], environment: dict[str, str]) -> dict:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    if done.returncode != 0:
        raise SystemExit(f"exit code {done.returncode} from `{' '.join(command)}`:\n{done.stderr}")
    return json.loads(done.stdout)


@torch.no_grad()
def time_pytorch(case: Case, arguments: argparse.Namespace) -> dict:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    rss_imports_bytes = peak_rss_bytes()
    call = case.call(case, load_file(arguments.child))
    call()
    seconds = []
    for _ in range(arguments.repeat):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return {
        "seconds_min": min(seconds),
        "seconds_median": statistics.median(seconds),
        "seconds": seconds,
        "peak_rss_bytes": peak_rss_bytes(),
        "rss_imports_bytes": rss_imports_bytes,
    }


def peak_rss_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:")) * 1024
    # On Linux this would count what the parent held when it started this process.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def markdown(results: list[dict]) -> str:
    """Ratios ours / PyTorch: of the best times, the median over rounds, and of peak memory."""
    lines = [
        "| case | weights | PyTorch f32 s (min, median) | ours s (min, median) | ratio of min | median ratio | bound "
        "| memory ours / PyTorch GiB | ratio | bound |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        case, theirs = CASES[result["case"]], result["sides"]["pytorch"]
        for dtype in DTYPES:
            ours = result["sides"][dtype]
            ratios = [a["seconds_min"] / b["seconds_min"] for a, b in zip(ours, theirs)]
            memory, memory_theirs = peak_gib(ours), peak_gib(theirs)
            cells = [
                result["case"],
                dtype,
                times(theirs),
                times(ours),
                f"{best(ours) / best(theirs):.2f}",
                f"{statistics.median(ratios):.2f}",
                f"{case.time_bound:.2f}",
                f"{memory:.2f} / {memory_theirs:.2f}",
                f"{memory / memory_theirs:.2f}",
                f"{case.memory_bound:.2f}" if case.memory_bound else "-",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def times(rounds: list[dict]) -> str:
    return f"{best(rounds):.3f}, {statistics.median(one['seconds_median'] for one in rounds):.3f}"


def best(rounds: list[dict]) -> float:
    return min(one["seconds_min"] for one in rounds)


def peak_gib(rounds: list[dict]) -> float:
    return max(one["peak_rss_bytes"] for one in rounds) / 2**30


def machine(arguments: argparse.Namespace) -> dict:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "system": platform.platform(),
        "processor": processor(),
        "threads": arguments.threads,
        "load_average": os.getloadavg(),
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
