"""A setting that was chosen, and why; what it was chosen for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

from engine.finetune.settings import FinetuneSettings

T = TypeVar("T")

_KEPT = 0.99  # of the rows are to fit


class Why(Enum):
    """The reasons; `plan_texts` has their words."""

    GIVEN = "given"
    UNSLOTH = "unsloth"
    TRL_FASTER = "trl_faster"
    TRL_MISSING = "trl_missing"
    TRL_SEVERAL = "trl_several"
    TRL_CPU = "trl_cpu"
    BFLOAT16 = "bfloat16"
    FOUR_BITS = "four_bits"
    CPU_PRECISION = "cpu_precision"
    KEEP = "keep"
    RECOMPUTE = "recompute"
    COMPILE = "compile"
    NO_COMPILE = "no_compile"
    COMPILE_CPU = "compile_cpu"
    UNSLOTH_COMPILES = "unsloth_compiles"
    RANK_FEW = "rank_few"
    RANK_SOME = "rank_some"
    RANK_MANY = "rank_many"
    LENGTH_ROWS = "length_rows"
    LENGTH_MEMORY = "length_memory"
    BATCH_BEST = "batch_best"
    BATCH_STEPS = "batch_steps"
    BATCH_CPU = "batch_cpu"
    BATCH_MEMORY = "batch_memory"
    BATCH_SHARED = "batch_shared"
    BATCH_LONGEST = "batch_longest"
    PARTS = "parts"
    WHOLE = "whole"
    EPOCHS_FEW = "epochs_few"
    EPOCHS_SOME = "epochs_some"
    EPOCHS_MANY = "epochs_many"
    EPOCHS_TIME = "epochs_time"
    RATE_SMALL = "rate_small"
    RATE_LARGE = "rate_large"
    WARMUP = "warmup"
    EVALUATE = "evaluate"
    HELD_OUT = "held_out"
    PATIENCE = "patience"
    NO_PATIENCE = "no_patience"


@dataclass(frozen=True, slots=True)
class Volume:
    """How much there is to train on."""

    rows: int
    tokens: int  # of all rows
    lengths: tuple[int, ...]  # of some of them, sorted
    validation_rows: int = 0

    def within(self, length: int) -> float:
        """Return the share of rows that have at most `length` tokens."""
        return bisect_right(self.lengths, length) / len(self.lengths)

    @property
    def usual_longest(self) -> int:
        """The length that 99 of 100 rows keep to."""
        return self.lengths[min(len(self.lengths) - 1, int(_KEPT * len(self.lengths)))]


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """A setting's value, and why it has it."""

    key: str
    value: T
    why: Why
    numbers: Mapping[str, float] = field(default_factory=dict)


def settings_of(choices: Sequence[Choice[Any]], given: Mapping[str, object]) -> FinetuneSettings:
    """Return the chosen settings, with those that were given in place of theirs."""
    return FinetuneSettings.model_validate({**{one.key: one.value for one in choices}, **given})


def with_given(choices: Sequence[Choice[Any]], given: Mapping[str, object]) -> tuple[Choice[Any], ...]:
    """Return the choices, those that somebody made himself among them."""
    known = [Choice(one.key, given[one.key], Why.GIVEN) if one.key in given else one for one in choices]
    others = [
        Choice(key, value, Why.GIVEN) for key, value in given.items() if key not in {c.key for c in choices}
    ]
    return (*known, *others)
