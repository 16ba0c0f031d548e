"""The table that the check ends with, and the numbers it is made of."""

import json
import math
import os
from dataclasses import asdict, dataclass

HEAD = ["measure", "ours", "peer", "ratio", "goal", "kept?"]


@dataclass
class Row:
    """One line. What is not known is None."""

    measure: str
    ours: str | None = None
    peer: str | None = None
    ratio: float | None = None
    goal: str = ""
    kept: bool | None = None
    why: str | None = None

    def cells(self):
        kept = {True: "yes", False: "NO", None: "-"}[self.kept]
        ratio = "-" if self.ratio is None else f"{self.ratio:.3f}"
        return [self.measure, self.ours or "-", self.peer or "-", ratio, self.goal or "-", kept]


def compared(measure, ours, peer, most, unit="s"):
    """A row of two times; `most` is what their ratio may be."""
    ratio = ours / peer if ours is not None and peer else None
    text = lambda seconds: None if seconds is None else f"{seconds:.3f} {unit}"
    kept = None if ratio is None else bool(ratio <= most)
    why = None if ratio is not None else "one of both was not measured"
    return Row(measure, text(ours), text(peer), ratio, f"<= {most:.2f}", kept, why)


def bounded(measure, value, text, most=None, least=None, goal=None):
    """A row of one number."""
    if value is None or math.isnan(value):
        return Row(measure, goal=goal or goal_text(most, least), why="not measured")
    kept = (most is None or value <= most) and (least is None or value >= least)
    return Row(measure, text, goal=goal or goal_text(most, least), kept=None if most is least is None else kept)


def goal_text(most, least):
    return f"<= {most:g}" if most is not None else f">= {least:g}" if least is not None else ""


def failed(measure, why, goal=""):
    return Row(measure, goal=goal, kept=False, why=why)


def skipped(measure, why, goal=""):
    return Row(measure, goal=goal, why=why)


def text(rows):
    """As a Markdown table, columns aligned, with reasons below."""
    cells = [HEAD, *[row.cells() for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]
    line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
    lines = [line(cells[0]), "| " + " | ".join("-" * width for width in widths) + " |", *map(line, cells[1:])]
    reasons = [f"- {row.measure}: {row.why}" for row in rows if row.why]
    return "\n".join(lines + ([""] + reasons if reasons else []))


class Results:
    """Rows and numbers of each part, on the disk, so that parts run alone add to one table."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "gpu-check.json")
        self.parts = {}
        if os.path.exists(self.path):
            with open(self.path) as file:
                self.parts = json.load(file)["parts"]

    def numbers(self, part):
        return self.parts.get(part, {}).get("numbers", {})

    def keep(self, part, rows, numbers, seconds):
        self.parts[part] = {"rows": [asdict(row) for row in rows], "numbers": numbers, "seconds": round(seconds, 1)}
        with open(self.path + ".part", "w") as file:
            json.dump({"parts": self.parts}, file, indent=1)
        os.replace(self.path + ".part", self.path)

    def rows(self, order):
        return [Row(**row) for part in order for row in self.parts.get(part, {}).get("rows", [])]
