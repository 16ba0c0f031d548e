"""Compare `vitascope probe` with PyTorch on fresh random configs, weights and inputs.

    python tools/reference/compare.py target/release/vitascope [--seed N] [--rounds N] [--only WORD ...]

Every line is one probe: its relative error (norm of the difference over norm of the reference) and the bound.
Exits with 1 if a bound is broken or a probe fails; the seed printed on the first line repeats the run.
"""

import argparse
import random
import sys
import tempfile
import warnings
from pathlib import Path

import torch

from wan_reference import checks
from wan_reference.probe import Probe, ProbeError

warnings.filterwarnings("ignore", module="torchsde")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vitascope", type=Path, help="the binary to check")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--rounds", type=int, default=1, help="how often everything is drawn anew")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="checks whose name holds one of these")
    parser.add_argument("--keep", type=Path, help="leave weights, inputs and outputs of every check in this folder")
    parser.add_argument("--vocabulary", type=Path, action="append", default=[], help="a further sentencepiece model")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    print(f"seed {arguments.seed}, {arguments.vitascope}")
    failed = run_count = 0
    with tempfile.TemporaryDirectory(prefix="vitascope-compare-") as temporary:
        probe = Probe(arguments.vitascope, arguments.keep or Path(temporary))
        for round_seed in range(arguments.seed, arguments.seed + arguments.rounds):
            for check in checks.draw(round_seed, arguments.vocabulary):
                if any(word in check.name for word in arguments.only):
                    run_count += 1
                    failed += not report(check, probe)
    print(f"{run_count - failed} passed, {failed} failed")
    return 1 if failed or not run_count else 0


def report(check: checks.Check, probe: Probe) -> bool:
    try:
        error = check.error(probe)
    except ProbeError as reason:
        print(f"FAIL  {check.name:<44} {check.facts}\n      {reason}", flush=True)
        return False
    passed = error <= check.bound
    print(f"{'ok  ' if passed else 'FAIL'}  {check.name:<44} {error:9.2e} <= {check.bound:7.0e}  {check.facts}", flush=True)
    return passed


if __name__ == "__main__":
    sys.exit(main())
