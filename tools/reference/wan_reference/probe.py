"""Runs `vitascope probe`: tensors in, tensors out."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file

from .dialects import Stored
from .fixture import write_tensors

TIMEOUT_SECONDS = 600


class ProbeError(Exception):
    """The probe did not answer: its exit code and what it said."""


@dataclass
class Probe:
    """A binary, and the folder for its files."""

    vitascope: Path
    folder: Path
    count: int = field(default=0, init=False)

    def run(
        self,
        module: str,
        stored: Stored | None = None,
        inputs: dict[str, torch.Tensor] | None = None,
        flags: dict[str, object] | None = None,
        files: dict[str, Stored] | None = None,
    ) -> torch.Tensor:
        """The tensor `out`. `files` are further checkpoints, by the flag that takes them."""
        self.count += 1
        stem = self.folder / f"{self.count:03}-{module}"
        output = stem.with_suffix(".out.safetensors")
        command = ["probe", module, "--outputs", str(output)]
        if stored is not None:
            command += ["--weights", str(stored.write(stem.with_suffix(".weights.safetensors")))]
        for flag, more in (files or {}).items():
            command += [f"--{flag}", f"{more.write(stem.with_suffix(f'.{flag}.safetensors'))}{more.suffix}"]
        if inputs is not None:
            path = stem.with_suffix(".in.safetensors")
            write_tensors(path, inputs)
            command += ["--inputs", str(path)]
        self._call(command + as_flags(flags or {}))
        try:
            return load_file(output)["out"]
        except (OSError, KeyError) as reason:
            raise ProbeError(f"no tensor `out` in {output}: {reason}") from reason

    def json(self, module: str, flags: dict[str, object]) -> object:
        """What it prints."""
        text = self._call(["probe", module, *as_flags(flags)])
        try:
            return json.loads(text)
        except ValueError as reason:
            raise ProbeError(f"not JSON: {text[:200]!r}") from reason

    def _call(self, arguments: list[str]) -> str:
        try:
            done = subprocess.run(
                [self.vitascope, *arguments], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as reason:
            raise ProbeError(str(reason)) from reason
        if done.returncode != 0:
            said = " / ".join(done.stderr.strip().splitlines()[-6:])
            raise ProbeError(f"exit code {done.returncode} from `{' '.join(arguments)}`: {said}")
        return done.stdout


def as_flags(flags: dict[str, object]) -> list[str]:
    """A flag that is True stands alone."""
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in flags.items()]
