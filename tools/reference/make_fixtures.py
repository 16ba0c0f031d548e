"""Write the fixtures that the engine's tests are held to. Same seed, same versions: same bytes.

    python tools/reference/make_fixtures.py [dit umt5 vae ...]
"""

import argparse
from pathlib import Path

import torch

from wan_reference import fixtures

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", choices=[[], *fixtures.FAMILIES], help="default: all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the order of additions, and so the last bit, depends on the thread count

    for family in arguments.families or fixtures.FAMILIES:
        folder, write = fixtures.FAMILIES[family]
        for path, size in write(ROOT / folder):
            print(f"{size:>9}  {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
