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


def draw(dice: Random) -> Iterator[Check]:
    for model in sorted(tokenizer_fixtures.DATA.glob("*.model")):
        yield tokenizer_check(Random(dice.getrandbits(32)), model)


def tokenizer_check(dice: Random, model: Path) -> Check:
    """The share of lines whose ids differ: none may."""
    seed = dice.getrandbits(32)

    def error(probe: Probe) -> float:
        lines = tokenizer_fixtures.lines(seed, LINES)
        expected = sentencepiece.SentencePieceProcessor(model_proto=model.read_bytes()).encode(lines)
        texts = probe.folder / f"{model.stem}.lines.json"
        texts.write_text(json.dumps(lines))
        found = probe.json("tokenize", {"tokenizer": model, "texts": texts})
        if not isinstance(found, list) or len(found) != len(lines):
            raise ProbeError(f"expected {len(lines)} lists of ids, found {str(found)[:200]}")
        return sum(ids != wanted for ids, wanted in zip(found, expected)) / len(lines)

    return Check(f"tokenizer {model.stem}", 0.0, f"{LINES} lines of seed {seed}", error)
