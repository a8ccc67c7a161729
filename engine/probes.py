"""What an adapter does to the base model on one small text: recorded when it is made, compared when loaded.

An adapter can load without a complaint and do nothing, or the wrong thing: names that match no module, the
base of another size or tuning, a scale that is applied twice. The distribution over the labels on a fixed
text shows all three.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

from pydantic import BaseModel, ConfigDict, Field

from engine.errors import AdapterError
from engine.prompts import LABELS
from engine.runners import Cancellation, Runner, ScoreRequest

PROBE = ScoreRequest(
    "<start_of_turn>user\nReview this change to a.py (python).\n"
    "  1+def add(item, items=[]):\n  2+    return eval(item)<end_of_turn>\n<start_of_turn>model\n",
    ("\n1 def add(item, items=[]): =>", "\n2 return eval(item) =>"),
)
"""Scored over `engine.prompts.LABELS`. It never changes: what was recorded would no longer fit."""

# In nats, averaged over blocks and labels. 4-bit weights move them by 0.1 to 0.3.
_SMALLEST_EFFECT = 0.02  # and a twentieth of the recorded one
_LARGEST_BASE_DISTANCE = 0.6
_LARGEST_DISTANCE = 0.35  # of the effect from the recorded one, and a tenth of the latter besides
_RELATIVE = 0.1

Rows = Sequence[Sequence[float]]


class Probe(BaseModel):
    """Log-probabilities of the labels after each block of PROBE, [blocks][labels]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: tuple[tuple[float, ...], ...] = Field(description="By the base model alone.")
    adapter: tuple[tuple[float, ...], ...] = Field(description="With the adapter.")


def log_rows(probabilities: Rows) -> tuple[tuple[float, ...], ...]:
    """Return the logarithms of `probabilities`, to four digits; those of impossible labels are bounded."""
    return tuple(tuple(round(math.log(max(p, 1e-9)), 4) for p in row) for row in probabilities)


def read_probe(runner: Runner) -> Rows:
    """Return the probabilities that `runner` gives on the probe."""
    ((_, scores),) = runner.score([PROBE], LABELS, Cancellation(), lambda count: None)
    return scores.probabilities


def record_probe(base: Runner, adapted: Runner) -> Probe:
    """Return what the manifest of `adapted`'s adapter shall say."""
    return Probe(base=log_rows(read_probe(base)), adapter=log_rows(read_probe(adapted)))


def prove_effect(name: str, base: Rows, adapter: Rows, recorded: Probe | None) -> None:
    """Raise AdapterError unless the adapter `name` does what it did when it was made.

    `base` and `adapter` are probabilities as read now. Without a record only an effect is asked for.
    """
    now = _difference(log_rows(adapter), log_rows(base))
    then = _recorded_effect(name, recorded) if recorded else []
    if _mean_size(now) < max(_SMALLEST_EFFECT, _mean_size(then) / 20):
        raise AdapterError(f"{name} has no effect on the base model: made for another one?")
    if recorded is None:
        return
    distance = _mean_size(_difference(log_rows(base), recorded.base))
    if distance > _LARGEST_BASE_DISTANCE:
        raise AdapterError(
            f"{name} is made for another base model: the one here differs by {distance:.2f} nats on the probe"
        )
    size, off = _mean_size(then), _mean_size([a - b for a, b in zip(now, then, strict=True)])
    if off > _LARGEST_DISTANCE + _RELATIVE * size:
        raise AdapterError(
            f"{name} does not do what it did when it was made: its effect on the probe, {size:.2f} nats, "
            f"is off by {off:.2f}; a wrong scale, or other weights"
        )


def _recorded_effect(name: str, recorded: Probe) -> list[float]:
    form = [len(LABELS)] * len(PROBE.blocks)
    if [len(row) for row in recorded.base] != form or [len(row) for row in recorded.adapter] != form:
        raise AdapterError(f"{name}: its manifest's probe is not of {len(form)} times {len(LABELS)} numbers")
    return _difference(recorded.adapter, recorded.base)


def _difference(one: Rows, other: Rows) -> list[float]:
    return [a - b for a, b in zip(chain(*one), chain(*other), strict=True)]


def _mean_size(values: Sequence[float]) -> float:
    return sum(map(abs, values)) / len(values) if values else 0.0
