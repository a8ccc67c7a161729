"""The gate: whether a candidate is promoted. Pure; every reason against it is told, not the first alone.

A measure is judged by the interval of its paired difference to the champion on the same items, never by its
value: what a few items more or less could undo is no gain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from training.bootstrap import Estimate


class Direction(StrEnum):
    """Which way is better."""

    UP = "up"
    DOWN = "down"


class Rule(BaseModel):
    """What one measure must do. Margins are in the measure's own unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    better: Direction = Field(default=Direction.UP, description="Which way is better.")
    gain: float | None = Field(default=None, description="It must surely be better by more than this.")
    loss: float | None = Field(
        default=None, ge=0, description="It must surely not be worse by more than this."
    )


class GateSettings(BaseModel):
    """When a candidate is promoted. At least one rule asks for a gain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: Mapping[str, Rule] = Field(
        default={
            "top1": Rule(gain=0.0),
            "item_auc": Rule(loss=0.01),
            "silent_clean": Rule(loss=0.02),
            "false_alarms_per_clean_item": Rule(better=Direction.DOWN, loss=0.05),
        },
        description="A table for each measure: `[gate.rules.top1]`.",
    )
    any_gain: bool = Field(
        default=False, description="One gain is enough, if there are several rules for one."
    )
    probes: bool = Field(default=False, description="The candidate must have been probed for triggers.")
    min_items: int = Field(
        default=50, ge=1, description="Held-out items with a finding, below which nothing is said."
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule came to."""

    measure: str
    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the candidate is promoted, and what each rule came to."""

    promote: bool
    verdicts: tuple[Verdict, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against it."""
        return tuple(verdict.text for verdict in self.verdicts if not verdict.passed)


def decide(
    differences: Mapping[str, Estimate],
    settings: GateSettings,
    *,
    items: int,
    objections: Sequence[str] = (),
    probed: Sequence[str] = (),
) -> Decision:
    """Return the decision on a candidate whose measures are `differences` above the champion's.

    `items` is on how many items with a finding that was measured; `objections` are what probes found, and
    `probed` is what they looked for in vain.
    """
    gains = [
        _gain(name, rule, differences.get(name))
        for name, rule in settings.rules.items()
        if rule.gain is not None
    ]
    losses = [
        _loss(name, rule, differences.get(name))
        for name, rule in settings.rules.items()
        if rule.loss is not None
    ]
    checks = [
        Verdict(
            "items",
            items >= settings.min_items,
            f"{items} items with a finding, {settings.min_items} are needed",
        ),
        *(Verdict("probe", True, text) for text in probed),
        *(Verdict("probe", False, objection) for objection in objections),
    ]
    if not gains:
        checks.append(Verdict("rules", False, "no rule asks for a gain"))
    enough = any(each.passed for each in gains) if settings.any_gain else all(each.passed for each in gains)
    passed = enough and all(each.passed for each in (*losses, *checks))
    return Decision(passed, (*checks, *gains, *losses))


def _gain(name: str, rule: Rule, difference: Estimate | None) -> Verdict:
    low, shown = _better_by(rule, difference)
    passed = low is not None and low > (rule.gain or 0.0)
    return Verdict(name, passed, f"{name}: {shown}; surely better by more than {rule.gain:g} is asked for")


def _loss(name: str, rule: Rule, difference: Estimate | None) -> Verdict:
    low, shown = _better_by(rule, difference)
    passed = low is not None and low >= -(rule.loss or 0.0)
    return Verdict(name, passed, f"{name}: {shown}; worse by {rule.loss:g} at most is allowed")


def _better_by(rule: Rule, difference: Estimate | None) -> tuple[float | None, str]:
    """Return the least that the candidate is surely better by, and the difference in words."""
    if difference is None or difference.value is None or difference.low is None or difference.high is None:
        return None, "not measured"
    shown = f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
    return (difference.low if rule.better is Direction.UP else -difference.high), shown
