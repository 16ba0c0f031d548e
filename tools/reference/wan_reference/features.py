"""What may be done at some steps beside guidance, upon diffusers' modules: the formulas of the Wan wrapper and ComfyUI.

A pass is changed by what stands in for its parts: the list of blocks, an attention's processor, a table of positions.
Decisions (`Caches`) keep how near they were to going the other way, so that a case can be drawn in which rounding
decides nothing.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

Tensor = torch.Tensor


@contextmanager
def blocks_of(model, blocks: torch.nn.ModuleList) -> Iterator[None]:
    """Other blocks in place of the model's own."""
    own = model.blocks
    model.blocks = blocks
    try:
        yield
    finally:
        model.blocks = own


def without(model, skipped: list[int]) -> torch.nn.ModuleList:
    return torch.nn.ModuleList(block for index, block in enumerate(model.blocks) if index not in skipped)


# ---- Enhance-A-Video, NAG, RIFLEx ---------------------------------------------------------------------------------


def enhance(model, frames: int, weight: float) -> None:
    """Every self-attention's answer is multiplied by how much frames look at each other."""
    for block in model.blocks:
        block.attn1.register_forward_hook(
            lambda attention, inputs, out: out * enhance_factor(attention, inputs[0], frames, weight)
        )


def enhance_factor(attention, x: Tensor, frames: int, weight: float) -> float:
    """x: [1, L, C], L = groups * frames, taken in this order although tokens lie frame by frame."""
    heads = attention.heads
    q = attention.norm_q(attention.to_q(x)).unflatten(2, (heads, -1))[0]
    k = attention.norm_k(attention.to_k(x)).unflatten(2, (heads, -1))[0]
    q, k = (part.unflatten(0, (-1, frames)).transpose(1, 2) for part in (q, k))  # [groups, heads, frames, D]
    looks = (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(dim=-1)
    others = looks.sum(dim=(2, 3)) - looks.diagonal(dim1=2, dim2=3).sum(dim=2)
    mean = others.mean() / (frames * (frames - 1)) if frames > 1 else torch.tensor(0.0)
    return max(1.0, float(mean * (frames + weight)))


class NagProcessor:
    """Cross-attention whose answer is pushed away from that to a negative prompt."""

    def __init__(self, scale: float, tau: float, alpha: float):
        self.scale, self.tau, self.alpha = scale, tau, alpha
        self.negative: Tensor | None = None  # [1, S, C] of the model, or none for a plain pass

    def __call__(self, attention, hidden_states, encoder_hidden_states, attention_mask=None, rotary_emb=None):
        heads = lambda x: x.unflatten(2, (attention.heads, -1)).transpose(1, 2)
        q = heads(attention.norm_q(attention.to_q(hidden_states)))

        def answer(context: Tensor) -> Tensor:
            k, v = heads(attention.norm_k(attention.to_k(context))), heads(attention.to_v(context))
            return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

        x = answer(encoder_hidden_states)
        if self.negative is not None:
            pushed = self.scale * x - (self.scale - 1.0) * answer(self.negative)
            length, pushed_length = x.abs().sum(-1, keepdim=True), pushed.abs().sum(-1, keepdim=True)
            too_long = pushed_length / length > self.tau
            pushed = torch.where(too_long, pushed * length * self.tau / (pushed_length + 1e-7), pushed)
            x = self.alpha * pushed + (1.0 - self.alpha) * x
        return attention.to_out[0](x)


def riflex(model, index: int, frames: int) -> None:
    """Frequency `index`, from 1, of the frames turns 0.9 times in `frames`."""
    rope, columns = model.rope, slice(2 * (index - 1), 2 * index)
    angles = torch.arange(rope.freqs_cos.shape[0], dtype=torch.float64) * (0.9 * 2 * math.pi / frames)
    for table, values in ((rope.freqs_cos, angles.cos()), (rope.freqs_sin, angles.sin())):
        table[:, columns] = values[:, None].to(table)


# ---- Caches of passes, the wrapper's ------------------------------------------------------------------------------


@dataclass
class Caches:
    """One cache for each prompt. `rule` is tea (with a polynomial or none), mag or easy."""

    rule: str
    threshold: float
    first_step: int = 1
    polynomial: list[float] | None = None
    on_modulation: bool = False
    ratios: list[float] = field(default_factory=list)
    skips_max: int = 4
    skipped: int = 0
    margin: float = math.inf

    def __post_init__(self):
        self.states = {"context": {}, "context_negative": {}}

    def run(self, model, which: str, step: int, steps: int, call: Callable[[], Tensor]) -> Tensor:
        if step < self.first_step:
            return call()
        seen = {}
        hook = model.condition_embedder.register_forward_hook(lambda _, __, out: seen.update(e=out[0], e0=out[1]))
        whole = _Whole(self, model.blocks, self.states[which], seen, step, steps)
        with blocks_of(model, torch.nn.ModuleList([whole])):
            out = call()
        hook.remove()
        return out

    def skips(self, state: dict, x: Tensor, seen: dict, step: int, steps: int) -> bool:
        if "residual" not in state:
            return False
        if self.rule == "tea":
            e = seen["e0" if self.on_modulation else "e"].double()
            change = ((e - state["e"]).abs().mean() / state["e"].abs().mean()).item()
            if self.polynomial:
                change = sum(value * change**power for power, value in enumerate(reversed(self.polynomial)))
            state["sum"] = state.get("sum", 0.0) + change
            return self.decide(state, state["sum"] < self.threshold, state["sum"])
        if self.rule == "mag":
            half = len(self.ratios) // 2
            state["ratio"] = state.get("ratio", 1.0) * self.ratios[int(step * (half / steps))]
            state["sum"] = state.get("sum", 0.0) + abs(1.0 - state["ratio"])
            state["count"] = state.get("count", 0) + 1
            near = state["sum"] <= self.threshold and state["count"] <= self.skips_max
            return self.decide(state, near, state["sum"])
        if "rate" not in state:
            return False
        change = (x - state["x"]).abs().mean().item() / state["out"].abs().mean().item()
        state["sum"] = state.get("sum", 0.0) + state["rate"] * change
        return self.decide(state, state["sum"] < self.threshold, state["sum"])

    def decide(self, state: dict, skips: bool, total: float) -> bool:
        self.margin = min(self.margin, abs(total - self.threshold) / self.threshold)
        self.skipped += skips
        if not skips:
            for name in ("sum", "ratio", "count"):
                state.pop(name, None)
        return skips

    def keep(self, state: dict, x: Tensor, out: Tensor, seen: dict) -> None:
        if self.rule == "easy" and "x" in state:
            state["rate"] = ((out - state["out"]).abs().mean() / (x - state["x"]).abs().mean()).item()
        e = seen["e0" if self.on_modulation else "e"].double()
        state |= {"residual": out - x, "e": e, "x": x, "out": out}


class _Whole(torch.nn.Module):
    """All blocks as one, which may be left out."""

    def __init__(self, caches: Caches, blocks, state: dict, seen: dict, step: int, steps: int):
        super().__init__()
        self.run_blocks = lambda x, *rest: _through(blocks, x, *rest)
        self.decision = (caches, state, seen, step, steps)

    def forward(self, x: Tensor, *rest) -> Tensor:
        caches, state, seen, step, steps = self.decision
        if caches.skips(state, x, seen, step, steps):
            return x + state["residual"]
        out = self.run_blocks(x, *rest)
        caches.keep(state, x, out, seen)
        return out


def _through(blocks, x: Tensor, *rest) -> Tensor:
    for block in blocks:
        x = block(x, *rest)
    return x


# ---- Caches of ComfyUI, at the answers ----------------------------------------------------------------------------


@dataclass
class Reuse:
    """EasyCache and LazyCache: every eighth row and column of the first answer decides for all."""

    threshold: float
    start_sigma: float
    end_sigma: float
    learns_before: bool  # LazyCache looks at steps before its span too
    skipped: int = 0
    margin: float = math.inf
    total: float = 0.0
    rate: float | None = None

    def __post_init__(self):
        self.last: dict | None = None

    def answers(self, x: Tensor, sigma: float, compute: Callable[[], list[Tensor]]) -> list[Tensor]:
        if sigma <= self.end_sigma:
            return compute()
        may_skip = sigma <= self.start_sigma
        part = lambda value: value[..., ::8, ::8]
        moved = None if self.last is None else (part(x) - self.last["x"]).abs().mean().item()
        if may_skip and self.rate is not None:
            self.total += self.rate * moved / self.last["size"]
            self.margin = min(self.margin, abs(self.total - self.threshold) / self.threshold)
            if self.total < self.threshold:
                self.skipped += 1
                return [x + difference for difference in self.last["differences"]]
            self.total = 0.0
        answers = compute()
        if not may_skip and not self.learns_before:
            return answers
        if may_skip and self.last is not None:
            self.rate = (part(answers[0]) - self.last["answer"]).abs().mean().item() / moved
        self.last = {
            "x": part(x),
            "answer": part(answers[0]),
            "size": answers[0].abs().mean().item(),
            "differences": [answer - x for answer in answers],
        }
        return answers
