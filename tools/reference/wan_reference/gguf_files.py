"""GGUF files of the transformer, and what their blocks mean in f32 by the `gguf` package.

The simple types are rounded by the package. It cannot round to the "K" types, so their blocks are drawn: random
scales and numbers, with the halves that all of a block is multiplied by set so that the weights have the wanted spread.
"""

from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy
import torch

from .dialects import Stored, is_matrix
from .weights import Tensors

Kind = gguf.GGMLQuantizationType

SIMPLE = ("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0")
# Where a block's halves are: of the scales, and of the minima.
K_HALVES = {"Q2_K": (80, 82), "Q3_K": (108, None), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208, None)}
PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
KINDS = (*PLAIN, *SIMPLE, *K_HALVES)


@dataclass
class GgufStored(Stored):
    """Bytes of tensors with their kinds, in place of tensors."""

    packed: dict[str, tuple[numpy.ndarray, Kind]] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        path = path.with_suffix(".gguf")
        writer = gguf.GGUFWriter(path, "wan")
        for name, (values, kind) in self.packed.items():
            writer.add_tensor(name, values, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


def store(name: str, weights: Tensors, generator: torch.Generator) -> GgufStored:
    """Matrices whose rows are whole blocks in the kind of this name; the rest, as in published files, in F32."""
    stored = GgufStored({}, {})
    for key, value in weights.items():
        if is_matrix(key, value) and value.ndim == 2:
            packed, kind = pack(name, value, generator)
            stored.packed[key], stored.widened[key] = (packed, kind), widen(packed, kind, value.shape)
        else:
            stored.packed[key], stored.widened[key] = (value.numpy(), Kind.F32), value
    return stored


def pack(name: str, value: torch.Tensor, generator: torch.Generator) -> tuple[numpy.ndarray, Kind]:
    """A matrix as bytes; in F16 where its rows are not whole blocks."""
    kind = Kind[name]
    if name in PLAIN:
        return plain(value, kind), kind
    if value.shape[1] % gguf.GGML_QUANT_SIZES[kind][0] != 0:
        return plain(value, Kind.F16), Kind.F16
    if name in SIMPLE:
        return gguf.quants.quantize(value.numpy(), kind), kind
    return draw_k_blocks(name, value, generator), kind


def plain(value: torch.Tensor, kind: Kind) -> numpy.ndarray:
    rounded = value.to(PLAIN[kind.name])
    # numpy has no bfloat16; the file takes its bytes.
    return rounded.view(torch.uint8).numpy() if kind == Kind.BF16 else rounded.numpy()


def draw_k_blocks(name: str, value: torch.Tensor, generator: torch.Generator) -> numpy.ndarray:
    """Bytes of random blocks whose values are spread as those of `value`, around zero."""
    kind = Kind[name]
    length, size = gguf.GGML_QUANT_SIZES[kind]
    rows, columns = value.shape
    blocks = torch.randint(0, 256, (rows * columns // length, size), generator=generator, dtype=torch.uint8).numpy()
    scale_at, minimum_at = K_HALVES[name]

    def with_halves(scale: float, minimum: float) -> numpy.ndarray:
        for at, half in ((scale_at, scale), (minimum_at, minimum)):
            if at is not None:
                blocks[:, at : at + 2] = numpy.array([half], numpy.float16).view(numpy.uint8)
        return gguf.quants.dequantize(blocks, kind)

    scales = with_halves(1.0, 0.0)
    minima = with_halves(0.0, 1.0) if minimum_at is not None else numpy.zeros_like(scales)
    share = -scales.mean() / minima.mean() if minimum_at is not None else 0.0
    factor = float(value.std()) / (scales + share * minima).std()
    with_halves(factor, factor * share)
    return blocks.reshape(rows, -1)


def widen(packed: numpy.ndarray, kind: Kind, shape: torch.Size) -> torch.Tensor:
    if kind.name in PLAIN:
        return torch.from_numpy(packed).view(PLAIN[kind.name]).float().reshape(shape)
    return torch.from_numpy(gguf.quants.dequantize(packed, kind).astype(numpy.float32)).reshape(shape)
