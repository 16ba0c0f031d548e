"""The fixture file: one weight set and the cases run on it, in one safetensors file.

    w.<key of the original checkpoint>   the weights
    in.<case>.<name>                     inputs of a case
    out.<case>.<name>                    what PyTorch answered
    metadata["config"]                   JSON: kind, model sizes, seed, the cases, versions used
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import diffusers
import numpy
import torch
import transformers
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]

VERSIONS = {module.__name__: module.__version__.split("+")[0] for module in (torch, diffusers, transformers, numpy)}


@dataclass
class Case:
    """One call of a module: its inputs, its answers, and facts a reader may want (`facts` must be JSON)."""

    inputs: Tensors
    outputs: Tensors
    facts: dict = field(default_factory=dict)


def write_fixture(path: Path, kind: str, model: dict, seed: int, weights: Tensors, cases: dict[str, Case]) -> int:
    """Write a fixture file, whole or not at all, and return its size in bytes."""
    tensors = {f"w.{key}": value for key, value in weights.items()}
    for name, case in cases.items():
        tensors |= {f"in.{name}.{key}": value for key, value in case.inputs.items()}
        tensors |= {f"out.{name}.{key}": value for key, value in case.outputs.items()}
    config = {
        "kind": kind,
        "model": model,
        "seed": seed,
        "cases": {name: case.facts for name, case in cases.items()},
        "versions": VERSIONS,
    }
    return write_tensors(path, tensors, {"config": json.dumps(config)})


def write_tensors(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> int:
    """Write a safetensors file under a temporary name, then rename it; return its size in bytes."""
    for key, value in tensors.items():
        if value.is_floating_point() and value.dtype.itemsize > 1 and not value.isfinite().all():
            raise ValueError(f"{path.name}: `{key}` holds values that are not finite")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, part, metadata)
    os.replace(part, path)
    return path.stat().st_size


def write_json(path: Path, value: object) -> int:
    """Write JSON with one line per innermost record, so that a change reads well in a diff."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(_json(value, depth=0) + "\n", encoding="utf-8")
    os.replace(part, path)
    return path.stat().st_size


def f32_list(values: torch.Tensor) -> list[float]:
    """Flat values as the shortest decimals that give the same f32 when read back."""
    return [float(str(value)) for value in values.detach().float().flatten().numpy()]


def _json(value: object, depth: int) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) <= 150 or not isinstance(value, (dict, list)) or (isinstance(value, list) and _is_numbers(value)):
        return flat
    pad, close = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict):
        rows = [f"{json.dumps(key)}: {_json(item, depth + 1)}" for key, item in value.items()]
        return "{" + pad + ("," + pad).join(rows) + close + "}"
    return "[" + pad + ("," + pad).join(_json(item, depth + 1) for item in value) + close + "]"


def _is_numbers(values: list) -> bool:
    return all(isinstance(value, (int, float)) for value in values)
