"""The tokenizer beside sentencepiece, on lines drawn afresh."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import sentencepiece

import tokenizer_fixtures

from .check import Check
from .probe import Probe, ProbeError

LINES = 2000


def draw(dice: Random, more: list[Path]) -> Iterator[Check]:
    """`more`: further sentencepiece models; a `.tokenizer.json` beside one is held to the same ids."""
    for model in [*sorted(tokenizer_fixtures.DATA.glob("*.model")), *more]:
        yield tokenizer_check(Random(dice.getrandbits(32)), model, model)
    for model in more:
        if model.with_suffix(".tokenizer.json").exists():
            yield tokenizer_check(Random(dice.getrandbits(32)), model, model.with_suffix(".tokenizer.json"))


def tokenizer_check(dice: Random, model: Path, file: Path) -> Check:
    """The share of lines whose ids differ: none may."""
    seed = dice.getrandbits(32)

    def error(probe: Probe) -> float:
        lines = tokenizer_fixtures.fresh_lines(seed, LINES)
        expected = sentencepiece.SentencePieceProcessor(model_proto=model.read_bytes()).encode(lines)
        texts = probe.folder / f"{model.stem}.lines.json"
        texts.write_text(json.dumps(lines))
        found = probe.json("tokenize", {"tokenizer": file, "texts": texts})
        if not isinstance(found, list) or len(found) != len(lines):
            raise ProbeError(f"expected {len(lines)} lists of ids, found {str(found)[:200]}")
        return sum(ids != wanted for ids, wanted in zip(found, expected)) / len(lines)

    return Check(f"tokenizer {file.name}", 0.0, f"{LINES} lines of seed {seed}", error)
